/* tests/attest/test_keyd_wire.c - messages of one length and one spelling; names. */
#include "tests/attest/keyd_sample.h"

#include <sys/socket.h>
#include <sys/wait.h>

static struct keyd_wire *wire;

static int wire_begin(void **state)
{
	(void)state;
	wire = keyd_wire_new();
	return wire ? 0 : -1;
}

static int wire_end(void **state)
{
	(void)state;
	keyd_wire_free(wire);
	return 0;
}

/* ---- one good message of each type -------------------------------------------------------- */

static void good_key(struct keyd_key *k)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct jwk jwk;

	assert_int_equal(jwk_of(key, &jwk, NULL), ATTEST_OK);
	keyd_key_set(k, &jwk);
	EVP_PKEY_free(key);
}

static void good_claims(struct keyd_verdict *v)
{
	*v = good_verdict("acme");
	v->claims[0] =
		(struct keyd_claim){ .name = "measurement", .type = CLAIM_BYTES, .len = 48 };
	v->claims[1] = (struct keyd_claim){ .name = "vmpl", .type = CLAIM_NUMBER, .number = 3 };
	v->claims[2] = (struct keyd_claim){
		.name = "coverage", .type = CLAIM_TEXT, .len = 2, .bytes = "ab"
	};
	v->claims[3] = (struct keyd_claim){
		.name = "advisories", .type = CLAIM_TEXTS, .len = 2, .bytes = "a"
	};
	v->claims[4] = (struct keyd_claim){
		.name = "reported_tcb", .type = CLAIM_TCB, .number = 3, .len = CLAIM_TCB_PARTS
	};
	v->n_claims = 5;
}

static void fill(enum keyd_type type)
{
	struct keyd_message *m = &wire->m;

	keyd_wire_clear(wire);
	m->type = type;
	m->ticket = 0x0102030405060708;
	switch (type) {
	case KEYD_AUTH:
		strcpy(m->auth.tee, "snp");
		break;
	case KEYD_ATTEST:
		good_key(&m->attest.key);
		m->n_fds = 1;
		break;
	case KEYD_RELEASE:
		m->release.name = name_of("acme/volume/data-key");
		break;
	case KEYD_CHALLENGE:
		m->challenge.seconds = 300;
		break;
	case KEYD_ATTESTED:
		m->attested.tier = TIER_AFFIRMING;
		m->attested.seconds = 1;
		break;
	case KEYD_NO:
		m->no.answer = KEYD_DENIED;
		break;
	case KEYD_VERIFY:
		strcpy(m->verify.tee, "snp");
		m->n_fds = 2;
		break;
	case KEYD_VERDICT:
		good_claims(&m->verdict);
		break;
	case KEYD_KEY_PUT:
	case KEYD_KEY_ROTATE:
		m->put.name = name_of("acme/volume/data-key");
		m->put.len = 5;
		memcpy(m->put.value, "value", 5);
		break;
	case KEYD_KEY_REVOKE:
		m->revoke.name = name_of("acme/volume/data-key");
		break;
	case KEYD_POLICY_PUSH:
		strcpy(m->push.tenant, "acme");
		m->push.len = 1;
		m->push.text[0] = 'x';
		break;
	case KEYD_STORED:
		good_key(&m->stored.key);
		good_claims(&m->stored.verdict);
		break;
	default:
		break;
	}
}

static size_t encode(enum keyd_type type)
{
	struct attest_error e = { .what = "" };
	size_t len = 0;

	fill(type);
	if (keyd_encode(wire, &len, &e) != ATTEST_OK)
		fail_msg("%s: %s: %s", keyd_type_str(type), e.where, e.what);
	assert_int_equal(len, keyd_wire_size(type));
	assert_true(len <= KEYD_WIRE_MAX);
	return len;
}

