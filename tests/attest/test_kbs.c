/* tests/attest/test_kbs.c - the messages of the KBS protocol 0.4.0, both sides of each. */
#include "attest/kbs.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "attest/hex.h"
#include "attest/jcs.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define NONCE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY                                                                                    \
	"{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\","                        \
	"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                               \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
/* in the order in which the original client writes it */
#define KEY_AS_SENT                                                                            \
	"{\"kty\":\"EC\", \"crv\":\"P-256\", \"alg\":\"ECDH-ES+A256KW\","                      \
	"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                               \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define REQUEST                                                                                \
	"{\"version\":\"0.4.0\",\"tee\":\"snp\",\"extra-params\":{"                            \
	"\"supported-hash-algorithms\":[\"sha256\",\"sha384\",\"sha512\",\"sm3\"]}}"
#define EVIDENCE "{\"svn\":\"1\",\"report_data\":[1,23,255]}"
#define ATTESTATION                                                                            \
	"{\"init-data\":{\"format\":\"toml\",\"body\":\"a = 1\"},"                             \
	"\"runtime-data\":{\"nonce\":\"" NONCE "\",\"tee-pubkey\":" KEY "},"                   \
	"\"tee-evidence\":{\"primary_evidence\":" EVIDENCE ",\"additional_evidence\":\"\"}}"

/* ---- paths and sessions ------------------------------------------------------------ */

static const struct http_limits limits = { .head = 4096, .target = 2048, .fields = 8 };

/* The head of this text; *ret is the caller's to free. */
static const struct http_head *head_of(enum http_kind kind, const char *text,
				       struct http_reader **ret)
{
	size_t used;

	*ret = http_reader_new(kind, &limits);
	assert_non_null(*ret);
	assert_int_equal(http_feed(*ret, text, strlen(text), &used), HTTP_DONE);
	return http_read_head(*ret);
}

static enum kbs_endpoint endpoint_of(const char *method, const char *path, char *ret,
				     size_t size)
{
	struct kbs_resource r = { .repository = { NULL, 0 } };
	struct http_reader *reader;
	enum kbs_endpoint e;
	char text[3000];

	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, path,
		 method[0] == 'P' ? "Content-Length: 0\r\n" : "");
	e = kbs_endpoint(head_of(HTTP_REQUESTS, text, &reader), &r);
	assert_true((e == KBS_RESOURCE) == (r.repository.at != NULL));
	snprintf(ret, size, "%.*s|%.*s|%.*s", (int)r.repository.len, r.repository.at,
		 (int)r.type.len, r.type.at, (int)r.tag.len, r.tag.at);
	http_reader_free(reader);
	return e;
}

