/* tests/attest/test_proof.c - offline proofs, and the policies that they are judged by. */
#include "attest/proof.h"

#include "tests/attest/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define ORIGIN "log.example/a"

static const uint8_t log_seed[32] = { 1 };

/* ---- policies ------------------------------------------------------------------------- */

static enum attest_status parse_status(const char *text, struct attest_error *e)
{
	struct log_policy *p = NULL;
	enum attest_status s = log_policy_parse(text, strlen(text), &p, e);

	assert_true((s == ATTEST_OK) == (p != NULL));
	log_policy_free(p);
	return s;
}

/* The verifier key of witness or log number `n`. */
static const char *vkey(unsigned n, enum note_kind kind)
{
	static char texts[16][NOTE_VKEY];
	static unsigned next;
	char *text = texts[next++ % 16], name[32];
	uint8_t key[32] = { (uint8_t)n, (uint8_t)kind };
	struct note_verifier v;

	snprintf(name, sizeof(name), "key%u.example", n);
	assert_true(note_verifier_make(name, kind, key, &v));
	note_verifier_print(&v, text);
	return text;
}

#define LOG vkey(1, NOTE_ED25519)
#define WITNESS(n) vkey(n, NOTE_COSIGNATURE)

static char *policy_text(const char *form, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, form);
	assert_true(vasprintf(&text, form, ap) >= 0);
	va_end(ap);
	return text;
}

/* In `form` @0 stands for a log's key, @1 to @3 for those of witnesses. */
static char *filled_in(const char *form)
{
	const char *keys[] = { LOG, WITNESS(2), WITNESS(3), WITNESS(4) };
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	for (; *form; form++) {
		if (*form == '@')
			fputs(keys[*++form - '0'], to);
		else
			fputc(*form, to);
	}
	fclose(to);
	return text;
}

static void assert_policy(const char *form, enum attest_status wanted)
{
	struct attest_error e = { .what = "" };
	char *text = filled_in(form);

	if (parse_status(text, &e) != wanted)
		fail_msg("not status %d: %s: %s", wanted, text, e.what);
	free(text);
}

