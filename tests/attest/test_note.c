/* tests/attest/test_note.c - notes, keys, checkpoints, cosignatures. */
#include "attest/note.h"

#include "tests/attest/vectors.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <cmocka.h>

#define NAME "log.example/a"
#define TEXT "first\n\nthird: \u00e9 \u2014 not a signature\n"

static const uint8_t seed[32] = { 1, 2, 3 }, other_seed[32] = { 9 };

static struct note_signer *signer(const char *name, const uint8_t from[static 32])
{
	struct note_signer *s = NULL;

	assert_int_equal(note_signer_new(name, from, &s, NULL), ATTEST_OK);
	return s;
}

static char *sign(const char *name, const uint8_t from[static 32], const char *text)
{
	struct note_signer *s = signer(name, from);
	char *note = NULL;

	assert_int_equal(note_sign(s, text, &note, NULL), ATTEST_OK);
	note_signer_free(s);
	return note;
}

static struct note_verifier verifier(const char *name, const uint8_t from[static 32])
{
	struct note_signer *s = signer(name, from);
	struct note_verifier v = *note_signer_verifier(s);

	note_signer_free(s);
	return v;
}

static enum attest_status open_note(const char *text, const struct note_verifier *v, size_t n,
				    struct note *ret)
{
	struct attest_error e = { .what = "" };
	enum attest_status s = note_open(text, strlen(text), v, n, ret, &e);

	assert_true((s == ATTEST_OK) == (e.what[0] == '\0'));
	assert_int_not_equal(s, ATTEST_SYSTEM);
	return s;
}

static struct note_verifier parse(const char *text)
{
	struct note_verifier v;

	assert_int_equal(note_verifier_parse(text, &v, NULL), ATTEST_OK);
	return v;
}

/* ---- vectors ------------------------------------------------------------------------ */

static void keys_are_the_vectors(void **state)
{
	json_t *all = vector_load("vkeys.json"), *one;
	struct note_verifier v = { .name = "untouched" }, again;
	char text[NOTE_VKEY];
	size_t i;

	(void)state;
	if (!all)
		skip();
	json_array_foreach(json_object_get(all, "bad"), i, one)
	{
		assert_int_equal(note_verifier_parse(vector_text(one, "vkey"), &v, NULL),
				 ATTEST_MALFORMED);
		assert_string_equal(v.name, "untouched");
	}
	json_array_foreach(json_object_get(all, "good"), i, one)
	{
		v = parse(json_string_value(one));
		note_verifier_print(&v, text);
		assert_string_equal(text, json_string_value(one));
		assert_true(note_verifier_make(v.name, v.kind, v.key, &again));
		assert_memory_equal(again.id, v.id, sizeof(v.id));
	}
	json_decref(all);
}

static void signers_are_the_vectors(void **state)
{
	json_t *all = vector_load("keys.json");
	json_t *log = json_object_get(all, "log");
	char text[NOTE_VKEY];
	struct note_signer *s;
	uint8_t *from;
	size_t n;

	(void)state;
	if (!all)
		skip();
	from = vector_hex(vector_text(log, "seed_hex"), &n);
	s = signer(vector_text(log, "name"), from);
	note_verifier_print(note_signer_verifier(s), text);
	assert_string_equal(text, vector_text(log, "vkey"));
	note_signer_free(s);
	free(from);
	json_decref(all);
}

static void notes_are_the_vectors(void **state)
{
	json_t *all = vector_load("notes.json"), *c;
	struct note_verifier v;
	struct note n;
	size_t i;

	(void)state;
	if (!all)
		skip();
	v = parse(vector_text(all, "verifier"));
	json_array_foreach(json_object_get(all, "cases"), i, c)
	{
		size_t len = 0, text_len = 0;
		char *bytes = vector_base64(vector_text(c, "note_b64"), &len), *text;
		enum attest_status s = note_open(bytes, len, &v, 1, &n, NULL);

		if ((s == ATTEST_OK) != vector_good(c))
			fail_msg("%s", vector_text(c, "name"));
		if (s == ATTEST_OK) {
			text = vector_base64(vector_text(c, "text_b64"), &text_len);
			assert_int_equal(n.text_len, text_len);
			assert_memory_equal(n.text, text, text_len);
			free(text);
		}
		free(bytes);
	}
	json_decref(all);
}