static void paths_lead_to_endpoints(void **state)
{
	static const struct {
		const char *method, *path;
		enum kbs_endpoint endpoint;
		const char *resource;
	} cases[] = {
		{ "POST", "/kbs/v0/auth", KBS_AUTH, NULL },
		{ "POST", "/kbs/v0/auth?x=y", KBS_AUTH, NULL },
		{ "POST", "/kbs/v0/attest", KBS_ATTEST, NULL },
		{ "GET", "/kbs/v0/auth", KBS_BAD_METHOD, NULL },
		{ "PUT", "/kbs/v0/attest", KBS_BAD_METHOD, NULL },
		{ "GET", "/kbs/v0/resource/a/b/c", KBS_RESOURCE, "a|b|c" },
		{ "GET", "/kbs/v0/resource/a/b/c?x=y", KBS_RESOURCE, "a|b|c" },
		{ "GET", "/kbs/v0/resource/A-z_0/_.x/-.-", KBS_RESOURCE, "A-z_0|_.x|-.-" },
		{ "GET", "/kbs/v0/resource/resource/auth/kbs", KBS_RESOURCE,
		  "resource|auth|kbs" },
		{ "GET", "/kbs/v0/resource//a/b/c", KBS_RESOURCE, "a|b|c" },
		{ "GET", "/kbs/v0/resource///a/b/c", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource//a/b", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/a//b/c", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/a/b/c/", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/a/b//c", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs//v0/resource/a/b/c", KBS_NO_ENDPOINT, NULL },
		{ "GET", "//kbs/v0/resource/a/b/c", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0//resource/a/b/c", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/.a/b/c", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/a/..b/c", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/a/b/c:d", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/a/b/c;d", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/a/b/~c", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/a/b", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/a/b/c/d", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/kbs/v0/resource/", KBS_NO_ENDPOINT, NULL },
		{ "POST", "/kbs/v0/resource/a/b/c", KBS_BAD_METHOD, NULL },
		{ "DELETE", "/kbs/v0/resource/a/b/c", KBS_BAD_METHOD, NULL },
		{ "POST", "/kbs/v0/auth/", KBS_NO_ENDPOINT, NULL },
		{ "POST", "/kbs/v0/auth/x", KBS_NO_ENDPOINT, NULL },
		{ "POST", "/kbs/v0/Auth", KBS_NO_ENDPOINT, NULL },
		{ "POST", "/kbs/v1/auth", KBS_NO_ENDPOINT, NULL },
		{ "POST", "/v0/auth", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/healthz", KBS_NO_ENDPOINT, NULL },
		{ "GET", "/a/b/c/d/e/f/g/h/i", KBS_NO_ENDPOINT, NULL },
	};
	char resource[128];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (endpoint_of(cases[i].method, cases[i].path, resource, sizeof(resource)) !=
		    cases[i].endpoint)
			fail_msg("%s %s", cases[i].method, cases[i].path);
		if (cases[i].resource)
			assert_string_equal(resource, cases[i].resource);
	}
}

static void a_resource_is_no_longer_than_a_policy_can_name(void **state)
{
	char path[1024] = "/kbs/v0/resource/a/b/", ret[1024];
	size_t at = strlen(path);

	(void)state;
	memset(path + at, 'c', KBS_RESOURCE_PATH - 4);
	path[at + KBS_RESOURCE_PATH - 4] = '\0';
	assert_int_equal(endpoint_of("GET", path, ret, sizeof(ret)), KBS_RESOURCE);
	assert_int_equal(strlen(ret), KBS_RESOURCE_PATH);
	strncat(path, "c", 2);
	assert_int_equal(endpoint_of("GET", path, ret, sizeof(ret)), KBS_NO_ENDPOINT);
}

#define ID "0123456789abcdef0123456789abcdef"

static void sessions_are_32_digits(void **state)
{
	static const struct {
		const char *cookie;
		enum http_found found;
	} cases[] = {
		{ "Cookie: kbs-session-id=" ID, HTTP_FOUND },
		{ "Cookie: a=b; kbs-session-id=" ID, HTTP_FOUND },
		{ "Cookie: kbs-session-id=" ID "; kbs-session-id=" ID, HTTP_AMBIGUOUS },
		{ "Cookie: kbs-session-id=" ID "0", HTTP_AMBIGUOUS },
		{ "Cookie: kbs-session-id=0123456789abcdef0123456789abcde", HTTP_AMBIGUOUS },
		{ "Cookie: kbs-session-id=0123456789ABCDEF0123456789abcdef", HTTP_AMBIGUOUS },
		{ "Cookie: kbs-session-id=0123456789abcdef0123456789abcdeg", HTTP_AMBIGUOUS },
		{ "Cookie: kbs-session-id=", HTTP_AMBIGUOUS },
		{ "Cookie: KBS-session-id=" ID, HTTP_ABSENT },
		{ "X: kbs-session-id=" ID, HTTP_ABSENT },
	};
	struct http_reader *r;
	char text[256], id[KBS_SESSION_ID];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n",
			 cases[i].cookie);
		id[0] = '\0';
		assert_int_equal(kbs_session(head_of(HTTP_REQUESTS, text, &r), id),
				 cases[i].found);
		assert_string_equal(id, cases[i].found == HTTP_FOUND ? ID : "");
		http_reader_free(r);
	}
}

static void a_cookie_that_is_set_comes_back(void **state)
{
	char cookie[KBS_SET_COOKIE], text[512], id[KBS_SESSION_ID];
	struct http_reader *r;

	(void)state;
	kbs_set_cookie(ID, 300, true, cookie);
	assert_string_equal(cookie, "kbs-session-id=" ID
				    "; Max-Age=300; HttpOnly; SameSite=Strict; Secure");
	kbs_set_cookie(ID, 4294967295u, false, cookie);
	assert_null(strstr(cookie, "Secure"));
	snprintf(text, sizeof(text), "HTTP/1.1 204 \r\nSet-Cookie: %s\r\n\r\n", cookie);
	assert_int_equal(kbs_set_session(head_of(HTTP_RESPONSES, text, &r), id), HTTP_FOUND);
	assert_string_equal(id, ID);
	http_reader_free(r);
	/* as the original server sets it */
	assert_int_equal(
		kbs_set_session(head_of(HTTP_RESPONSES,
					"HTTP/1.1 204 \r\nset-cookie: kbs-session-id=" ID
					"; Expires=Mon, 23 Nov 2026 10:00:00 GMT\r\n\r\n",
					&r),
				id),
		HTTP_FOUND);
	http_reader_free(r);
}

/* ---- binding ----------------------------------------------------------------------- */

