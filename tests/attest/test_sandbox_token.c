/* tests/attest/test_sandbox_token.c - tokens of a sandbox, the keys and certificates behind
 * them. Whether one is believed is tests/attest/test_evidence.c. */
#include "tests/attest/sandbox_sample.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct sample_issuer anchor;
static EVP_PKEY *key, *other_key;
static X509 *leaf;

static int make_host(void **state)
{
	struct sample_spec ca = SAMPLE_CA, host = SAMPLE_LEAF;

	(void)state;
	anchor = sample_anchor(&ca);
	key = sample_key("P-256");
	other_key = sample_key("P-256");
	leaf = sample_certificate(&host, key, &anchor);
	return 0;
}

static int free_host(void **state)
{
	(void)state;
	X509_free(leaf);
	X509_free(anchor.certificate);
	EVP_PKEY_free(anchor.key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	return 0;
}

static char *good_token(void)
{
	struct sandbox_facts f = sample_facts();
	char *token = NULL;

	assert_int_equal(sandbox_token_sign(&f, key, &leaf, 1, &token, NULL), ATTEST_OK);
	return token;
}

static enum attest_status read_token(const char *text, size_t len, struct sandbox_facts *ret)
{
	struct sandbox_token *t = NULL;
	enum attest_status s = sandbox_token_parse(text, len, &t, NULL);

	assert_int_not_equal(s, ATTEST_SYSTEM);
	if (s == ATTEST_OK)
		s = sandbox_token_verify(t, ret, NULL);
	sandbox_token_free(t);
	return s;
}

/* ---- tokens ------------------------------------------------------------------------ */

static void facts_come_back_as_they_were(void **state)
{
	struct sandbox_facts f = sample_facts(), again;
	char one[SANDBOX_PAYLOAD_MAX], two[SANDBOX_PAYLOAD_MAX];
	char *token = good_token();
	size_t n;

	(void)state;
	assert_int_equal(read_token(token, strlen(token), &again), ATTEST_OK);
	assert_int_equal(sandbox_facts_print(&f, one, &n, NULL), ATTEST_OK);
	assert_int_equal(sandbox_facts_print(&again, two, &n, NULL), ATTEST_OK);
	assert_string_equal(one, two);
	free(token);
}

static void one_newline_may_follow(void **state)
{
	struct sandbox_facts f;
	char *token = good_token(), *longer;

	(void)state;
	assert_true(asprintf(&longer, "%s\n\n", token) > 0);
	assert_int_equal(read_token(longer, strlen(token) + 1, &f), ATTEST_OK);
	assert_int_equal(read_token(longer, strlen(token) + 2, &f), ATTEST_MALFORMED);
	free(longer);
	free(token);
}

static void every_truncation_is_refused_or_malformed(void **state)
{
	struct sandbox_facts f = { .issued = 77 };
	char *token = good_token();

	(void)state;
	for (size_t n = 0; n < strlen(token); n++) {
		char *text = malloc(n ? n : 1);

		assert_non_null(text);
		memcpy(text, token, n);
		assert_int_not_equal(read_token(text, n, &f), ATTEST_OK);
		free(text);
	}
	assert_int_equal(f.issued, 77);
	free(token);
}

static void every_changed_byte_is_refused_or_malformed(void **state)
{
	struct sandbox_facts f;
	char *token = good_token();
	size_t len = strlen(token);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			token[i] = (char)(token[i] ^ (1 << bit));
			assert_int_not_equal(read_token(token, len, &f), ATTEST_OK);
			token[i] = (char)(token[i] ^ (1 << bit));
			if (!getenv("CORDON_SOAK"))
				bit += 2;
		}
	}
	free(token);
}

static void another_keys_signature_is_refused(void **state)
{
	struct sandbox_facts f = sample_facts(), read;
	char *token = sample_token(&f, other_key, &leaf, 1);

	(void)state;
	assert_int_equal(read_token(token, strlen(token), &read), ATTEST_REFUSED);
	free(token);
}