static void checkpoints_are_the_vectors(void **state)
{
	json_t *all = vector_load("checkpoints.json"), *keys = vector_load("keys.json"), *c;
	struct note_verifier v;
	struct note_signer *s;
	struct checkpoint cp;
	struct note n;
	uint8_t *from;
	size_t i, len;

	(void)state;
	if (!all || !keys)
		skip();
	from = vector_hex(vector_text(json_object_get(keys, "log"), "seed_hex"), &len);
	v = parse(vector_text(all, "verifier"));
	s = signer(v.name, from);
	json_array_foreach(json_object_get(all, "cases"), i, c)
	{
		const char *text = vector_text(c, "checkpoint");
		enum attest_status status =
			checkpoint_open(text, strlen(text), &v, 1, &cp, &n, NULL);
		char body[NOTE_NAME + 80], *again = NULL;
		struct tlog_hash root;

		if ((status == ATTEST_OK) != vector_good(c))
			fail_msg("%s", vector_text(c, "name"));
		if (status != ATTEST_OK)
			continue;
		root = vector_hash(vector_text(c, "root"));
		assert_int_equal(cp.size, vector_number(c, "size"));
		assert_memory_equal(cp.root.bytes, root.bytes, TLOG_HASH);
		assert_string_equal(cp.origin, vector_text(all, "origin"));
		if (strstr(vector_text(c, "name"), "extension"))
			continue;
		/* Signing is deterministic: what we write is what the vector has. */
		checkpoint_print(&cp, body);
		assert_int_equal(note_sign(s, body, &again, NULL), ATTEST_OK);
		assert_string_equal(again, text);
		free(again);
	}
	note_signer_free(s);
	free(from);
	json_decref(all);
	json_decref(keys);
}

static bool has_mark(const struct note *n, const struct note_verifier *by, int64_t *ret_time)
{
	for (size_t i = 0; i < n->n_marks; i++)
		if (n->marks[i].by == by) {
			*ret_time = n->marks[i].time;
			return true;
		}
	return false;
}

static void cosignatures_are_the_vectors(void **state)
{
	json_t *all = vector_load("cosignatures.json"), *c, *pq;
	struct note_verifier v[3];
	struct checkpoint cp;
	struct note n;
	const char *text;
	int64_t time = 0;
	size_t i;

	(void)state;
	if (!all)
		skip();
	v[0] = parse(vector_text(all, "log_verifier"));
	v[1] = parse(vector_text(all, "witness_verifier"));
	json_array_foreach(json_object_get(all, "cases"), i, c)
	{
		bool good;

		text = vector_text(c, "checkpoint");
		good = checkpoint_open(text, strlen(text), v, 2, &cp, &n, NULL) == ATTEST_OK &&
		       has_mark(&n, &v[1], &time);
		if (good != vector_good(c))
			fail_msg("%s", vector_text(c, "name"));
		if (good)
			assert_int_equal(time, vector_number(c, "time"));
	}
	/* A kind that is not judged here: known or not, its line changes nothing. */
	pq = json_object_get(all, "mldsa44");
	if (json_is_object(pq)) {
		text = vector_text(pq, "checkpoint");
		v[2] = parse(vector_text(pq, "vkey"));
		assert_int_equal(v[2].kind, NOTE_MLDSA44);
		assert_int_equal(checkpoint_open(text, strlen(text), v, 3, &cp, &n, NULL),
				 ATTEST_OK);
		assert_int_equal(n.n_marks, 1);
		assert_int_equal(n.unknown, 1);
	}
	json_decref(all);
}

/* ---- keys --------------------------------------------------------------------------- */