static void the_binding_is_that_of_the_original(void **state)
{
	static const struct {
		const char *additional, *hex;
	} cases[] = {
		{ "", "dfa65d498315212bdaf8857231cf0482172933db271f15856bf30db447227eb5"
		      "b1dd9e29fcc1fb9076fb00792c3bb7e7" },
		{ NULL, "cc12bca78af3e46d9ddb68eb97122047abb52703f1cec34bd0adc12c5ac8c860"
			"b1ada6c8729e54f2172908b77572364a" },
	};
	uint8_t digest[KBS_BINDING];
	char hex[HEX_SIZE(KBS_BINDING)];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(
			kbs_binding(KBS_SHA384, NONCE, KEY, cases[i].additional, digest, NULL),
			ATTEST_OK);
		hex_print(digest, sizeof(digest), hex);
		assert_memory_equal(hex, cases[i].hex, 96);
		assert_string_equal(hex + 96, "00000000000000000000000000000000");
	}
}

static void both_sides_bind_the_same(void **state)
{
	uint8_t one[KBS_BINDING], other[KBS_BINDING];
	json_t *key = json_loads(KEY_AS_SENT, 0, NULL);
	char *canonical = NULL;
	size_t len;

	(void)state;
	assert_int_equal(jcs_print(key, &canonical, &len, NULL), ATTEST_OK);
	for (enum kbs_hash h = 0; h < KBS_HASHES; h++) {
		assert_int_equal(kbs_binding(h, NONCE, KEY, "", one, NULL), ATTEST_OK);
		assert_int_equal(kbs_binding(h, NONCE, canonical, "", other, NULL), ATTEST_OK);
		assert_memory_equal(one, other, sizeof(one));
		assert_int_equal(kbs_binding(h, NONCE, KEY, "\"\\\x01\n{}", other, NULL),
				 ATTEST_OK);
		assert_memory_not_equal(one, other, sizeof(one));
		assert_int_equal(kbs_binding(h, "other", KEY, "", other, NULL), ATTEST_OK);
		assert_memory_not_equal(one, other, sizeof(one));
	}
	free(canonical);
	json_decref(key);
}

/* The escapes of a text that was put into a member by hand are those of the whole object. */
static void escapes_are_canonical(void **state)
{
	static const char evidence[] = "{\"nvidia\":\"\\u0007 \xc3\xa9 \xf0\x9f\x98\x80\"}\x02";
	json_t *key = json_loads(KEY, 0, NULL), *whole;
	uint8_t mine[KBS_BINDING], theirs[KBS_BINDING];
	char *text = NULL;
	size_t len;

	(void)state;
	whole = json_pack("{s:s, s:O, s:s}", "nonce", NONCE, "tee-pubkey", key,
			  "additional-evidence", evidence);
	assert_int_equal(jcs_print(whole, &text, &len, NULL), ATTEST_OK);
	assert_int_equal(kbs_binding(KBS_SHA512, NONCE, KEY, evidence, mine, NULL), ATTEST_OK);
	assert_int_equal(EVP_Q_digest(NULL, "SHA512", NULL, text, len, theirs, NULL), 1);
	assert_memory_equal(mine, theirs, sizeof(mine));
	free(text);
	json_decref(whole);
	json_decref(key);
}

static void absurd_bindings_are_refused(void **state)
{
	uint8_t digest[KBS_BINDING] = { 7 };
	char *text = calloc(1, KBS_BODY_MAX + 2);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', KBS_NONCE);
	assert_int_equal(kbs_binding(KBS_SHA384, text, KEY, "", digest, NULL),
			 ATTEST_MALFORMED);
	memset(text, 'x', KBS_PUBKEY + 1);
	assert_int_equal(kbs_binding(KBS_SHA384, NONCE, text, "", digest, NULL),
			 ATTEST_MALFORMED);
	memset(text, 'x', KBS_BODY_MAX + 1);
	assert_int_equal(kbs_binding(KBS_SHA384, NONCE, KEY, text, digest, NULL),
			 ATTEST_MALFORMED);
	assert_int_equal(digest[0], 7);
	text[KBS_BODY_MAX] = '\0';
	memset(text, '\x01', KBS_BODY_MAX);
	assert_int_equal(kbs_binding(KBS_SHA384, NONCE, KEY, text, digest, NULL), ATTEST_OK);
	free(text);
}

/* ---- Request ----------------------------------------------------------------------- */

static enum attest_status request(const char *text, struct kbs_request *ret,
				  struct attest_error *e)
{
	e->what[0] = e->where[0] = '\0';
	return kbs_request_parse(span_of(text), ret, e);
}

#define REQ(rest) "{\"version\":\"0.4.0\",\"tee\":\"tdx\"" rest "}"
#define DEFAULT (1u << KBS_SHA384)
#define ALL (1u << KBS_SHA256 | 1u << KBS_SHA384 | 1u << KBS_SHA512)

