/* tests/attest/test_descriptor.c - the session descriptor: one text, one digest. */
#include "attest/descriptor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char sample[] =
	"algorithm = \"sha256\"\n"
	"version = \"0.1.0\"\n"
	"\n"
	"[data]\n"
	"\"cordon.toml\" = '''\n"
	"schema = \"cordon.descriptor/1\"\n"
	"tenant = \"acme\"\n"
	"session = \"00112233445566778899aabbccddeeff\"\n"
	"plan_digest = \"0000000000000000000000000000000000000000000000000000000000000000\"\n"
	"service = \"https://keys.internal:8443\"\n"
	"service_ca = "
	"\"sha256:1111111111111111111111111111111111111111111111111111111111111111\"\n"
	"\n"
	"[volumes]\n"
	"\"data\" = 7\n"
	"\"log.0\" = 9223372036854775807\n"
	"'''\n";

static struct descriptor parsed(const char *text)
{
	struct attest_error e = { .what = "" };
	struct descriptor d;

	if (descriptor_parse(text, strlen(text), &d, &e) != ATTEST_OK)
		fail_msg("%s: %s", e.where, e.what);
	return d;
}

static void malformed(const char *text, const char *where)
{
	struct attest_error e = { .what = "" };
	struct descriptor d = { .n_volumes = 77 };

	assert_int_equal(descriptor_parse(text, strlen(text), &d, &e), ATTEST_MALFORMED);
	assert_int_equal(d.n_volumes, 77); /* untouched on failure */
	assert_string_equal(e.where, where);
}

/* The sample with the first `from` replaced. */
static char *with(const char *from, const char *to)
{
	const char *at = strstr(sample, from);
	char *text = calloc(1, sizeof(sample) + strlen(to));

	assert_non_null(at);
	assert_non_null(text);
	memcpy(text, sample, (size_t)(at - sample));
	strcat(text, to);
	strcat(text, at + strlen(from));
	return text;
}

static void a_text_is_read_and_written_alike(void **state)
{
	struct descriptor d = parsed(sample);
	char again[DESCRIPTOR_MAX];
	size_t n;

	(void)state;
	assert_int_equal(d.hash, DESCRIPTOR_SHA256);
	assert_string_equal(d.tenant, "acme");
	assert_int_equal(d.session[1], 0x11);
	assert_string_equal(d.service, "https://keys.internal:8443");
	assert_int_equal(d.n_volumes, 2);
	assert_string_equal(d.volumes[1].name, "log.0");
	assert_int_equal(d.volumes[1].generation, INT64_MAX);
	assert_int_equal(descriptor_print(&d, again, &n, NULL), ATTEST_OK);
	assert_int_equal(n, strlen(sample));
	assert_string_equal(again, sample);
}

static void a_session_without_keys_and_volumes_has_one_too(void **state)
{
	struct descriptor d = parsed(sample), again;
	char text[DESCRIPTOR_MAX];
	size_t n;

	(void)state;
	d.service[0] = d.service_ca[0] = '\0';
	d.n_volumes = 0;
	d.hash = DESCRIPTOR_SHA384;
	assert_int_equal(descriptor_print(&d, text, &n, NULL), ATTEST_OK);
	assert_null(strstr(text, "volumes"));
	again = parsed(text);
	assert_string_equal(again.service, "");
	assert_int_equal(again.hash, DESCRIPTOR_SHA384);
}