/* RFC 8032, section 7.1, tests 1 and 3. */
static void signatures_are_those_of_rfc_8032(void **state)
{
	static const struct {
		const char *seed, *key, *message, *signature;
	} tests[] = {
		{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
		  "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
		{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
		  "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		size_t n, len;
		uint8_t *from = vector_hex(tests[i].seed, &n);
		uint8_t *key = vector_hex(tests[i].key, &n);
		uint8_t *message = vector_hex(tests[i].message, &len);
		uint8_t *wanted = vector_hex(tests[i].signature, &n), got[64];
		struct note_signer *s = signer(NAME, from);

		assert_memory_equal(note_signer_verifier(s)->key, key, 32);
		assert_int_equal(note_sign_raw(s, message, len, got, NULL), ATTEST_OK);
		assert_memory_equal(got, wanted, sizeof(got));
		assert_true(note_verify_raw(key, message, len, got));
		for (size_t bit = 0; bit < 8 * sizeof(got); bit++) {
			got[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_false(note_verify_raw(key, message, len, got));
			got[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		assert_false(note_verify_raw(key, "x", 1, got));
		note_signer_free(s);
		free(from);
		free(key);
		free(message);
		free(wanted);
	}
}

static void every_cut_or_changed_key_is_refused(void **state)
{
	struct note_verifier v = verifier(NAME, seed), got = { .name = "untouched" };
	char text[NOTE_VKEY], copy[NOTE_VKEY + 2];
	size_t len;

	(void)state;
	note_verifier_print(&v, text);
	len = strlen(text);
	for (size_t n = 0; n < len; n++) {
		memcpy(copy, text, len + 1);
		copy[n] = '\0';
		assert_int_equal(note_verifier_parse(copy, &got, NULL), ATTEST_MALFORMED);
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(copy, text, len + 1);
			copy[n] = (char)(copy[n] ^ (char)(1u << bit));
			assert_int_equal(note_verifier_parse(copy, &got, NULL),
					 ATTEST_MALFORMED);
		}
	}
	assert_string_equal(got.name, "untouched");
	snprintf(copy, sizeof(copy), "%s\n", text);
	got = parse(copy);
	assert_string_equal(got.name, NAME);
	snprintf(copy, sizeof(copy), "%s\n\n", text);
	assert_int_equal(note_verifier_parse(copy, &got, NULL), ATTEST_MALFORMED);
	snprintf(copy, sizeof(copy), "%s ", text);
	assert_int_equal(note_verifier_parse(copy, &got, NULL), ATTEST_MALFORMED);
}

static void a_key_has_one_base64_which_may_hold_a_plus(void **state)
{
	uint8_t key[32];
	struct note_verifier v, got;
	char text[NOTE_VKEY], *end;

	(void)state;
	memset(key, 0xfb, sizeof(key)); /* "+/v7" */
	assert_true(note_verifier_make("plus", NOTE_ED25519, key, &v));
	note_verifier_print(&v, text);
	assert_non_null(strchr(strchr(strchr(text, '+') + 1, '+') + 1, '+'));
	got = parse(text);
	assert_memory_equal(got.key, key, sizeof(key));

	/* 33 bytes need no padding; a note's signature does: see below. */
	end = text + strlen(text);
	memcpy(end, "====", 5);
	assert_int_equal(note_verifier_parse(text, &got, NULL), ATTEST_MALFORMED);
}

static void names_have_no_spaces_controls_or_plus(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"a b",
		" a",
		"a+b",
		"+",
		"a\tb",
		"a\nb",
		"a\rb",
		"a\vb",
		"a\fb",
		"a\x1f",
		"a\xff",
		"\xc3",
		"a\xc0\xa0",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"a\u00a0b",
		"\xc2\x85",
		"a\u1680",
		"\u2000",
		"a\u2003b",
		"\u200a",
		"\u2028",
		"a\u2029b",
		"\u202f",
		"\u205f",
		"\u3000b",
	};
	static const char *const good[] = { "a",      "\u00e9", "\u200b", "a/b?c=d&e%20",
					    "\u180e", "\x7f",   "\u2014", "\U0001f512",
					    "\u00a1" };
	uint8_t key[32] = { 0 };
	struct note_verifier v;
	struct note_signer *s = NULL;
	char text[NOTE_VKEY], longest[NOTE_NAME + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(note_verifier_make(bad[i], NOTE_ED25519, key, &v));
		assert_int_equal(note_signer_new(bad[i], key, &s, NULL), ATTEST_MALFORMED);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(note_verifier_make(good[i], NOTE_COSIGNATURE, key, &v));
		note_verifier_print(&v, text);
		assert_string_equal(parse(text).name, good[i]);
	}
	memset(longest, 'n', sizeof(longest));
	longest[NOTE_NAME - 1] = '\0';
	assert_true(note_verifier_make(longest, NOTE_ED25519, key, &v));
	note_verifier_print(&v, text);
	assert_string_equal(parse(text).name, longest);
	longest[NOTE_NAME - 1] = 'n';
	longest[NOTE_NAME] = '\0';
	assert_false(note_verifier_make(longest, NOTE_ED25519, key, &v));
}

#ifdef __SANITIZE_ADDRESS__
static void a_private_key_is_in_locked_memory_alone(void **state)
{
	(void)state;
	print_message("skipped: the sanitizer maps memory that cannot be read\n");
	skip();
}
#else
/* Counts where the 32 bytes stand in memory that can be swapped or dumped. */
static unsigned copies_of(const uint8_t *inverted)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	unsigned long begin = 0, end = 0, from, to;
	char line[512], flags[256], access[8];
	unsigned n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, access) == 3) {
			begin = from;
			end = access[1] == 'w' ? to : from;
		}
		if (sscanf(line, "VmFlags: %255[^\n]", flags) != 1 ||
		    (strstr(flags, "lo") && strstr(flags, "dd")))
			continue;
		for (unsigned long at = begin; at + 32 <= end; at++) {
			const volatile uint8_t *p = (const volatile uint8_t *)at;
			unsigned i = 0;

			while (i < 32 && (p[i] ^ inverted[i]) == 0xff)
				i++;
			n += i == 32;
		}
	}
	fclose(maps);
	return n;
}