static void requests_are_read(void **state)
{
	static const struct {
		const char *text, *tee;
		unsigned hashes;
	} cases[] = {
		{ REQUEST, "snp", ALL },
		{ REQ(",\"extra-params\":\"\""), "tdx", DEFAULT },
		{ REQ(",\"extra-params\":{}"), "tdx", DEFAULT },
		{ REQ(",\"extra-params\":null"), "tdx", DEFAULT },
		{ REQ(",\"extra-params\":[1,{\"a\":2}]"), "tdx", DEFAULT },
		{ REQ(",\"extra-params\":{\"supported-hash-algorithms\":\"sha512\"}"), "tdx",
		  DEFAULT },
		{ REQ(",\"extra-params\":{\"supported-hash-algorithms\":[\"sha512\",1]}"),
		  "tdx", 1u << KBS_SHA512 },
		{ REQ(",\"extra-params\":{\"supported-hash-algorithms\":[\"sm3\"]}"), "tdx",
		  0 },
		{ REQ(",\"extra-params\":\"\",\"new\":[]"), "tdx", DEFAULT },
		{ " {\"extra-params\":\"\",\"tee\":\"cordon-sandbox\",\"version\":\"0.4.0\"}\n",
		  "cordon-sandbox", DEFAULT },
		{ REQ(",\"extra-params\":\"\",\"\":1"), "tdx", DEFAULT },
	};
	struct kbs_request r;
	struct attest_error e;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(request(cases[i].text, &r, &e), ATTEST_OK);
		assert_string_equal(r.tee, cases[i].tee);
		assert_int_equal(r.hashes, cases[i].hashes);
	}
}

static void bad_requests_say_where(void **state)
{
	static const struct {
		const char *text, *where;
	} cases[] = {
		{ "", "message" },
		{ "null", "message" },
		{ "[]", "message" },
		{ "\"x\"", "message" },
		{ "{}x", "message" },
		{ "{}", "version" },
		{ "{\"version\":4}", "version" },
		{ "{\"version\":\"0.4.0\"}", "tee" },
		{ "{\"version\":\"0.4.0\",\"tee\":null}", "tee" },
		{ "{\"version\":\"0.4.0\",\"tee\":\"\"}", "tee" },
		{ "{\"version\":\"0.4.0\",\"tee\":\"SNP\"}", "tee" },
		{ "{\"version\":\"0.4.0\",\"tee\":\"a b\"}", "tee" },
		{ "{\"version\":\"0.4.0\",\"tee\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
		  "tee" },
		{ REQ(""), "extra-params" },
		{ REQ(",\"extra-params\":\"\",\"tee\":\"snp\""), "message" },
		{ REQ(",\"extra-params\":{\"a\":1,\"a\":1}"), "message" },
		{ REQ(",\"extra-params\":\"\xff\""), "message" },
		{ REQ(",\"extra-params\":\"\\u0000\""), "message" },
		{ REQ(",\"extra-params\":99999999999999999999"), "message" },
		{ REQ(",\"extra-params\":NaN"), "message" },
		{ REQ(",\"extra-params\":01"), "message" },
		{ REQ(",\"extra-params\":'a'"), "message" },
		{ REQ(",\"extra-params\":[1,]"), "message" },
		{ REQ(",\"extra-params\":/**/1"), "message" },
		{ "\xef\xbb\xbf{}", "message" },
	};
	struct kbs_request r = { .hashes = 77 };
	struct attest_error e;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(request(cases[i].text, &r, &e), ATTEST_MALFORMED);
		if (strcmp(e.where, cases[i].where) != 0 || !e.what[0])
			fail_msg("%s: %s: %s", cases[i].text, e.where, e.what);
	}
	assert_int_equal(r.hashes, 77);
}

static void other_versions_are_refused_in_known_words(void **state)
{
	static const char *const versions[] = { "0.3.0", "0.4",    "0.4.1", "1.0.0",
						"",      "0.4.0 ", "v0.4.0" };
	struct kbs_request r;
	struct attest_error e;
	char text[128];

	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		/* whatever else is in it: another version has other members */
		snprintf(text, sizeof(text), "{\"tee\":7,\"version\":\"%s\"}", versions[i]);
		assert_int_equal(request(text, &r, &e), ATTEST_REFUSED);
		assert_non_null(strstr(e.what, "KBS Client Protocol Version Mismatch"));
	}
}