static void policies_are_lines_of_four_kinds(void **state)
{
	static const char *const good[] = {
		"log @0\nquorum none\n",
		"log @0 https://log.example/\nquorum none\n",
		"\n  # comment\n\t\nlog\t@0 \nquorum \t none\n",
		"log @0\nwitness a @1 https://w.example/ \nquorum a\n",
		"witness a @1\nwitness b @2\ngroup g 2 a b\nquorum g\nlog @0\n",
		"log @0\nwitness a @1\nwitness b @2\nwitness c @3\n"
		"group g all a b\ngroup h any g c\nquorum h\n",
		"log @0\nwitness a @1\nquorum none\n",
		"log @0\nwitness \xff\xfe @1\nquorum \xff\xfe\n",
		"log @0\nwitness 1 @1\ngroup all 1 1\nquorum all\n",
	};
	static const char *const bad[] = {
		"",
		"quorum none\n",
		"log @0\n",
		"log @0\nquorum none",
		"log @0\nquorum\n",
		"log @0\nquorum none none\n",
		"log @0\nquorum none\nquorum none\n",
		"log @0\nquorum a\n",
		"log @0\nlog @0\nquorum none\n",
		"log\nquorum none\n",
		"log @1\nquorum none\n",
		"log @0 a b\nquorum none\n",
		"log x\nquorum none\n",
		"log @0\nquorum none\nword\n",
		"log @0\nQuorum none\n",
		"log @0\r\nquorum none\n",
		"log @0\nquorum none # comment\n",
		"log @0\nquorum none\n\x7f\n",
		"log @0\nwitness a @0\nquorum none\n",
		"log @0\nwitness a\nquorum none\n",
		"log @0\nwitness\nquorum none\n",
		"log @0\nwitness none @1\nquorum none\n",
		"log @0\nwitness a @1\nwitness a @2\nquorum none\n",
		"log @0\nwitness a @1\nwitness b @1\nquorum none\n",
		"log @0\nquorum a\nwitness a @1\n",
		"log @0\ngroup g any\nquorum none\n",
		"log @0\ngroup g\nquorum none\n",
		"log @0\ngroup g any g\nquorum none\n",
		"log @0\ngroup g any a\nwitness a @1\nquorum none\n",
		"log @0\nwitness a @1\ngroup g any none\nquorum none\n",
		"log @0\nwitness a @1\ngroup g any a a\nquorum none\n",
		"log @0\nwitness a @1\ngroup g 0 a\nquorum none\n",
		"log @0\nwitness a @1\ngroup g 2 a\nquorum none\n",
		"log @0\nwitness a @1\ngroup g 01 a\nquorum none\n",
		"log @0\nwitness a @1\ngroup g -1 a\nquorum none\n",
		"log @0\nwitness a @1\ngroup g some a\nquorum none\n",
		"log @0\nwitness a @1\ngroup a any a\nquorum none\n",
		"log @0\nwitness a @1\ngroup g any a\ngroup h any a\nquorum h\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_policy(good[i], ATTEST_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_policy(bad[i], ATTEST_MALFORMED);
}

/* Cut anywhere, it lacks its quorum or the end of a line. */
static void every_cut_policy_is_refused(void **state)
{
	char *text =
		policy_text("log %s\nwitness a %s\nwitness b %s\ngroup g 2 a b\nquorum g\n",
			    LOG, WITNESS(2), WITNESS(3));
	struct log_policy *p = NULL;

	(void)state;
	for (size_t n = 0; n < strlen(text); n++) {
		char *copy = malloc(n ? n : 1);

		memcpy(copy, text, n);
		assert_int_equal(log_policy_parse(copy, n, &p, NULL), ATTEST_MALFORMED);
		free(copy);
	}
	/* A NUL, as any control character, is none of its characters. */
	for (size_t n = 0; n < strlen(text); n++) {
		char *copy = strdup(text);

		copy[n] = '\0';
		assert_int_equal(log_policy_parse(copy, strlen(text), &p, NULL),
				 ATTEST_MALFORMED);
		free(copy);
	}
	assert_null(p);
	free(text);
}

static void thirty_two_of_each_are_taken_and_a_limit_is_kept(void **state)
{
	static const struct {
		unsigned logs, witnesses, groups;
		enum attest_status status;
	} cases[] = {
		{ 32, 32, 32, ATTEST_OK },
		{ LOG_POLICY_LOGS, LOG_POLICY_WITNESSES, LOG_POLICY_GROUPS, ATTEST_OK },
		{ LOG_POLICY_LOGS + 1, 1, 1, ATTEST_MALFORMED },
		{ 1, LOG_POLICY_WITNESSES + 1, 1, ATTEST_MALFORMED },
		{ 1, LOG_POLICY_GROUPS, LOG_POLICY_GROUPS + 1, ATTEST_MALFORMED },
	};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		struct attest_error e;
		char *text = NULL;
		size_t len = 0;
		FILE *to = open_memstream(&text, &len);

		for (unsigned i = 0; i < cases[c].logs; i++)
			fprintf(to, "log %s\n", vkey(i + 1, NOTE_ED25519));
		for (unsigned i = 0; i < cases[c].witnesses; i++)
			fprintf(to, "witness w%u %s\n", i, vkey(i + 1, NOTE_COSIGNATURE));
		/* Each group has the one before it, and a witness where there is one more. */
		for (unsigned i = 0; i < cases[c].groups; i++) {
			fprintf(to, "group g%u any", i);
			if (i < cases[c].witnesses)
				fprintf(to, " w%u", i);
			if (i > 0)
				fprintf(to, " g%u", i - 1);
			fputc('\n', to);
		}
		fputs("quorum none\n", to);
		fclose(to);
		assert_int_equal(parse_status(text, &e), cases[c].status);
		free(text);
	}
}

/* ---- vectors ----------------------------------------------------------------------------- */

static enum attest_status check(json_t *c, const struct log_policy *policy)
{
	const char *text = vector_text(c, "proof");
	size_t len = 0;
	uint8_t *entry = vector_hex(vector_text(c, "entry_hex"), &len);
	struct checkpoint cp;
	struct tlog_hash leaf;
	struct proof p;
	struct note n;
	enum attest_status s = proof_parse(text, strlen(text), &p, NULL);