static void a_private_key_is_in_locked_memory_alone(void **state)
{
	static uint8_t inverted[32];
	uint8_t bytes[32], sig[64];
	struct note_signer *s;

	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		inverted[i] = (uint8_t)(~i * 37 + 11);
		bytes[i] = (uint8_t)~inverted[i];
	}
	assert_int_equal(copies_of(inverted), 1); /* `bytes`: it would be seen */
	s = signer(NAME, bytes);
	assert_int_equal(note_sign_raw(s, "x", 1, sig, NULL), ATTEST_OK);
	explicit_bzero(bytes, sizeof(bytes));
	assert_int_equal(copies_of(inverted), 0);
	note_signer_free(s);
	assert_int_equal(copies_of(inverted), 0);
}
#endif

/* ---- notes -------------------------------------------------------------------------- */

static void a_signed_note_opens(void **state)
{
	struct note_verifier v[2] = { verifier(NAME, seed), verifier("other", other_seed) };
	char *text = sign(NAME, seed, TEXT);
	struct note n;

	(void)state;
	assert_int_equal(open_note(text, v, 2, &n), ATTEST_OK);
	assert_int_equal(n.text_len, strlen(TEXT));
	assert_memory_equal(n.text, TEXT, n.text_len);
	assert_int_equal(n.n_marks, 1);
	assert_ptr_equal(n.marks[0].by, v);
	assert_int_equal(n.unknown, 0);
	assert_int_equal(open_note(text, v + 1, 1, &n), ATTEST_REFUSED);
	assert_int_equal(open_note(text, v, 0, &n), ATTEST_REFUSED);
	free(text);
}

static void every_cut_or_changed_note_is_refused(void **state)
{
	struct note_verifier v = verifier(NAME, seed);
	char *text = sign(NAME, seed, TEXT);
	size_t len = strlen(text);
	struct note n = { .n_marks = 77 };
	struct attest_error e;

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char *copy = malloc(i ? i : 1); /* exactly: a byte read behind it is seen */

		memcpy(copy, text, i);
		assert_int_equal(note_open(copy, i, &v, 1, &n, &e), ATTEST_MALFORMED);
		free(copy);
		for (unsigned bit = 0; bit < 8; bit++) {
			enum attest_status s;

			text[i] = (char)(text[i] ^ (char)(1u << bit));
			s = note_open(text, len, &v, 1, &n, &e);
			assert_true(s == ATTEST_REFUSED || s == ATTEST_MALFORMED);
			text[i] = (char)(text[i] ^ (char)(1u << bit));
		}
	}
	assert_int_equal(n.n_marks, 77); /* untouched */
	free(text);
}

/* Replaces the first `from` in a new copy of `text`. */
static char *edited(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *ret = NULL;

	assert_non_null(at);
	assert_true(asprintf(&ret, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) >=
		    0);
	return ret;
}

static void assert_edited(const char *text, const char *from, const char *to,
			  enum attest_status wanted)
{
	struct note_verifier v = verifier(NAME, seed);
	char *copy = edited(text, from, to);
	struct note n;

	if (open_note(copy, &v, 1, &n) != wanted)
		fail_msg("%s: not status %d", copy, wanted);
	free(copy);
}