static void other_headers_are_malformed(void **state)
{
	struct sandbox_facts f = sample_facts(), read;
	EVP_PKEY *p384 = sample_key("P-384");
	struct sample_spec host = SAMPLE_LEAF;
	X509 *long_leaf = sample_certificate(&host, p384, &anchor);
	X509 *many[SANDBOX_CERTIFICATES + 1] = { leaf, leaf, leaf, leaf, leaf };
	char payload[SANDBOX_PAYLOAD_MAX], *tokens[5];
	size_t n;

	(void)state;
	assert_int_equal(sandbox_facts_print(&f, payload, &n, NULL), ATTEST_OK);
	tokens[0] = sample_sign(payload, key, "JWT", &leaf, 1);
	tokens[1] = sample_sign(payload, key, NULL, &leaf, 1);
	tokens[2] = sample_sign(payload, key, SANDBOX_TYP, NULL, 0);
	tokens[3] = sample_sign(payload, key, SANDBOX_TYP, many, SANDBOX_CERTIFICATES + 1);
	tokens[4] = sample_sign(payload, p384, SANDBOX_TYP, &long_leaf, 1); /* ES384 */
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(read_token(tokens[i], strlen(tokens[i]), &read),
				 ATTEST_MALFORMED);
		free(tokens[i]);
	}
	X509_free(long_leaf);
	EVP_PKEY_free(p384);
}

/* ---- facts ------------------------------------------------------------------------- */

static json_t *payload(void)
{
	struct sandbox_facts f = sample_facts();
	char text[SANDBOX_PAYLOAD_MAX];
	json_t *o;
	size_t n;

	assert_int_equal(sandbox_facts_print(&f, text, &n, NULL), ATTEST_OK);
	o = json_loads(text, 0, NULL);
	assert_non_null(o);
	return o;
}

/* Takes `o` over. */
static void is_no_payload(json_t *o, const char *member)
{
	struct attest_error e = { .what = "" };
	struct sandbox_facts f = { .issued = 77 };

	assert_int_equal(sandbox_facts_read(o, &f, &e), ATTEST_MALFORMED);
	assert_int_equal(f.issued, 77);
	if (!strstr(e.what, member))
		fail_msg("\"%s\" does not name %s", e.what, member);
	json_decref(o);
}

static void every_member_is_needed_and_no_other(void **state)
{
	json_t *all = payload(), *value, *inner;
	const char *name, *part;

	(void)state;
	json_object_foreach(all, name, value)
	{
		json_t *o = json_deep_copy(all);

		json_object_del(o, name);
		is_no_payload(o, name);
		o = json_deep_copy(all);
		json_object_set_new(o, name, json_null());
		is_no_payload(o, name);
		json_object_foreach(value, part, inner)
		{
			o = json_deep_copy(all);
			json_object_del(json_object_get(o, name), part);
			is_no_payload(o, name);
			o = json_deep_copy(all);
			json_object_set_new(json_object_get(o, name), part, json_real(1.5));
			is_no_payload(o, name);
		}
		if (json_is_object(value)) {
			o = json_deep_copy(all);
			json_object_set_new(json_object_get(o, name), "further", json_null());
			is_no_payload(o, name);
		}
	}
	json_object_set_new(all, "further", json_null());
	is_no_payload(all, "further");
}