	tlog_leaf(entry, len, &leaf);
	if (s == ATTEST_OK)
		s = proof_check(&p, &leaf, policy, &cp, &n, NULL);
	if (s == ATTEST_OK) {
		char *again = NULL;

		assert_int_equal(p.index, vector_number(c, "index"));
		assert_int_equal(cp.size, vector_number(c, "size"));
		assert_int_equal(proof_print(&p, &again, NULL), ATTEST_OK);
		assert_string_equal(again, text);
		free(again);
	}
	free(entry);
	return s;
}

static struct log_policy *vector_policy(json_t *all, const char *quorum)
{
	struct log_policy *p = NULL;
	char *text = policy_text("log %s\nwitness w %s\nquorum %s\n",
				 vector_text(all, "log_verifier"),
				 vector_text(all, "witness_verifier"), quorum);

	assert_int_equal(log_policy_parse(text, strlen(text), &p, NULL), ATTEST_OK);
	free(text);
	return p;
}

static void proofs_are_the_vectors(void **state)
{
	json_t *all = vector_load("proofs.json"), *c;
	struct log_policy *witnessed, *open;
	size_t i;

	(void)state;
	if (!all)
		skip();
	witnessed = vector_policy(all, "w");
	open = vector_policy(all, "none");
	json_array_foreach(json_object_get(all, "cases"), i, c)
	{
		/* "ok" is true, false, or words: then the policy must ask for no witness. */
		bool ok = json_is_true(json_object_get(c, "ok"));

		if ((check(c, open) == ATTEST_OK) != vector_good(c) ||
		    (check(c, witnessed) == ATTEST_OK) != ok)
			fail_msg("%s", vector_text(c, "name"));
	}
	log_policy_free(witnessed);
	log_policy_free(open);
	json_decref(all);
}

/* The cosigned checkpoint of the shared log, under policies of every form. */
static void a_quorum_counts_who_has_cosigned(void **state)
{
	static const struct {
		const char *rest;
		enum attest_status status;
	} cases[] = {
		{ "quorum none\n", ATTEST_OK },
		{ "quorum w\n", ATTEST_OK },
		{ "quorum x\n", ATTEST_REFUSED },
		{ "group g any w x\nquorum g\n", ATTEST_OK },
		{ "group g 1 x w\nquorum g\n", ATTEST_OK },
		{ "group g all w x\nquorum g\n", ATTEST_REFUSED },
		{ "group g 2 w x y\nquorum g\n", ATTEST_REFUSED },
		{ "group g any w\ngroup h all g\nquorum h\n", ATTEST_OK },
		{ "group g any x y\ngroup h any g w\nquorum h\n", ATTEST_OK },
		{ "group g any x y\ngroup h all g w\nquorum h\n", ATTEST_REFUSED },
		{ "group g any w x\ngroup h all g y\nquorum g\n", ATTEST_OK },
		{ "group g any w x\ngroup h all g y\nquorum h\n", ATTEST_REFUSED },
	};
	json_t *all = vector_load("proofs.json");
	json_t *cp = vector_load("cosignatures.json");
	const char *text =
		vector_text(json_array_get(json_object_get(cp, "cases"), 0), "checkpoint");
	struct checkpoint c;
	struct note n;

	(void)state;
	if (!all || !cp)
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct log_policy *p = NULL;
		char *policy = policy_text(
			"log %s\nwitness w %s\nwitness x %s\nwitness y %s\n%s",
			vector_text(all, "log_verifier"), vector_text(all, "witness_verifier"),
			WITNESS(2), WITNESS(3), cases[i].rest);

		assert_int_equal(log_policy_parse(policy, strlen(policy), &p, NULL), ATTEST_OK);
		if (log_policy_open(p, text, strlen(text), &c, &n, NULL) != cases[i].status)
			fail_msg("%s", cases[i].rest);
		log_policy_free(p);
		free(policy);
	}
	json_decref(all);
	json_decref(cp);
}

/* ---- one's own -------------------------------------------------------------------------------- */

