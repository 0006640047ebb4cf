/*
 * attest/keyd_session.c - from a challenge to an attested session. The three states and the
 * one way through them are in the database; a step that somebody else has made is refused
 * there.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "attest/base64.h"
#include "attest/evidence.h"
#include "attest/kbs.h"
#include "attest/keyd_fault.h"
#include "attest/keyd_internal.h"
#include "memscrub/memscrub.h"
#include "policy/attestation.h"

/* What a client may call itself, and what its evidence must be of then. "sample" is what a
 * client says that found no hardware. */
static const struct {
	const char *tee;
	uint32_t class;
} welcome[] = {
	{ "snp", ATTESTATION_SEV_SNP },
	{ "tdx", ATTESTATION_TDX },
	{ "cordon-sandbox", ATTESTATION_SANDBOX },
	{ "cordon-simulated", ATTESTATION_SIMULATED },
};

/* 0: none. */
static uint32_t class_of(const char *tee)
{
	for (size_t i = 0; i < sizeof(welcome) / sizeof(*welcome); i++)
		if (strcmp(tee, welcome[i].tee) == 0)
			return welcome[i].class;
	return 0;
}

/* ---- a session in the database ------------------------------------------------------------ */

static bool session_id(const uint8_t session[static KEYD_SESSION], uint8_t ret[static KEYD_ID])
{
	size_t n = 0;

	return EVP_Q_digest(NULL, "SHA256", NULL, session, KEYD_SESSION, ret, &n) == 1;
}

static enum attest_status pack(struct keyd_store *s, struct attest_error *e)
{
	struct keyd_wire *w = s->pack;
	size_t len = 0;
	enum attest_status status;

	w->m = (struct keyd_message){ .type = KEYD_STORED, .stored = s->stored };
	status = keyd_encode(w, &len, e);
	while (len > 0 && w->bytes[len - 1] == 0)
		len--;
	memcpy(s->session.body, w->bytes, len);
	s->session.body_len = (uint32_t)len;
	keyd_wire_clear(w);
	return status == ATTEST_OK ? keyd_session_mark(s->root, &s->session) : status;
}

static enum attest_status unpack(struct keyd_store *s, struct attest_error *e)
{
	size_t len = keyd_wire_size(KEYD_STORED);
	struct keyd_wire *w = s->pack;
	enum attest_status status;

	memcpy(w->bytes, s->session.body, s->session.body_len);
	status = keyd_decode(w, len, 0, e);
	if (status == ATTEST_OK && w->m.type != KEYD_STORED)
		status = attest_fail(e, ATTEST_MALFORMED, "session", "", "it is another row");
	if (status == ATTEST_OK)
		s->stored = w->m.stored;
	keyd_wire_clear(w);
	return status;
}

void keyd_session_handle(const struct keyd_store *s, char ret[static KEYD_HANDLE])
{
	for (size_t i = 0; i < (KEYD_HANDLE - 1) / 2; i++)
		snprintf(ret + 2 * i, 3, "%02x", (unsigned)s->session.id[i]);
}

enum attest_status keyd_session_load(struct keyd_store *s,
				     const uint8_t session[static KEYD_SESSION],
				     enum keyd_state wanted, struct attest_error *e)
{
	uint8_t id[KEYD_ID];
	int64_t now = keyd_now(s);
	enum attest_status status;

	if (!session_id(session, id))
		return attest_fail(e, ATTEST_SYSTEM, "libcrypto", "", "it cannot hash");
	status = s->engine->session_get(s->db, id, &s->session, e);
	if (status == ATTEST_REFUSED)
		return attest_fail(e, ATTEST_REFUSED, "session", "",
				   "there is no such session");
	if (status == ATTEST_OK)
		status = keyd_session_check(s->root, &s->session, e);
	if (status == ATTEST_REFUSED) /* for the asker it is a failure, not his mistake */
		status = ATTEST_MALFORMED;
	if (status != ATTEST_OK)
		return status;
	/* A clock that was set back must not make a session live longer. */
	if (s->session.expires <= now || s->session.made > now)
		return attest_fail(e, ATTEST_REFUSED, "session", "", "it has expired");
	if (s->session.state != (uint32_t)wanted)
		return attest_fail(e, ATTEST_REFUSED, "session", "", "it is not in that state");
	return unpack(s, e);
}

enum attest_status keyd_session_step(struct keyd_store *s, enum keyd_state to,
				     struct attest_error *e)
{
	enum attest_status status;