static void the_form_of_a_note_has_no_slack(void **state)
{
	char *text = sign(NAME, seed, TEXT), *pad = strstr(text, "=\n");
	char last[3] = "?", stray[3] = "?";

	(void)state;
	assert_edited(text, "\n\n\u2014 ", "\n\n\n\u2014 ", ATTEST_REFUSED); /* more text */
	assert_edited(text, "\n\n\u2014 ", "\n\u2014 ", ATTEST_MALFORMED);
	assert_edited(text, "\n\u2014 ", "\n\n\u2014 ", ATTEST_REFUSED);
	assert_edited(text, "\u2014 " NAME, "\u2014  " NAME, ATTEST_MALFORMED);
	assert_edited(text, "\u2014 " NAME " ", "\u2014 " NAME "  ", ATTEST_MALFORMED);
	assert_edited(text, "\u2014 " NAME " ", "\u2014 " NAME "\u00a0", ATTEST_MALFORMED);
	assert_edited(text, "\u2014 " NAME, "\u2013 " NAME, ATTEST_MALFORMED);
	assert_edited(text, "\u2014 " NAME, "\u2014 log+plus", ATTEST_MALFORMED);
	assert_edited(text, "\u2014 " NAME, "\u2014 someone", ATTEST_REFUSED);
	assert_edited(text, "=\n", "=\r\n", ATTEST_MALFORMED);
	assert_edited(text, "=\n", "= \n", ATTEST_MALFORMED);
	assert_edited(text, "=\n", "=\nx\n", ATTEST_MALFORMED);
	assert_edited(text, "=\n", "=\n\n", ATTEST_MALFORMED); /* no signature behind it */
	assert_edited(text, "=\n", "\n", ATTEST_MALFORMED);
	assert_edited(text, "=\n", "==\n", ATTEST_MALFORMED);
	assert_edited(text, "first", "fir\tst", ATTEST_MALFORMED);
	assert_edited(text, "first", "First", ATTEST_REFUSED);
	/* 68 bytes leave two bits over: set, they are another spelling of the same bytes. */
	last[0] = pad[-1];
	stray[0] =
		(char)(isdigit((unsigned char)last[0]) || last[0] == '/' ? 'B' : last[0] + 1);
	last[1] = stray[1] = '=';
	assert_edited(text, last, stray, ATTEST_MALFORMED);
	free(text);
}

static void a_line_of_a_known_key_that_does_not_hold_spoils_the_note(void **state)
{
	struct note_verifier v = verifier(NAME, seed);
	char *good = sign(NAME, seed, TEXT), *wrong = sign(NAME, seed, "another text\n");
	char *line = strstr(wrong, "\u2014 "), *mine = strstr(good, "\n\n\u2014 ") + 2;
	char *before = NULL, *after = NULL, *twice = NULL;
	struct note n;

	(void)state;
	assert_true(asprintf(&before, "%s\n%s%s", TEXT, line, mine) >= 0);
	assert_true(asprintf(&after, "%s\n%s%s", TEXT, mine, line) >= 0);
	assert_true(asprintf(&twice, "%s\n%s%s", TEXT, mine, mine) >= 0);
	assert_int_equal(open_note(before, &v, 1, &n), ATTEST_REFUSED);
	assert_int_equal(open_note(after, &v, 1, &n), ATTEST_REFUSED);
	assert_int_equal(open_note(twice, &v, 1, &n), ATTEST_OK);
	assert_int_equal(n.n_marks, 1);
	free(before);
	free(after);
	free(twice);
	free(good);
	free(wrong);
}

/* `n` lines of keys that nobody knows, before the known one; each of `bytes` bytes. */
static enum attest_status with_unknown(size_t lines, size_t bytes, struct note *ret)
{
	struct note_verifier v = verifier(NAME, seed);
	char *good = sign(NAME, seed, TEXT), *text = NULL, *base64 = malloc(BASE64_SIZE(bytes));
	uint8_t *raw = calloc(1, bytes);
	enum attest_status s;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	base64_encode(raw, bytes, base64);
	fprintf(to, "%s\n", TEXT);
	for (size_t i = 0; i < lines; i++)
		fprintf(to, "\u2014 unknown%zu %s\n", i, base64);
	fputs(strstr(good, "\n\n\u2014 ") + 2, to);
	fclose(to);
	s = note_open(text, len, &v, 1, ret, NULL);
	if (s == ATTEST_OK)
		ret->text = NULL; /* goes with `text` */
	free(text);
	free(good);
	free(base64);
	free(raw);
	return s;
}