/* A log of two entries, and the proof of the second one. */
static char *make_proof(struct log_policy **ret_policy, struct tlog_hash *ret_leaf)
{
	struct proof p = { .index = 1, .path.n = 1, .extra = "Y29udGV4dA==", .extra_len = 12 };
	struct checkpoint c = { .origin = ORIGIN, .size = 2 };
	struct note_signer *s = NULL;
	char body[NOTE_NAME + 80], *note = NULL, *text = NULL;

	tlog_leaf("one", 3, &p.path.hashes[0]);
	tlog_leaf("two", 3, ret_leaf);
	tlog_node(&p.path.hashes[0], ret_leaf, &c.root);
	checkpoint_print(&c, body);
	assert_int_equal(note_signer_new(ORIGIN, log_seed, &s, NULL), ATTEST_OK);
	assert_int_equal(note_sign(s, body, &note, NULL), ATTEST_OK);
	assert_int_equal(log_policy_of_key(note_signer_verifier(s), ret_policy, NULL),
			 ATTEST_OK);
	note_signer_free(s);
	p.checkpoint = note;
	p.checkpoint_len = strlen(note);
	assert_int_equal(proof_print(&p, &text, NULL), ATTEST_OK);
	free(note);
	return text;
}

static enum attest_status check_text(const char *text, size_t len, const struct tlog_hash *leaf,
				     const struct log_policy *policy)
{
	struct checkpoint c = { .size = 77 };
	struct proof p;
	struct note n;
	enum attest_status s = proof_parse(text, len, &p, NULL);

	if (s == ATTEST_OK)
		s = proof_check(&p, leaf, policy, &c, &n, NULL);
	assert_true((c.size == 77) == (s != ATTEST_OK));
	return s;
}

static void every_cut_or_changed_proof_is_refused(void **state)
{
	struct log_policy *policy = NULL;
	struct tlog_hash leaf;
	char *text = make_proof(&policy, &leaf), *extra = strstr(text, "extra ") + 6;
	size_t len = strlen(text);

	(void)state;
	assert_int_equal(check_text(text, len, &leaf, policy), ATTEST_OK);
	for (size_t i = 0; i < len; i++) {
		char *copy = malloc(i ? i : 1);

		memcpy(copy, text, i);
		assert_int_equal(check_text(copy, i, &leaf, policy), ATTEST_MALFORMED);
		free(copy);
		for (unsigned bit = 0; bit < 8; bit++) {
			enum attest_status s;

			text[i] = (char)(text[i] ^ (char)(1u << bit));
			s = check_text(text, len, &leaf, policy);
			/* The extra data is not authenticated, and says nothing. */
			if (text + i < extra || text + i >= extra + 12)
				assert_true(s == ATTEST_REFUSED || s == ATTEST_MALFORMED);
			text[i] = (char)(text[i] ^ (char)(1u << bit));
		}
	}
	leaf.bytes[0] ^= 1;
	assert_int_equal(check_text(text, len, &leaf, policy), ATTEST_REFUSED);
	log_policy_free(policy);
	log_policy_free(NULL);
	free(text);
}

static void a_proof_has_as_many_hashes_as_a_log_can_need(void **state)
{
	static const char line[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
	struct proof p;

	(void)state;
	for (size_t n = TLOG_PROOF_MAX - 1; n <= TLOG_PROOF_MAX + 1; n++) {
		char *text = NULL;
		size_t len = 0;
		FILE *to = open_memstream(&text, &len);

		fputs("c2sp.org/tlog-proof@v1\nindex 9223372036854775807\n", to);
		for (size_t i = 0; i < n; i++)
			fputs(line, to);
		fputs("\nanything", to);
		fclose(to);
		assert_int_equal(proof_parse(text, len, &p, NULL),
				 n > TLOG_PROOF_MAX ? ATTEST_MALFORMED : ATTEST_OK);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies_are_lines_of_four_kinds),
		cmocka_unit_test(every_cut_policy_is_refused),
		cmocka_unit_test(thirty_two_of_each_are_taken_and_a_limit_is_kept),
		cmocka_unit_test(proofs_are_the_vectors),
		cmocka_unit_test(a_quorum_counts_who_has_cosigned),
		cmocka_unit_test(every_cut_or_changed_proof_is_refused),
		cmocka_unit_test(a_proof_has_as_many_hashes_as_a_log_can_need),
	};

	return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