	s->session.state = to;
	status = pack(s, e);
	return status == ATTEST_OK ? s->engine->session_swap(s->db, (enum keyd_state)(to - 1),
							     &s->session, e)
				   : status;
}

/* ---- AUTH ------------------------------------------------------------------------------------ */

enum keyd_answer keyd_store_auth(struct keyd_store *s, const struct keyd_auth *in,
				 struct keyd_challenge *ret, struct attest_error *reterr)
{
	struct keyd_challenge c = { .seconds = s->config.session_seconds };
	int64_t now = keyd_now(s);
	enum attest_status status;

	if (!class_of(in->tee)) {
		(void)attest_fail(reterr, ATTEST_REFUSED, in->tee, "",
				  "evidence of this kind is never accepted");
		return KEYD_UNATTESTED;
	}
	if (RAND_priv_bytes(c.session, sizeof(c.session)) != 1 ||
	    RAND_bytes(c.nonce, sizeof(c.nonce)) != 1) {
		(void)attest_fail(reterr, ATTEST_SYSTEM, "libcrypto", "", "no random bytes");
		return KEYD_FAILED;
	}
	memset(&s->stored, 0, sizeof(s->stored));
	s->stored.auth = *in;
	memcpy(s->stored.nonce, c.nonce, sizeof(c.nonce));
	s->session.state = KEYD_STATE_AUTHED;
	s->session.made = now;
	s->session.expires = now + s->config.session_seconds;
	if (!session_id(c.session, s->session.id) || pack(s, reterr) != ATTEST_OK)
		return KEYD_FAILED;
	status =
		s->engine->session_add(s->db, &s->session, s->config.sessions_max, now, reterr);
	if (status != ATTEST_OK)
		return status == ATTEST_REFUSED ? KEYD_FULL : KEYD_FAILED;
	*ret = c;
	return KEYD_OK;
}

/* ---- ATTEST ------------------------------------------------------------------------------------ */

/* report_data: made here, of numbers, and of nothing that anybody else has put together. */
static enum attest_status binding_of(const struct keyd_stored *st, const char *key,
				     uint8_t ret[static KEYD_BINDING], struct attest_error *e)
{
	char nonce[BASE64_SIZE(KEYD_NONCE)];

	base64_encode(st->nonce, sizeof(st->nonce), nonce);
	return kbs_binding((enum kbs_hash)st->auth.hash, nonce, key, "", ret, e);
}

/* Whether secrets can be sealed to the key: on its curve, long enough. */
static enum attest_status judge_key(const struct keyd_key *k, char text[static JWK_TEXT],
				    struct attest_error *e)
{
	EVP_PKEY *key = NULL;
	struct jwk jwk;
	size_t len;
	enum attest_status status;

	if (!keyd_key_get(k, &jwk) || !jwk_print(&jwk, JWK_TEE, text, &len))
		return attest_fail(e, ATTEST_REFUSED, "tee-pubkey", "", "it is no such key");
	status = jwk_key(&jwk, &key, e);
	EVP_PKEY_free(key);
	return status;
}

enum keyd_answer keyd_store_attest(struct keyd_store *s, const struct keyd_attest *in,
				   struct keyd_verify *ret, struct attest_error *reterr)
{
	struct keyd_verify v = { .at = keyd_now(s) };
	char key[JWK_TEXT];
	enum attest_status status =
		keyd_session_load(s, in->session, KEYD_STATE_AUTHED, reterr);

	if (status == ATTEST_OK) {
		s->stored.key = in->key;
		status = keyd_session_step(s, KEYD_STATE_VERIFYING, reterr);
	}
	if (status != ATTEST_OK)
		return status == ATTEST_REFUSED ? KEYD_NO_SESSION : KEYD_FAILED;
	keyd_fault_point("keyd.consumed");
	/* From here on this nonce was used, whatever follows. */
	if (CRYPTO_memcmp(s->stored.nonce, in->nonce, KEYD_NONCE) != 0) {
		(void)attest_fail(reterr, ATTEST_REFUSED, "session", "",
				  "the nonce is not the one that it was given");
		return KEYD_NO_SESSION;
	}
	status = judge_key(&in->key, key, reterr);
	if (status == ATTEST_REFUSED)
		return KEYD_UNATTESTED;
	if (status != ATTEST_OK ||
	    binding_of(&s->stored, key, v.report_data, reterr) != ATTEST_OK)
		return KEYD_FAILED;
	memcpy(v.tee, s->stored.auth.tee, sizeof(v.tee));
	*ret = v;
	return KEYD_OK;
}