static void a_request_that_is_written_is_read(void **state)
{
	struct attest_error e;
	struct kbs_request r;
	char *text = NULL;
	size_t len;

	(void)state;
	assert_int_equal(kbs_request_write("cordon-sandbox", &text, &len, NULL), ATTEST_OK);
	assert_int_equal(strlen(text), len);
	assert_int_equal(request(text, &r, &e), ATTEST_OK);
	assert_string_equal(r.tee, "cordon-sandbox");
	assert_int_equal(r.hashes, ALL);
	free(text);
	assert_int_equal(kbs_request_write("a\"b", &text, &len, NULL), ATTEST_MALFORMED);
}

/* ---- Challenge --------------------------------------------------------------------- */

static void challenges_are_written_and_read(void **state)
{
	static const struct {
		enum kbs_hash hash;
		const char *text;
	} cases[] = {
		{ KBS_SHA384, "{\"nonce\":\"" NONCE "\",\"extra-params\":\"\"}" },
		{ KBS_SHA512, "{\"nonce\":\"" NONCE "\",\"extra-params\":{"
			      "\"selected-hash-algorithm\":\"sha512\"}}" },
		{ KBS_SHA256, "{\"nonce\":\"" NONCE "\",\"extra-params\":{"
			      "\"selected-hash-algorithm\":\"sha256\"}}" },
	};
	struct kbs_challenge c = { .nonce = NONCE }, again;
	char *text = NULL;
	size_t len;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		c.hash = cases[i].hash;
		assert_int_equal(kbs_challenge_write(&c, &text, &len, NULL), ATTEST_OK);
		assert_string_equal(text, cases[i].text);
		assert_int_equal(kbs_challenge_parse(span_of(text), &again, NULL), ATTEST_OK);
		assert_string_equal(again.nonce, NONCE);
		assert_int_equal(again.hash, cases[i].hash);
		free(text);
	}
}

static void a_selection_is_never_guessed(void **state)
{
#define EXTRA(v) "{\"nonce\":\"n\",\"extra-params\":" v "}"
	static const struct {
		const char *text, *where;
		enum kbs_hash hash;
	} cases[] = {
		{ EXTRA("{}"), NULL, KBS_SHA384 },
		{ EXTRA("null"), NULL, KBS_SHA384 },
		{ EXTRA("7"), NULL, KBS_SHA384 },
		{ EXTRA("{\"selected-hash-algorithm\":\"SHA512\"}"), NULL, KBS_SHA512 },
		{ EXTRA("{\"selected-hash-algorithm\":\"sha384\"}"), NULL, KBS_SHA384 },
		{ EXTRA("{\"selected-hash-algorithm\":\"sm3\"}"),
		  "extra-params.selected-hash-algorithm", 0 },
		{ EXTRA("{\"selected-hash-algorithm\":\"\"}"),
		  "extra-params.selected-hash-algorithm", 0 },
		{ EXTRA("{\"selected-hash-algorithm\":null}"),
		  "extra-params.selected-hash-algorithm", 0 },
		{ EXTRA("{\"selected-hash-algorithm\":[\"sha512\"]}"),
		  "extra-params.selected-hash-algorithm", 0 },
		{ "{\"nonce\":\"n\"}", "extra-params", 0 },
		{ "{\"nonce\":\"\",\"extra-params\":\"\"}", "nonce", 0 },
		{ "{\"nonce\":1,\"extra-params\":\"\"}", "nonce", 0 },
		{ "{\"extra-params\":\"\"}", "nonce", 0 },
	};
	struct kbs_challenge c;
	struct attest_error e;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum attest_status s = kbs_challenge_parse(span_of(cases[i].text), &c, &e);

		assert_int_equal(s, cases[i].where ? ATTEST_MALFORMED : ATTEST_OK);
		if (cases[i].where)
			assert_string_equal(e.where, cases[i].where);
		else
			assert_int_equal(c.hash, cases[i].hash);
	}
}

/* ---- Attestation ------------------------------------------------------------------- */

static void an_attestation_is_read_and_written(void **state)
{
	struct kbs_attestation a;
	char *text = NULL;
	size_t len;

	(void)state;
	assert_int_equal(kbs_attestation_parse(span_of(ATTESTATION), &a, NULL), ATTEST_OK);
	assert_string_equal(a.nonce, NONCE);
	assert_string_equal(a.additional, "");
	assert_string_equal(a.init_data, "a = 1");
	assert_string_equal(json_string_value(json_object_get(a.tee_pubkey, "kty")), "EC");
	assert_string_equal(json_string_value(json_object_get(a.primary, "svn")), "1");
	assert_int_equal(kbs_attestation_write(&a, &text, &len, NULL), ATTEST_OK);
	assert_string_equal(text, ATTESTATION);
	free(text);
	a.additional = NULL;
	a.init_data = NULL;
	assert_int_equal(kbs_attestation_write(&a, &text, &len, NULL), ATTEST_OK);
	assert_non_null(strstr(text, "\"init-data\":null"));
	assert_non_null(strstr(text, "\"additional_evidence\":\"\""));
	free(text);
	a.primary = NULL;
	assert_int_equal(kbs_attestation_write(&a, &text, &len, NULL), ATTEST_MALFORMED);
	kbs_attestation_free(&a);
	kbs_attestation_free(&a);
}

