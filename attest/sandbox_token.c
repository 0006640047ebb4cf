/* attest/sandbox_token.c - facts about a session as a signed token: the writing half. */
#include "attest/sandbox_token.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "attest/anchor.h"
#include "attest/hex.h"
#include "attest/json_writer.h"
#include "attest/jws.h"
#include "attest/sandbox_internal.h"

static const char *const coverages[] = {
	[SANDBOX_BINARY] = "binary",
	[SANDBOX_ROOTFS] = "rootfs",
	[SANDBOX_IMAGE] = "image",
};
#define COVERAGES (sizeof(coverages) / sizeof(coverages[0]))

const char *sandbox_coverage_str(enum sandbox_coverage c)
{
	return (size_t)c < COVERAGES && coverages[c] ? coverages[c] : "?";
}

/* ---- forms ----------------------------------------------------------------------- */

static bool printable(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s; s++)
		if (*s <= 0x20 || *s > 0x7e)
			return false;
	return true;
}

/* 8-4-4-4-12 lower-case hexadecimal digits, as /proc/sys/kernel/random/boot_id has them. */
static bool is_uuid(const char *s)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	uint8_t digit;

	for (size_t i = 0; i < sizeof(form); i++)
		if (form[i] == 'x' ? !hex_digit(s[i], &digit) : s[i] != form[i])
			return false;
	return true;
}

static bool is_custody(const char *s)
{
	return strcmp(s, "file") == 0 || strcmp(s, "hsm") == 0 || strcmp(s, "tpm") == 0;
}

const char *sandbox_facts_wrong(const struct sandbox_facts *f)
{
	if (!is_uuid(f->boot_id))
		return "host.boot_id";
	if (!anchor_is_host_id(f->host_id))
		return "host.id";
	if (!printable(f->kernel_release))
		return "host.kernel_release";
	if (f->issued < 0 || f->issued >= INT64_C(253402300800)) /* the year 10000 */
		return "iat";
	if (!is_custody(f->key_custody))
		return "key.custody";
	if (sandbox_coverage_str(f->coverage)[0] == '?')
		return "workload.coverage";
	return NULL;
}

/* ---- writing --------------------------------------------------------------------- */

static void put_text(struct json_writer *w, const char *name, const char *value)
{
	jw_key(w, name);
	jw_string(w, value);
}

static void put_bytes(struct json_writer *w, const char *name, const uint8_t *bytes, size_t n)
{
	char text[HEX_SIZE(SANDBOX_REPORT_DATA)];

	w->bad |= HEX_SIZE(n) > sizeof(text);
	hex_print(bytes, w->bad ? 0 : n, text);
	put_text(w, name, text);
}

static void put_flag(struct json_writer *w, const char *name, bool value)
{
	jw_key(w, name);
	jw_bool(w, value);
}

static void put_number(struct json_writer *w, const char *name, int64_t value)
{
	jw_key(w, name);
	jw_integer(w, value);
}

static void open_object(struct json_writer *w, const char *name)
{
	jw_key(w, name);
	jw_object(w);
}

static void put_digest(struct json_writer *w, const char *name,
		       const uint8_t digest[static SANDBOX_DIGEST])
{
	open_object(w, name);
	put_bytes(w, "digest", digest, SANDBOX_DIGEST);
	jw_object_end(w);
}

static void put_host(struct json_writer *w, const struct sandbox_facts *f)
{
	open_object(w, "host");
	put_text(w, "boot_id", f->boot_id);
	put_text(w, "id", f->host_id);
	put_flag(w, "init_on_free", f->init_on_free);
	put_text(w, "kernel_release", f->kernel_release);
	jw_object_end(w);
}

/* Members in ascending order: the writer refuses any other. */
static void put_facts(struct json_writer *w, const struct sandbox_facts *f)
{
	jw_object(w);
	open_object(w, "cordon");
	put_bytes(w, "digest", f->cordon, SANDBOX_DIGEST);
	put_flag(w, "fault_points", f->fault_points);
	jw_object_end(w);
	put_digest(w, "descriptor", f->descriptor);
	put_digest(w, "filter", f->filter);
	put_host(w, f);
	put_number(w, "iat", f->issued);
	open_object(w, "key");
	put_text(w, "custody", f->key_custody);
	jw_object_end(w);
	open_object(w, "launcher");
	put_number(w, "uid", f->launcher_uid);
	jw_object_end(w);
	put_digest(w, "plan", f->plan);
	put_bytes(w, "report_data", f->report_data, SANDBOX_REPORT_DATA);
	put_text(w, "schema", SANDBOX_SCHEMA);
	open_object(w, "workload");
	put_text(w, "coverage", sandbox_coverage_str(f->coverage));
	put_bytes(w, "digest", f->workload, SANDBOX_DIGEST);
	jw_object_end(w);
	jw_object_end(w);
}

enum attest_status sandbox_facts_print(const struct sandbox_facts *f,
				       char ret[static SANDBOX_PAYLOAD_MAX], size_t *ret_len,
				       struct attest_error *reterr)
{
	const char *wrong = sandbox_facts_wrong(f);
	struct json_writer w;

	if (wrong)
		return attest_fail(reterr, ATTEST_REFUSED, wrong, "",
				   "this fact is not of its form");
	jw_begin(&w, ret, SANDBOX_PAYLOAD_MAX);
	put_facts(&w, f);
	if (!jw_end(&w, ret_len))
		return attest_fail(reterr, ATTEST_REFUSED, "token", "",
				   "the facts are too large to be written");
	return ATTEST_OK;
}

/* ---- signing --------------------------------------------------------------------- */

static void free_all(struct jws_certificate *c, size_t n)
{
	while (n > 0)
		OPENSSL_free((void *)(uintptr_t)c[--n].der); /* it is ours: i2d_X509 made it */
}

static bool encode_all(X509 *const *chain, size_t n, struct jws_certificate *ret)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t *der = NULL;
		int len = i2d_X509(chain[i], &der);

		if (len <= 0) {
			free_all(ret, i);
			return false;
		}
		ret[i] = (struct jws_certificate){ der, (size_t)len };
	}
	return true;
}

enum attest_status sandbox_token_sign(const struct sandbox_facts *f, EVP_PKEY *key,
				      X509 *const *chain, size_t n_chain, char **ret,
				      struct attest_error *reterr)
{
	struct jws_certificate x5c[SANDBOX_CERTIFICATES];
	struct jws_head head = { .typ = SANDBOX_TYP, .x5c = x5c, .n_x5c = n_chain };
	char payload[SANDBOX_PAYLOAD_MAX];
	enum attest_status s;
	size_t len;

	s = sandbox_facts_print(f, payload, &len, reterr);
	if (s != ATTEST_OK)
		return s;
	if (n_chain < 1 || n_chain > SANDBOX_CERTIFICATES ||
	    anchor_key_curve(key) != ANCHOR_P256 ||
	    X509_check_private_key(chain[0], key) != 1) {
		ERR_clear_error();
		return attest_fail(reterr, ATTEST_REFUSED, "token", "",
				   "the first certificate is not that of a P-256 key, or not "
				   "of this one");
	}
	if (!encode_all(chain, n_chain, x5c))
		return attest_fail(reterr, ATTEST_SYSTEM, "token", "",
				   "libcrypto could not write the certificates");
	s = jws_sign(key, &head, payload, len, ret, reterr);
	free_all(x5c, n_chain);
	return s;
}