static void values_have_one_form(void **state)
{
	static const struct {
		const char *object, *member, *value;
	} cases[] = {
		{ "workload", "coverage", "\"most\"" },
		{ "key", "custody", "\"drawer\"" },
		{ "host", "id", "\"a b\"" },
		{ "host", "id", "\"\"" },
		{ "host", "boot_id", "\"01234567-89ab-cdef-0123-456789ABCDEF\"" },
		{ "host", "boot_id", "\"0123456789abcdef0123456789abcdef\"" },
		{ "host", "kernel_release", "\"a\\nb\"" },
		{ "launcher", "uid", "-1" },
		{ "launcher", "uid", "4294967296" },
		{ "launcher", "uid", "\"0\"" },
		{ "plan", "digest", "\"11\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *o = payload();

		json_object_set_new(json_object_get(o, cases[i].object), cases[i].member,
				    json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		is_no_payload(o, cases[i].object);
	}
}

static void facts_that_are_not_of_their_form_are_not_signed(void **state)
{
	struct sandbox_facts f;
	char *token = NULL;

	(void)state;
#define REFUSED(change)                                                                        \
	do {                                                                                   \
		f = sample_facts();                                                            \
		change;                                                                        \
		assert_int_equal(sandbox_token_sign(&f, key, &leaf, 1, &token, NULL),          \
				 ATTEST_REFUSED);                                              \
		assert_null(token);                                                            \
	} while (0)
	REFUSED(f.coverage = 0);
	REFUSED(f.coverage = 4);
	REFUSED(strcpy(f.host_id, "a/b"));
	REFUSED(strcpy(f.key_custody, ""));
	REFUSED(strcpy(f.boot_id, "?"));
	REFUSED(strcpy(f.kernel_release, "\x1b[2J"));
	REFUSED(f.issued = -1);
#undef REFUSED
	f = sample_facts();
	assert_int_equal(sandbox_token_sign(&f, other_key, &leaf, 1, &token, NULL),
			 ATTEST_REFUSED);
	assert_int_equal(sandbox_token_sign(&f, key, &leaf, 0, &token, NULL), ATTEST_REFUSED);
	assert_int_equal(
		sandbox_token_sign(&f, key, &leaf, SANDBOX_CERTIFICATES + 1, &token, NULL),
		ATTEST_REFUSED);
}

/* ---- keys and certificates as files ---------------------------------------------------- */

static char folder[] = "/tmp/cordon-anchor.XXXXXX";

static int open_folder(void **state)
{
	static int fd;

	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &fd;
	return fd < 0;
}

static int remove_folder(void **state)
{
	static const char *const names[] = { "a.key", ".a.key.new", "a.pem", "link" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(*(int *)*state, names[i], 0);
	close(*(int *)*state);
	return rmdir(folder);
}

static void a_key_is_made_once_for_its_owner_alone(void **state)
{
	int dir = *(int *)*state;
	EVP_PKEY *made = NULL, *again = NULL, *third = NULL;
	struct stat st;

	assert_int_equal(anchor_key_open(dir, "a.key", &again, NULL), ATTEST_REFUSED);
	/* what a crash in the middle would leave */
	close(openat(dir, ".a.key.new", O_WRONLY | O_CREAT, 0644));
	assert_int_equal(anchor_key_make(dir, "a.key", ANCHOR_P256, &made, NULL), ATTEST_OK);
	assert_int_equal(fstatat(dir, "a.key", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(faccessat(dir, ".a.key.new", F_OK, 0), -1);
	assert_int_equal(anchor_key_make(dir, "a.key", ANCHOR_P256, &third, NULL),
			 ATTEST_REFUSED);
	assert_null(third);
	assert_int_equal(anchor_key_open(dir, "a.key", &again, NULL), ATTEST_OK);
	assert_int_equal(EVP_PKEY_eq(made, again), 1);
	EVP_PKEY_free(made);
	EVP_PKEY_free(again);
}

static void a_key_that_others_may_read_or_place_is_not_used(void **state)
{
	int dir = *(int *)*state;
	EVP_PKEY *made = NULL, *again = NULL;

	assert_int_equal(anchor_key_make(dir, "a.key", ANCHOR_P384, &made, NULL), ATTEST_OK);
	EVP_PKEY_free(made);
	assert_int_equal(fchmodat(dir, "a.key", 0640, 0), 0);
	assert_int_equal(anchor_key_open(dir, "a.key", &again, NULL), ATTEST_REFUSED);
	assert_int_equal(fchmodat(dir, "a.key", 0600, 0), 0);
	assert_int_equal(symlinkat("a.key", dir, "link"), 0);
	assert_int_equal(anchor_key_open(dir, "link", &again, NULL), ATTEST_REFUSED);
	assert_int_equal(anchor_key_open(dir, ".", &again, NULL), ATTEST_REFUSED);
	assert_int_equal(anchor_key_make(dir, "../a.key", ANCHOR_P256, &made, NULL),
			 ATTEST_REFUSED);
	assert_null(again);
}

static void a_file_that_is_no_key_is_malformed(void **state)
{
	int dir = *(int *)*state;
	int fd = openat(dir, "a.key", O_WRONLY | O_CREAT, 0600);
	EVP_PKEY *again = NULL;

	assert_int_equal(write(fd, "hello", 5), 5);
	close(fd);
	assert_int_equal(anchor_key_open(dir, "a.key", &again, NULL), ATTEST_MALFORMED);
	assert_null(again);
}

static void certificates_are_stored_and_read(void **state)
{
	int dir = *(int *)*state;
	X509 *read[2] = { NULL };
	size_t n = 0;

	assert_int_equal(anchor_certificate_put(dir, "a.pem", leaf, NULL), ATTEST_OK);
	assert_int_equal(anchor_certificate_put(dir, "a.pem", leaf, NULL), ATTEST_REFUSED);
	assert_int_equal(anchor_certificates_open(dir, "a.pem", 2, read, &n, NULL), ATTEST_OK);
	assert_int_equal(n, 1);
	assert_int_equal(X509_cmp(read[0], leaf), 0);
	X509_free(read[0]);
	assert_int_equal(anchor_certificates_open(dir, "a.pem", 0, read, &n, NULL),
			 ATTEST_MALFORMED);
}

/* ---- certificates -------------------------------------------------------------------- */

static const struct anchor_span year = { SAMPLE_AT, SAMPLE_AT + 365 * SAMPLE_DAY };

static void a_development_anchor_and_what_it_certifies_say_so(void **state)
{
	EVP_PKEY *ca_key = sample_key("P-384");
	X509 *ca = NULL, *host = NULL;

	(void)state;
	assert_int_equal(anchor_make_development(ca_key, "laptop", year, &ca, NULL), ATTEST_OK);
	assert_int_equal(anchor_certify(ca_key, ca, key, SAMPLE_HOST, year, &host, NULL),
			 ATTEST_OK);
	assert_true(anchor_is_development(ca));
	assert_true(anchor_is_development(host));
	assert_int_equal(X509_verify(host, ca_key), 1);
	assert_int_equal(X509_check_ca(ca), 1);
	assert_int_equal(X509_check_ca(host), 0);
	assert_int_equal(X509_get_key_usage(host), KU_DIGITAL_SIGNATURE);
	/* whoever does not know the marker must refuse */
	assert_true(X509_get_extension_flags(host) & EXFLAG_CRITICAL);
	X509_free(host);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
}

static void a_production_anchor_certifies_without_the_marker(void **state)
{
	X509 *host = NULL;

	(void)state;
	assert_int_equal(anchor_certify(anchor.key, anchor.certificate, key, SAMPLE_HOST, year,
					&host, NULL),
			 ATTEST_OK);
	assert_false(anchor_is_development(host));
	X509_free(host);
}

static void wrong_keys_names_and_times_are_not_certified(void **state)
{
	static const struct anchor_span never = { SAMPLE_AT, SAMPLE_AT };
	EVP_PKEY *p384 = sample_key("P-384"), *rsa = sample_key("RSA");
	X509 *c = NULL;

	(void)state;
	assert_int_equal(
		anchor_certify(other_key, anchor.certificate, key, SAMPLE_HOST, year, &c, NULL),
		ATTEST_REFUSED);
	assert_int_equal(anchor_certify(anchor.key, anchor.certificate, p384, SAMPLE_HOST, year,
					&c, NULL),
			 ATTEST_REFUSED);
	assert_int_equal(
		anchor_certify(anchor.key, anchor.certificate, key, "a b", year, &c, NULL),
		ATTEST_REFUSED);
	assert_int_equal(anchor_certify(anchor.key, anchor.certificate, key, SAMPLE_HOST, never,
					&c, NULL),
			 ATTEST_REFUSED);
	assert_int_equal(anchor_make_development(rsa, "x", year, &c, NULL), ATTEST_REFUSED);
	assert_null(c);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(rsa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_come_back_as_they_were),
		cmocka_unit_test(one_newline_may_follow),
		cmocka_unit_test(every_truncation_is_refused_or_malformed),
		cmocka_unit_test(every_changed_byte_is_refused_or_malformed),
		cmocka_unit_test(another_keys_signature_is_refused),
		cmocka_unit_test(other_headers_are_malformed),
		cmocka_unit_test(every_member_is_needed_and_no_other),
		cmocka_unit_test(values_have_one_form),
		cmocka_unit_test(facts_that_are_not_of_their_form_are_not_signed),
		cmocka_unit_test_setup_teardown(a_key_is_made_once_for_its_owner_alone,
						open_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_key_that_others_may_read_or_place_is_not_used,
						open_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_file_that_is_no_key_is_malformed, open_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(certificates_are_stored_and_read, open_folder,
						remove_folder),
		cmocka_unit_test(a_development_anchor_and_what_it_certifies_say_so),
		cmocka_unit_test(a_production_anchor_certifies_without_the_marker),
		cmocka_unit_test(wrong_keys_names_and_times_are_not_certified),
	};

	return cmocka_run_group_tests_name("sandbox_token", tests, make_host, free_host);
}