/* sha256sum and sha384sum of the sample. */
static void digests_are_those_of_the_exact_text(void **state)
{
	static const uint8_t sha256[4] = { 0xaf, 0x70, 0x08, 0x0d },
			     sha384[4] = { 0xbd, 0x77, 0x10, 0x1b };
	uint8_t digest[DESCRIPTOR_DIGEST_MAX];

	(void)state;
	assert_int_equal(descriptor_hash_size(DESCRIPTOR_SHA256), 32);
	assert_int_equal(descriptor_hash_size(DESCRIPTOR_SHA384), 48);
	assert_int_equal(descriptor_hash_size(0), 0);
	assert_int_equal(
		descriptor_digest(DESCRIPTOR_SHA256, sample, strlen(sample), digest, NULL),
		ATTEST_OK);
	assert_memory_equal(digest, sha256, sizeof(sha256));
	assert_int_equal(
		descriptor_digest(DESCRIPTOR_SHA384, sample, strlen(sample), digest, NULL),
		ATTEST_OK);
	assert_memory_equal(digest, sha384, sizeof(sha384));
	assert_int_equal(descriptor_digest(0, sample, strlen(sample), digest, NULL),
			 ATTEST_SYSTEM);
}

static void every_truncation_is_malformed(void **state)
{
	struct descriptor d;

	(void)state;
	for (size_t n = 0; n < strlen(sample); n++) {
		char *text = malloc(n ? n : 1); /* of exactly that size, for the sanitizer */

		assert_non_null(text);
		memcpy(text, sample, n);
		assert_int_equal(descriptor_parse(text, n, &d, NULL), ATTEST_MALFORMED);
		free(text);
	}
}

/* Whatever is accepted with one byte changed is another descriptor, and says so. */
static void a_changed_byte_is_another_text_or_none(void **state)
{
	char text[sizeof(sample)], again[DESCRIPTOR_MAX];
	struct descriptor d;
	size_t len;

	(void)state;
	for (size_t i = 0; i < strlen(sample); i++)
		for (unsigned byte = 0; byte < 256; byte++) {
			memcpy(text, sample, sizeof(sample));
			text[i] = (char)byte;
			if (descriptor_parse(text, strlen(sample), &d, NULL) != ATTEST_OK)
				continue;
			assert_int_equal(descriptor_print(&d, again, &len, NULL), ATTEST_OK);
			assert_int_equal(len, strlen(sample));
			assert_memory_equal(again, text, len);
		}
}

static void other_toml_is_malformed_with_its_line(void **state)
{
	static const struct {
		const char *from, *to, *where;
	} cases[] = {
		{ "sha256\"\nv", "sha512\"\nv", "descriptor, line 1" },
		{ "algorithm = ", "algorithm=", "descriptor, line 1" },
		{ "\nversion", "\n\nversion", "descriptor, line 2" },
		{ "0.1.0", "0.2.0", "descriptor, line 2" },
		{ "\"cordon.toml\" = '''", "\"a.toml\" = \"\"\n\"cordon.toml\" = '''",
		  "descriptor, line 2" },
		{ "descriptor/1", "descriptor/2", "descriptor, line 6" },
		{ "acme", "Acme", "descriptor, line 7" },
		{ "\"acme\"", "'acme'", "descriptor, line 7" },
		{ "\"acme\"", "\"acme\" # a tenant", "descriptor, line 7" },
		{ "aabbccddeeff", "AABBCCDDEEFF", "descriptor, line 8" },
		{ "aabbccddeeff", "aabbccddee", "descriptor, line 8" },
		{ "plan_digest", "plan", "descriptor, line 9" },
		{ "https", "http", "descriptor, line 10" },
		{ "https://keys.internal:8443", "", "descriptor, line 10" },
		{ "sha256:1", "sha256:", "descriptor, line 10" },
		{ "\"data\" = 7\n\"log.0\"", "\"log.0\" = 7\n\"log.0\"",
		  "descriptor, line 15" },
		{ "\"data\" = 7", "data = 7", "descriptor, line 14" },
		{ "= 7", "= 07", "descriptor, line 14" },
		{ "= 7", "= -7", "descriptor, line 14" },
		{ "= 7", "= 9223372036854775808", "descriptor, line 14" },
		{ "\"data\" = 7\n\"log.0\" = 9223372036854775807\n", "",
		  "descriptor, line 14" },
		{ "'''\n", "'''", "descriptor, line 2" }, /* the head is one piece */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = with(cases[i].from, cases[i].to);

		malformed(text, cases[i].where);
		free(text);
	}
	malformed("", "descriptor, line 1");
}