#define RUN "\"runtime-data\":{\"nonce\":\"n\",\"tee-pubkey\":{}}"
#define EV "\"tee-evidence\":{\"primary_evidence\":1,\"additional_evidence\":\"\"}"

static void bad_attestations_say_where(void **state)
{
	static const struct {
		const char *text, *where;
	} cases[] = {
		{ "{" RUN "," EV "}", NULL },
		{ "{" RUN "," EV ",\"init-data\":null,\"more\":{}}", NULL },
		{ "{" EV "}", "runtime-data" },
		{ "{\"runtime-data\":[]," EV "}", "runtime-data" },
		{ "{\"runtime-data\":{}," EV "}", "runtime-data.nonce" },
		{ "{\"runtime-data\":{\"nonce\":7}," EV "}", "runtime-data.nonce" },
		{ "{\"runtime-data\":{\"nonce\":\"\"}," EV "}", "runtime-data.nonce" },
		{ "{\"runtime-data\":{\"nonce\":\"n\"}," EV "}", "runtime-data.tee-pubkey" },
		{ "{\"runtime-data\":{\"nonce\":\"n\",\"tee-pubkey\":\"{}\"}," EV "}",
		  "runtime-data.tee-pubkey" },
		{ "{\"runtime-data\":{\"nonce\":\"n\",\"nonce\":\"n\",\"tee-pubkey\":{}}," EV
		  "}",
		  "message" },
		{ "{" RUN "," RUN "," EV "}", "message" },
		{ "{" RUN "}", "tee-evidence" },
		{ "{" RUN ",\"tee-evidence\":\"\"}", "tee-evidence" },
		{ "{" RUN ",\"tee-evidence\":{\"additional_evidence\":\"\"}}",
		  "tee-evidence.primary_evidence" },
		{ "{" RUN ",\"tee-evidence\":{\"primary_evidence\":{}}}",
		  "tee-evidence.additional_evidence" },
		{ "{" RUN ",\"tee-evidence\":{\"primary_evidence\":{},"
		  "\"additional_evidence\":null}}",
		  "tee-evidence.additional_evidence" },
		{ "{" RUN ",\"tee-evidence\":{\"primary_evidence\":{},"
		  "\"additional_evidence\":{}}}",
		  "tee-evidence.additional_evidence" },
		/* the hyphen is of the hashed form, not of the wire */
		{ "{" RUN ",\"tee-evidence\":{\"primary_evidence\":{},"
		  "\"additional-evidence\":\"\"}}",
		  "tee-evidence.additional_evidence" },
		{ "{" RUN "," EV ",\"init-data\":\"\"}", "init-data" },
		{ "{" RUN "," EV ",\"init-data\":{}}", "init-data.format" },
		{ "{" RUN "," EV ",\"init-data\":{\"format\":\"json\",\"body\":\"\"}}",
		  "init-data.format" },
		{ "{" RUN "," EV ",\"init-data\":{\"format\":\"toml\"}}", "init-data.body" },
		{ "{" RUN "," EV ",\"init-data\":{\"format\":\"toml\",\"body\":1}}",
		  "init-data.body" },
	};
	struct kbs_attestation a;
	struct attest_error e;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum attest_status s = kbs_attestation_parse(span_of(cases[i].text), &a, &e);

		if (s != (cases[i].where ? ATTEST_MALFORMED : ATTEST_OK))
			fail_msg("%s", cases[i].text);
		if (s == ATTEST_OK)
			kbs_attestation_free(&a);
		else
			assert_string_equal(e.where, cases[i].where);
	}
}

static void a_part_of_an_attestation_is_none(void **state)
{
	struct kbs_attestation a = { .nonce = "untouched" };

	(void)state;
	for (size_t n = 0; n < strlen(ATTESTATION); n++) {
		char *part = malloc(n + 1);

		assert_non_null(part);
		memcpy(part, ATTESTATION, n);
		assert_int_equal(kbs_attestation_parse((struct span){ part, n }, &a, NULL),
				 ATTEST_MALFORMED);
		free(part);
	}
	assert_string_equal(a.nonce, "untouched");
}