/* ---- the verdict --------------------------------------------------------------------------------- */

/* The first check that failed; NULL: none. */
static const char *failed_check(const struct keyd_verdict *v)
{
	for (unsigned i = 0; i < CHECKS; i++)
		if (v->checks[i] == OUTCOME_FAIL)
			return evidence_check_str((enum evidence_check_id)i);
	return NULL;
}

static enum attest_status log_verdict(struct keyd_store *s, const struct keyd_verdict *v,
				      const char *why, bool accepted, struct attest_error *e)
{
	char handle[KEYD_HANDLE];
	struct log_entry entry;

	keyd_session_handle(s, handle);
	keyd_log_begin(s->log, &entry, "attest");
	entry.object = handle;
	entry.outcome = accepted ? LOG_OK : LOG_DENIED;
	entry.reason = accepted ? NULL : why;
	keyd_say(&entry, "tee", s->stored.auth.tee);
	if (v) {
		entry.tenant = v->tenant[0] ? v->tenant : NULL;
		keyd_say(&entry, "class", attestation_class_name(v->class));
		keyd_say(&entry, "failed", failed_check(v));
		keyd_say(&entry, "subject", v->subject);
		keyd_say(&entry, "tier", evidence_tier_str((enum evidence_tier)v->tier));
		keyd_say(&entry, "verdict",
			 evidence_verdict_str((enum evidence_verdict)v->verdict));
	}
	if (accepted)
		keyd_say_number(&entry, "generation", s->stored.generation);
	return keyd_log_put(s->log, &entry, e);
}

static enum attest_status admit(struct keyd_store *s, const struct keyd_verdict *v,
				struct keyd_attested *ret, struct attest_error *e)
{
	char *token = NULL;
	enum attest_status status;

	s->stored.verdict = *v;
	status = s->engine->generation(s->db, &s->stored.generation, e);
	if (status == ATTEST_OK)
		status = log_verdict(s, v, NULL, true, e);
	keyd_fault_point("keyd.verdict-logged");
	if (status == ATTEST_OK)
		status = keyd_session_step(s, KEYD_STATE_ATTESTED, e);
	if (status == ATTEST_OK)
		status = keyd_token_make(s, &token, e);
	if (status == ATTEST_OK && strlen(token) >= sizeof(ret->token))
		status = attest_fail(e, ATTEST_SYSTEM, "token", "", "it is too long");
	if (status == ATTEST_OK) {
		*ret = (struct keyd_attested){
			.tier = v->tier,
			.seconds = (uint32_t)(s->session.expires - keyd_now(s)),
		};
		memcpy(ret->token, token, strlen(token));
	}
	free(token);
	return status;
}

/* Why the session is not attested; NULL: it is. */
static const char *refusal(const struct keyd_store *s, const struct keyd_verdict *v,
			   const char *why)
{
	if (!v)
		return why ? why : "there is no verdict";
	if (v->verdict != VERDICT_ACCEPTED)
		return v->reason[0] ? v->reason : "the evidence was refused";
	if (v->class != class_of(s->stored.auth.tee))
		return "the verdict is of another class than the evidence";
	return NULL;
}

enum keyd_answer keyd_store_attested(struct keyd_store *s,
				     const uint8_t session[static KEYD_SESSION],
				     const struct keyd_verdict *verdict, const char *why,
				     struct keyd_attested *ret, struct attest_error *reterr)
{
	enum attest_status status = keyd_session_load(s, session, KEYD_STATE_VERIFYING, reterr);

	if (status != ATTEST_OK)
		return status == ATTEST_REFUSED ? KEYD_NO_SESSION : KEYD_FAILED;
	why = refusal(s, verdict, why);
	if (why) {
		(void)attest_fail(reterr, ATTEST_REFUSED, "evidence", "", "%s", why);
		/* Nothing is given; a log that fails changes nothing about that. */
		(void)!log_verdict(s, verdict, why, false, NULL);
		return verdict ? KEYD_UNATTESTED : KEYD_FAILED; /* not judged is not refused */
	}
	status = admit(s, verdict, ret, reterr);
	if (status == ATTEST_OK)
		return KEYD_OK;
	return status == ATTEST_REFUSED ? KEYD_NO_SESSION : KEYD_FAILED;
}