static void each_type_comes_back_as_it_was(void **state)
{
	static struct keyd_message sent;
	size_t n_fds;

	(void)state;
	for (uint32_t type = 1; type < KEYD_TYPES; type++) {
		size_t len = encode(type);

		sent = wire->m;
		n_fds = wire->m.n_fds;
		memset(&wire->m, 0, sizeof(wire->m));
		assert_int_equal(keyd_decode(wire, len, n_fds, NULL), ATTEST_OK);
		sent.n_fds = 0;
		assert_memory_equal(&wire->m, &sent, sizeof(sent));
		wire->m.n_fds = 0;
	}
}

/* ---- and what is none ------------------------------------------------------------------------ */

static uint8_t kept[KEYD_WIRE_MAX];

/* Decodes the kept bytes; where they are refused, nothing of them is left. */
static bool accepts(size_t len, size_t n_fds)
{
	struct attest_error e = { .what = "" };
	bool ok;

	memset(&wire->m, 0, sizeof(wire->m));
	memcpy(wire->bytes, kept, sizeof(kept));
	ok = keyd_decode(wire, len, n_fds, &e) == ATTEST_OK;
	if (!ok) {
		assert_true(e.what[0] != '\0');
		for (size_t i = 0; i < sizeof(wire->m); i++)
			assert_int_equal(((uint8_t *)&wire->m)[i], 0);
	}
	return ok;
}

static void every_other_length_is_refused(void **state)
{
	(void)state;
	for (uint32_t type = 1; type < KEYD_TYPES; type++) {
		size_t len = encode(type), n_fds = wire->m.n_fds, step = len > 4096 ? 509 : 1;

		memcpy(kept, wire->bytes, sizeof(kept));
		wire->m.n_fds = 0;
		assert_true(accepts(len, n_fds));
		for (size_t n = 0; n < len; n += step)
			assert_false(accepts(n, n_fds));
		assert_false(accepts(len - 1, n_fds));
		assert_false(accepts(len + 1, n_fds));
		for (size_t n = 0; n <= KEYD_FDS; n++)
			assert_int_equal(accepts(len, n), n == n_fds);
	}
}

/* What is changed is another good message, or none; and never a second form of the same. */
static void a_changed_byte_never_means_the_same(void **state)
{
	static struct keyd_message sent;

	(void)state;
	for (uint32_t type = 1; type < KEYD_TYPES; type++) {
		size_t len = encode(type), n_fds = wire->m.n_fds, step = len > 4096 ? 251 : 1;

		memcpy(kept, wire->bytes, sizeof(kept));
		sent = wire->m;
		sent.n_fds = wire->m.n_fds = 0;
		for (size_t i = 0; i < len; i += step) {
			kept[i] ^= 0x81;
			if (accepts(len, n_fds))
				assert_memory_not_equal(&wire->m, &sent, sizeof(sent));
			kept[i] ^= 0x81;
		}
	}
}

static void refuse_it(size_t line)
{
	size_t len = 0;

	if (keyd_encode(wire, &len, NULL) == ATTEST_OK)
		fail_msg("line %zu: it was taken", line);
	wire->m.n_fds = 0;
}

#define REFUSED_WITH(type, change)                                                             \
	do {                                                                                   \
		fill(type);                                                                    \
		wire->m.change;                                                                \
		refuse_it(__LINE__);                                                           \
	} while (0)