static void unknown_signatures_are_carried_up_to_a_limit(void **state)
{
	struct note n;

	(void)state;
	assert_int_equal(with_unknown(15, 68, &n), ATTEST_OK);
	assert_int_equal(n.unknown, 15);
	assert_int_equal(with_unknown(99, 4900, &n), ATTEST_OK); /* post-quantum */
	assert_int_equal(with_unknown(NOTE_SIGNATURES - 1, 5, &n), ATTEST_OK);
	assert_int_equal(n.unknown, NOTE_SIGNATURES - 1);
	assert_int_equal(with_unknown(NOTE_SIGNATURES, 5, &n), ATTEST_MALFORMED);
	assert_int_equal(with_unknown(1, 4, &n), ATTEST_MALFORMED); /* an id alone */
	assert_int_equal(with_unknown(1, 70000, &n), ATTEST_MALFORMED);
	assert_int_equal(with_unknown(200, 5000, &n), ATTEST_MALFORMED); /* over NOTE_MAX */
}

static void only_clean_lines_are_signed(void **state)
{
	static const char *const bad[] = {
		"", "x", "x\ny", "x\r\n", "\x01\n", "\xff\n", "x\t\n"
	};
	struct note_signer *s = signer(NAME, seed);
	char *text = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(note_sign(s, bad[i], &text, NULL), ATTEST_MALFORMED);
	assert_null(text);
	note_signer_free(s);
	note_signer_free(NULL);
}

/* ---- checkpoints ---------------------------------------------------------------------- */

#define ROOT "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static enum attest_status open_checkpoint(const char *text, struct checkpoint *ret)
{
	struct note_verifier v = verifier(NAME, seed);
	char *note = sign(NAME, seed, text);
	struct note n;
	enum attest_status s = checkpoint_open(note, strlen(note), &v, 1, ret, &n, NULL);

	free(note);
	return s;
}

static void every_cut_or_changed_checkpoint_text_is_another_or_none(void **state)
{
	char text[] = NAME "\n123\n" ROOT "\n", copy[sizeof(text)], again[NOTE_NAME + 80];
	struct checkpoint cp;

	(void)state;
	for (size_t n = 0; n < strlen(text); n++) {
		memcpy(copy, text, n);
		copy[n] = '\0';
		assert_int_equal(checkpoint_parse(copy, n, &cp, NULL), ATTEST_MALFORMED);
		for (int c = 0; c < 256; c++) {
			memcpy(copy, text, sizeof(text));
			copy[n] = (char)c;
			if (checkpoint_parse(copy, strlen(text), &cp, NULL) != ATTEST_OK)
				continue;
			checkpoint_print(&cp, again);
			assert_string_equal(again, copy);
		}
	}
}

static void a_checkpoint_is_origin_size_root_and_extensions(void **state)
{
	static const struct {
		const char *text;
		enum attest_status status;
	} cases[] = {
		{ NAME "\n7\n" ROOT "\n", ATTEST_OK },
		{ NAME "\n7\n" ROOT "\nx\ny\n", ATTEST_OK },
		{ NAME "\n9223372036854775807\n" ROOT "\n", ATTEST_OK },
		{ NAME "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", ATTEST_OK },
		{ NAME "\n0\n" ROOT "\n", ATTEST_REFUSED },
		{ NAME "x\n7\n" ROOT "\n", ATTEST_REFUSED },
		{ NAME "\n9223372036854775808\n" ROOT "\n", ATTEST_MALFORMED },
		{ NAME "\n18446744073709551623\n" ROOT "\n", ATTEST_MALFORMED }, /* 2^64 + 7 */
		{ NAME "\n99999999999999999999999\n" ROOT "\n", ATTEST_MALFORMED },
		{ NAME "\n\n" ROOT "\n", ATTEST_MALFORMED },
		{ NAME "\n00\n" ROOT "\n", ATTEST_MALFORMED },
		{ NAME "\n-0\n" ROOT "\n", ATTEST_MALFORMED },
		{ NAME "\n7\n" ROOT "\nx\n\n", ATTEST_MALFORMED },
		{ NAME "\n7\n" ROOT "\n\nx\n", ATTEST_MALFORMED },
		{ NAME "\n7\n" ROOT "\n\n", ATTEST_MALFORMED },
		{ NAME "\n7\n" ROOT "A\n", ATTEST_MALFORMED },
		{ NAME "\n7\n" ROOT " \n", ATTEST_MALFORMED },
		{ NAME "\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
		  ATTEST_MALFORMED }, /* a stray bit */
		{ "\n7\n" ROOT "\n", ATTEST_MALFORMED },
		{ NAME "\n7\n", ATTEST_MALFORMED },
		{ NAME "\n", ATTEST_MALFORMED },
	};
	struct checkpoint cp;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (open_checkpoint(cases[i].text, &cp) != cases[i].status)
			fail_msg("case %zu: %s", i, cases[i].text);
}