static void every_changed_byte_of_an_attestation_counts(void **state)
{
	char text[] = ATTESTATION;

	(void)state;
	for (size_t i = 0; i < strlen(ATTESTATION); i++) {
		for (unsigned c = 0; c < 256; c++) {
			struct kbs_attestation a;
			char *again = NULL;
			size_t len;

			if ((uint8_t)ATTESTATION[i] == c)
				continue;
			text[i] = (char)c;
			if (kbs_attestation_parse((struct span){ text, sizeof(text) - 1 }, &a,
						  NULL) != ATTEST_OK)
				continue;
			assert_int_equal(kbs_attestation_write(&a, &again, &len, NULL),
					 ATTEST_OK);
			assert_string_not_equal(again, ATTESTATION);
			free(again);
			kbs_attestation_free(&a);
		}
		text[i] = ATTESTATION[i];
	}
}

/* ---- bounds ------------------------------------------------------------------------ */

/* `before`, n times `piece`, `after` as primary evidence. */
static enum attest_status with_evidence(const char *before, const char *piece, size_t n,
					const char *after)
{
	static const char head[] = "{" RUN ",\"tee-evidence\":{\"additional_evidence\":\"\","
				   "\"primary_evidence\":";
	size_t size = sizeof(head) + strlen(before) + n * strlen(piece) + strlen(after) + 3;
	char *text = malloc(size), *at = text;
	struct kbs_attestation a;
	enum attest_status s;

	assert_non_null(text);
	at = stpcpy(stpcpy(at, head), before);
	for (size_t i = 0; i < n; i++)
		at = stpcpy(at, piece);
	stpcpy(stpcpy(at, after), "}}");
	s = kbs_attestation_parse(span_of(text), &a, NULL);
	if (s == ATTEST_OK)
		kbs_attestation_free(&a);
	free(text);
	return s;
}

static void depth_size_and_number_have_bounds(void **state)
{
	static const char deep[] = "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";
	size_t inside = KBS_DEPTH - 2, after = sizeof(deep) - 1;

	(void)state;
	assert_int_equal(with_evidence("", "[", inside, deep + after - inside), ATTEST_OK);
	assert_int_equal(with_evidence("", "[", inside + 1, deep + after - inside - 1),
			 ATTEST_MALFORMED);
	assert_int_equal(with_evidence("", "[", 100000, ""), ATTEST_MALFORMED);
	assert_int_equal(with_evidence("", "{\"a\":", 100000, ""), ATTEST_MALFORMED);
	/* brackets in a text are none, and an escaped quote does not end it */
	assert_int_equal(with_evidence("\"", "[", 100, "\""), ATTEST_OK);
	assert_int_equal(with_evidence("\"\\\"", "[,", 100000, "\""), ATTEST_OK);
	assert_int_equal(with_evidence("[1", ",1", 60000, "]"), ATTEST_OK);
	assert_int_equal(with_evidence("[1", ",1", KBS_VALUES, "]"), ATTEST_MALFORMED);
	assert_int_equal(with_evidence("[{}", ",{}", KBS_VALUES / 2, "]"), ATTEST_MALFORMED);
	assert_int_equal(with_evidence("\"", "x", KBS_BODY_MAX - 200, "\""), ATTEST_OK);
	assert_int_equal(with_evidence("\"", "x", KBS_BODY_MAX, "\""), ATTEST_MALFORMED);
}

/* ---- response and errors ----------------------------------------------------------- */

static void tokens_are_compact(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"token\":1}",
		"{\"token\":\"\"}",
		"{\"token\":\"a.b\"}",
		"{\"token\":\"a.b.c.d\"}",
		"{\"token\":\"a..c\"}",
		"{\"token\":\".b.c\"}",
		"{\"token\":\"a.b.\"}",
		"{\"token\":\"a.b.c=\"}",
		"{\"token\":\"a.b+.c\"}",
		"{\"token\":\"a.b.c\\r\\nX: y\"}",
		"{\"token\":\"a.b.c\",\"token\":\"a.b.c\"}",
	};
	char *text = NULL, *token = NULL;
	size_t len;

	(void)state;
	assert_int_equal(kbs_token_write("a-_9.b.c", &text, &len, NULL), ATTEST_OK);
	assert_string_equal(text, "{\"token\":\"a-_9.b.c\"}");
	assert_int_equal(kbs_token_parse((struct span){ text, len }, &token, NULL), ATTEST_OK);
	assert_string_equal(token, "a-_9.b.c");
	free(text);
	free(token);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(kbs_token_parse(span_of(bad[i]), &token, NULL),
				 ATTEST_MALFORMED);
	assert_int_equal(kbs_token_write("a.b", &text, &len, NULL), ATTEST_MALFORMED);
}