static void values_out_of_range_are_refused(void **state)
{
	(void)state;
	REFUSED_WITH(KEYD_AUTH, auth.tee[0] = '\0');
	REFUSED_WITH(KEYD_AUTH, auth.tee[0] = '\n');
	REFUSED_WITH(KEYD_AUTH, auth.hash = 99);
	REFUSED_WITH(KEYD_ATTEST, attest.key.kind = JWK_P384); /* nothing is sealed to it */
	REFUSED_WITH(KEYD_ATTEST, attest.key.a_len = 31);
	REFUSED_WITH(KEYD_ATTEST, attest.key.a_len = 4000);
	REFUSED_WITH(KEYD_ATTEST, attest.key.a[40] = 1); /* behind its length */
	REFUSED_WITH(KEYD_RELEASE, release.name.tenant[0] = 'A');
	REFUSED_WITH(KEYD_RELEASE, release.name.type[0] = '.');
	REFUSED_WITH(KEYD_RELEASE, release.name.tag[0] = '\0');
	REFUSED_WITH(KEYD_RELEASE, release.name.tag[1] = '/');
	REFUSED_WITH(KEYD_NO, no.answer = KEYD_OK);
	REFUSED_WITH(KEYD_NO, no.answer = KEYD_ANSWERS);
	REFUSED_WITH(KEYD_VERDICT, verdict.tier = TIER_CONTRAINDICATED);
	REFUSED_WITH(KEYD_VERDICT, verdict.verdict = VERDICT_REFUSED); /* with its tier */
	REFUSED_WITH(KEYD_VERDICT, verdict.class = 0);
	REFUSED_WITH(KEYD_VERDICT, verdict.class = ATTESTATION_TDX | ATTESTATION_SANDBOX);
	REFUSED_WITH(KEYD_VERDICT, verdict.checks[CHECK_SIGNATURE] = OUTCOME_FAIL);
	REFUSED_WITH(KEYD_VERDICT, verdict.checks[CHECKS] = 1);
	REFUSED_WITH(KEYD_VERDICT, verdict.tenant[0] = '/');
	REFUSED_WITH(KEYD_VERDICT, verdict.n_claims = KEYD_CLAIMS + 1);
	REFUSED_WITH(KEYD_VERDICT, verdict.n_claims = 6); /* one without a name */
	REFUSED_WITH(KEYD_VERDICT, verdict.n_claims = 4); /* and one too few */
	REFUSED_WITH(KEYD_VERDICT, verdict.claims[0].len = 300);
	REFUSED_WITH(KEYD_VERDICT, verdict.claims[2].bytes[0] = '\0');
	REFUSED_WITH(KEYD_VERDICT, verdict.claims[3].bytes[1] = 'b');
	REFUSED_WITH(KEYD_VERDICT, verdict.claims[4].number = 1 << 16);
	REFUSED_WITH(KEYD_KEY_PUT, put.len = KEYD_SECRET_MAX + 1);
	REFUSED_WITH(KEYD_KEY_PUT, put.uses = UINT64_MAX);
	REFUSED_WITH(KEYD_POLICY_PUSH, push.len = 0);
	REFUSED_WITH(KEYD_POLICY_PUSH, push.tenant[0] = '-');
	REFUSED_WITH(KEYD_DONE, done.logged = 2);
	REFUSED_WITH(KEYD_DONE, type = KEYD_TYPES);
	REFUSED_WITH(KEYD_DONE, type = 0);
}

static void names_have_one_form(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"acme",
		"acme/volume",
		"acme/volume/",
		"acme//x",
		"/volume/x",
		"acme/volume/x/",
		"acme/volume/x/y",
		"Acme/volume/x",
		"acme/.volume/x",
		"acme/volume/..",
		"acme/vol ume/x",
		"acme/volume/x\n",
		"kbs://acme/volume/x",
		"kbs:////acme/volume/x",
		"-acme/volume/x",
		"acme/volume/\xc3\xa4",
		"acme/%2e/x",
	};
	char longest[512];
	struct keyd_name n, again;

	(void)state;
	assert_int_equal(keyd_name_parse("kbs:///acme/Volume_1/data.key-2", &n, NULL),
			 ATTEST_OK);
	assert_int_equal(keyd_name_parse("acme/Volume_1/data.key-2", &again, NULL), ATTEST_OK);
	assert_memory_equal(&n, &again, sizeof(n));
	assert_string_equal(n.tenant, "acme");
	assert_string_equal(n.type, "Volume_1");
	assert_string_equal(n.tag, "data.key-2");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (keyd_name_parse(bad[i], &n, NULL) != ATTEST_MALFORMED)
			fail_msg("\"%s\" is a name", bad[i]);
	for (size_t len = KEYD_SEGMENT - 1; len <= KEYD_SEGMENT; len++) {
		snprintf(longest, sizeof(longest), "acme/volume/%0*d", (int)len, 7);
		assert_int_equal(keyd_name_parse(longest, &n, NULL),
				 len < KEYD_SEGMENT ? ATTEST_OK : ATTEST_MALFORMED);
	}
}