/* A witness, or another known log, cannot speak for a log by taking its name in the text. */
static void a_checkpoint_counts_when_its_own_log_signed_it(void **state)
{
	struct note_verifier v[2] = { verifier("other", other_seed), verifier(NAME, seed) };
	char *own = sign(NAME, seed, NAME "\n7\n" ROOT "\n");
	char *foreign = sign("other", other_seed, NAME "\n7\n" ROOT "\n");
	struct checkpoint cp;
	struct note n;

	(void)state;
	assert_int_equal(checkpoint_open(own, strlen(own), v, 2, &cp, &n, NULL), ATTEST_OK);
	assert_int_equal(checkpoint_open(foreign, strlen(foreign), v, 2, &cp, &n, NULL),
			 ATTEST_REFUSED);
	free(own);
	free(foreign);
}

/* ---- base64 --------------------------------------------------------------------------- */

/* RFC 4648, section 10. */
static void base64_is_that_of_rfc_4648(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	static const char *const bad[] = { "Z",    "Zg",   "Zg=",    "=",    "====",
					   "Z===", "Zh==", "Zm9=",   "Zm9*", "Zg==Zg==",
					   "Zm=v", "-_-_", "Zm9v\n", " Zm9v" };
	char text[32];
	uint8_t bytes[32];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		base64_encode(pairs[i][0], strlen(pairs[i][0]), text);
		assert_string_equal(text, pairs[i][1]);
		assert_true(base64_decode(text, strlen(text), bytes, strlen(pairs[i][0]), &n));
		assert_int_equal(n, strlen(pairs[i][0]));
		assert_memory_equal(bytes, pairs[i][0], n);
		if (n > 0)
			assert_false(base64_decode(text, strlen(text), bytes, n - 1, &n));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(base64_decode(bad[i], strlen(bad[i]), bytes, sizeof(bytes), &n));
	/* All 256 bytes in all three positions come back. */
	for (unsigned b = 0; b < 256; b++)
		for (size_t len = 1; len <= 3; len++) {
			uint8_t in[3] = { (uint8_t)b, (uint8_t)(b * 7), (uint8_t)~b };

			base64_encode(in, len, text);
			assert_true(base64_decode(text, 4, bytes, sizeof(bytes), &n));
			assert_int_equal(n, len);
			assert_memory_equal(bytes, in, len);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_the_vectors),
		cmocka_unit_test(signers_are_the_vectors),
		cmocka_unit_test(notes_are_the_vectors),
		cmocka_unit_test(checkpoints_are_the_vectors),
		cmocka_unit_test(cosignatures_are_the_vectors),
		cmocka_unit_test(signatures_are_those_of_rfc_8032),
		cmocka_unit_test(every_cut_or_changed_key_is_refused),
		cmocka_unit_test(a_key_has_one_base64_which_may_hold_a_plus),
		cmocka_unit_test(names_have_no_spaces_controls_or_plus),
		cmocka_unit_test(a_private_key_is_in_locked_memory_alone),
		cmocka_unit_test(a_signed_note_opens),
		cmocka_unit_test(every_cut_or_changed_note_is_refused),
		cmocka_unit_test(the_form_of_a_note_has_no_slack),
		cmocka_unit_test(a_line_of_a_known_key_that_does_not_hold_spoils_the_note),
		cmocka_unit_test(unknown_signatures_are_carried_up_to_a_limit),
		cmocka_unit_test(only_clean_lines_are_signed),
		cmocka_unit_test(every_cut_or_changed_checkpoint_text_is_another_or_none),
		cmocka_unit_test(a_checkpoint_is_origin_size_root_and_extensions),
		cmocka_unit_test(a_checkpoint_counts_when_its_own_log_signed_it),
		cmocka_unit_test(base64_is_that_of_rfc_4648),
	};

	return cmocka_run_group_tests_name("note", tests, NULL, NULL);
}