static void only_sessions_are_answered_401(void **state)
{
	(void)state;
	for (enum kbs_answer a = 0; a < KBS_ANSWERS; a++) {
		char body[KBS_ERROR_BODY];
		struct kbs_error e;
		size_t len;

		assert_int_equal(kbs_answer_status(a) == 401,
				 a == KBS_NO_SESSION || a == KBS_BAD_TOKEN);
		assert_non_null(http_reason(kbs_answer_status(a)));
		kbs_error_write(a, NULL, body, &len);
		assert_int_equal(len, strlen(body));
		assert_int_equal(kbs_error_parse((struct span){ body, len }, &e, NULL),
				 ATTEST_OK);
		assert_true(e.type[0] && e.detail[0]);
	}
}

static void errors_have_two_members(void **state)
{
	char body[KBS_ERROR_BODY];
	size_t len;

	(void)state;
	kbs_error_write(KBS_MALFORMED, "runtime-data.nonce: is missing", body, &len);
	assert_string_equal(body, "{\"detail\":\"runtime-data.nonce: is missing\",\"type\":"
				  "\"https://github.com/confidential-containers/kbs/errors/"
				  "SerdeError\"}");
}

static void a_denial_has_one_wording(void **state)
{
	char one[KBS_ERROR_BODY], other[KBS_ERROR_BODY];
	size_t len, other_len;

	(void)state;
	kbs_error_write(KBS_DENIED, NULL, one, &len);
	kbs_error_write(KBS_DENIED, "the key exists, but is another tenant's", other,
			&other_len);
	assert_int_equal(kbs_answer_status(KBS_DENIED), 403);
	assert_int_equal(len, other_len);
	assert_memory_equal(one, other, len);
}

static void hostile_details_stay_one_text(void **state)
{
	static const char *const pieces[] = { "\"",   "\\",       "\n",          "\x01",
					      "\xff", "\xc3\xa9", "\xe2\x80\xae" };
	char detail[5000], body[KBS_ERROR_BODY];
	struct kbs_error e;
	size_t len;

	(void)state;
	for (size_t i = 0; i < COUNT(pieces); i++) {
		char *at = detail;

		while (at < detail + sizeof(detail) - 4)
			at = stpcpy(at, pieces[i]);
		kbs_error_write(KBS_INTERNAL, detail, body, &len);
		assert_true(len > 100);
		assert_int_equal(kbs_error_parse((struct span){ body, len }, &e, NULL),
				 ATTEST_OK);
		assert_string_equal(e.type, "PluginInternalError");
	}
}

static void errors_of_others_are_read(void **state)
{
	struct kbs_error e;

	(void)state;
	assert_int_equal(kbs_error_parse(span_of("{\"type\":\"x/PolicyDeny\","
						 "\"detail\":\"a\\u001b[2Jb\"}"),
					 &e, NULL),
			 ATTEST_OK);
	assert_string_equal(e.type, "PolicyDeny");
	assert_string_equal(e.detail, "a\\x1b[2Jb");
	assert_int_equal(kbs_error_parse(span_of("{\"type\":\"x\"}"), &e, NULL),
			 ATTEST_MALFORMED);
	assert_int_equal(kbs_error_parse(span_of("<html>"), &e, NULL), ATTEST_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_to_endpoints),
		cmocka_unit_test(a_resource_is_no_longer_than_a_policy_can_name),
		cmocka_unit_test(sessions_are_32_digits),
		cmocka_unit_test(a_cookie_that_is_set_comes_back),
		cmocka_unit_test(the_binding_is_that_of_the_original),
		cmocka_unit_test(both_sides_bind_the_same),
		cmocka_unit_test(escapes_are_canonical),
		cmocka_unit_test(absurd_bindings_are_refused),
		cmocka_unit_test(requests_are_read),
		cmocka_unit_test(bad_requests_say_where),
		cmocka_unit_test(other_versions_are_refused_in_known_words),
		cmocka_unit_test(a_request_that_is_written_is_read),
		cmocka_unit_test(challenges_are_written_and_read),
		cmocka_unit_test(a_selection_is_never_guessed),
		cmocka_unit_test(an_attestation_is_read_and_written),
		cmocka_unit_test(bad_attestations_say_where),
		cmocka_unit_test(a_part_of_an_attestation_is_none),
		cmocka_unit_test(every_changed_byte_of_an_attestation_counts),
		cmocka_unit_test(depth_size_and_number_have_bounds),
		cmocka_unit_test(tokens_are_compact),
		cmocka_unit_test(only_sessions_are_answered_401),
		cmocka_unit_test(errors_have_two_members),
		cmocka_unit_test(a_denial_has_one_wording),
		cmocka_unit_test(hostile_details_stay_one_text),
		cmocka_unit_test(errors_of_others_are_read),
	};

	return cmocka_run_group_tests_name("kbs", tests, NULL, NULL);
}