/* ---- over a socket ------------------------------------------------------------------------------ */

static void descriptors_go_along_and_none_is_left(void **state)
{
	bool closed = true;
	int pair[2], pipe_fds[2], before = dup(0);
	char got = 0;

	(void)state;
	close(before);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	fill(KEYD_ATTEST);
	wire->m.fds[0] = pipe_fds[1];
	assert_int_equal(keyd_send(pair[0], wire, NULL), ATTEST_OK);
	close(pipe_fds[1]);
	wire->m.n_fds = 0;
	keyd_wire_clear(wire);
	assert_int_equal(keyd_receive(pair[1], wire, &closed, NULL), ATTEST_OK);
	assert_false(closed);
	assert_int_equal(wire->m.type, KEYD_ATTEST);
	assert_int_equal(wire->m.n_fds, 1);
	assert_true(fcntl(wire->m.fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(wire->m.fds[0], "x", 1), 1);
	assert_int_equal(read(pipe_fds[0], &got, 1), 1);
	keyd_wire_clear(wire); /* closes it: the pipe ends */
	assert_int_equal(read(pipe_fds[0], &got, 1), 0);
	close(pair[0]);
	assert_int_equal(keyd_receive(pair[1], wire, &closed, NULL), ATTEST_OK);
	assert_true(closed);
	close(pair[1]);
	close(pipe_fds[0]);
	assert_int_equal(dup(0), before);
	close(before);
}

static void garbage_is_refused_and_its_descriptors_closed(void **state)
{
	static uint8_t large[KEYD_WIRE_MAX + 100];
	struct attest_error e = { .what = "" };
	bool closed = false;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(send(pair[0], "hello", 5, 0), 5);
	assert_int_equal(keyd_receive(pair[1], wire, &closed, &e), ATTEST_MALFORMED);
	assert_int_equal(send(pair[0], large, sizeof(large), 0), sizeof(large));
	assert_int_equal(keyd_receive(pair[1], wire, &closed, &e), ATTEST_MALFORMED);
	close(pair[0]);
	close(pair[1]);
}

static void values_do_not_stay_in_the_buffers(void **state)
{
	int pair[2];
	bool closed;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fill(KEYD_KEY_PUT);
	wire->m.put.len = sizeof(CANARY);
	memcpy(wire->m.put.value, CANARY, sizeof(CANARY));
	assert_int_equal(keyd_send(pair[0], wire, NULL), ATTEST_OK);
	assert_non_null(memmem(wire, sizeof(*wire), CANARY, sizeof(CANARY)));
	keyd_wire_clear(wire);
	assert_null(memmem(wire, sizeof(*wire), CANARY, sizeof(CANARY)));
	assert_int_equal(keyd_receive(pair[1], wire, &closed, NULL), ATTEST_OK);
	assert_memory_equal(wire->m.put.value, CANARY, sizeof(CANARY));
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
#define WIRE_TEST(f) cmocka_unit_test_setup_teardown(f, wire_begin, wire_end)
	const struct CMUnitTest tests[] = {
		WIRE_TEST(each_type_comes_back_as_it_was),
		WIRE_TEST(every_other_length_is_refused),
		WIRE_TEST(a_changed_byte_never_means_the_same),
		WIRE_TEST(values_out_of_range_are_refused),
		WIRE_TEST(names_have_one_form),
		WIRE_TEST(descriptors_go_along_and_none_is_left),
		WIRE_TEST(garbage_is_refused_and_its_descriptors_closed),
		WIRE_TEST(values_do_not_stay_in_the_buffers),
	};

	return cmocka_run_group_tests_name("keyd_wire", tests, NULL, NULL);
}