static void nothing_may_follow(void **state)
{
	char text[sizeof(sample) + 1];
	struct descriptor d;

	(void)state;
	snprintf(text, sizeof(text), "%s\n", sample);
	assert_int_equal(descriptor_parse(text, sizeof(sample), &d, NULL), ATTEST_MALFORMED);
	text[sizeof(sample) - 1] = '\0';
	assert_int_equal(descriptor_parse(text, sizeof(sample), &d, NULL), ATTEST_MALFORMED);
}

static void what_is_not_of_its_form_is_not_written(void **state)
{
	const struct descriptor good = parsed(sample);
	struct descriptor d;
	char text[DESCRIPTOR_MAX];
	size_t n = 77;

	(void)state;
#define REFUSED(change)                                                                        \
	do {                                                                                   \
		d = good;                                                                      \
		change;                                                                        \
		assert_int_equal(descriptor_print(&d, text, &n, NULL), ATTEST_REFUSED);        \
		assert_int_equal(n, 77);                                                       \
	} while (0)
	REFUSED(d.hash = 0);
	REFUSED(strcpy(d.tenant, "a\"b"));
	REFUSED(strcpy(d.tenant, ""));
	REFUSED(strcpy(d.service, "https://a'''b"));
	REFUSED(d.service_ca[0] = '\0');
	REFUSED(strcpy(d.service_ca, "sha256:1"));
	REFUSED(strcpy(d.volumes[0].name, "z"));
	REFUSED(strcpy(d.volumes[0].name, "a b"));
	REFUSED(d.volumes[0].generation = UINT64_MAX);
	REFUSED(d.n_volumes = DESCRIPTOR_VOLUMES + 1);
#undef REFUSED
}

static void the_largest_one_fits_and_has_a_limit(void **state)
{
	struct descriptor d = parsed(sample), again;
	char text[DESCRIPTOR_MAX], more[DESCRIPTOR_MAX * 2];
	size_t n;

	(void)state;
	memset(d.tenant, 'a', sizeof(d.tenant) - 1);
	memset(d.service + 8, 'a', sizeof(d.service) - 9);
	d.n_volumes = DESCRIPTOR_VOLUMES;
	for (size_t i = 0; i < DESCRIPTOR_VOLUMES; i++) {
		memset(d.volumes[i].name, 'a', 64);
		d.volumes[i].name[63] = (char)(i < 26 ? 'a' + i : '0' + i - 26);
		d.volumes[i].name[62] = i < 26 ? 'z' : '0';
		d.volumes[i].name[64] = '\0';
		d.volumes[i].generation = INT64_MAX;
	}
	qsort(d.volumes, d.n_volumes, sizeof(d.volumes[0]),
	      (int (*)(const void *, const void *))strcmp);
	d.service[sizeof(d.service) - 1] = '\0';
	assert_int_equal(descriptor_print(&d, text, &n, NULL), ATTEST_OK);
	assert_int_equal(descriptor_parse(text, n, &again, NULL), ATTEST_OK);
	assert_int_equal(again.n_volumes, DESCRIPTOR_VOLUMES);
	memset(more, 'a', sizeof(more));
	assert_int_equal(descriptor_parse(more, sizeof(more), &again, NULL), ATTEST_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_read_and_written_alike),
		cmocka_unit_test(a_session_without_keys_and_volumes_has_one_too),
		cmocka_unit_test(digests_are_those_of_the_exact_text),
		cmocka_unit_test(every_truncation_is_malformed),
		cmocka_unit_test(a_changed_byte_is_another_text_or_none),
		cmocka_unit_test(other_toml_is_malformed_with_its_line),
		cmocka_unit_test(nothing_may_follow),
		cmocka_unit_test(what_is_not_of_its_form_is_not_written),
		cmocka_unit_test(the_largest_one_fits_and_has_a_limit),
	};

	return cmocka_run_group_tests_name("descriptor", tests, NULL, NULL);
}
