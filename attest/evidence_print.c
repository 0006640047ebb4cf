/* attest/evidence_print.c - an answer about evidence, for people and for programs. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "attest/evidence_files.h"
#include "attest/evidence_internal.h"
#include "attest/hex.h"
#include "policy/text.h"

/* What verified evidence says is still somebody else's words. */
static void claim_text(const struct claim *c, char *ret, size_t size)
{
	char hex[HEX_SIZE(CLAIM_BYTES_MAX)], time[EVIDENCE_TIME];

	switch (c->type) {
	case CLAIM_BYTES:
		hex_print(c->value.bytes.at, c->value.bytes.len, hex);
		snprintf(ret, size, "%s", hex);
		break;
	case CLAIM_NUMBER:
		snprintf(ret, size, "%" PRIu64, c->value.number);
		break;
	case CLAIM_TRUTH:
		snprintf(ret, size, "%s", c->value.truth ? "true" : "false");
		break;
	case CLAIM_TEXT:
		text_escape(ret, size, c->value.text);
		break;
	case CLAIM_TIME:
		evidence_time(c->value.time, time);
		snprintf(ret, size, "%s", time);
		break;
	default:
		snprintf(ret, size, "?");
	}
}

/* ---- for people -------------------------------------------------------------------- */

static void print_checks(FILE *to, const struct attest_result *r)
{
	char detail[4 * sizeof(r->checks[0].detail)];

	for (unsigned i = 0; i < CHECKS; i++) {
		const struct evidence_check *c = &r->checks[i];

		if (c->outcome == OUTCOME_NOT_MADE)
			continue;
		text_escape(detail, sizeof(detail), c->detail);
		fprintf(to, "  %-12s  %-7s  %s%s\n", evidence_check_str(i),
			evidence_outcome_str(c->outcome), detail,
			c->excepted ? " (accepted by name)" : "");
	}
}

/* Of these four nobody can tell from the answer alone whether they were forgotten. */
static void print_not_asked(FILE *to, const struct attest_result *r)
{
	static const enum evidence_check_id asked[] = { CHECK_MEASUREMENT, CHECK_FRESHNESS,
							CHECK_HOST_DATA, CHECK_PLATFORM };
	const char *before = "  not asked for: ";

	if (r->claims.n == 0)
		return;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		if (r->checks[asked[i]].outcome == OUTCOME_NOT_MADE) {
			fprintf(to, "%s%s", before, evidence_check_str(asked[i]));
			before = ", ";
		}
	if (before[0] == ',')
		fputc('\n', to);
}

static void print_policy(FILE *to, const struct attest_result *r)
{
	if (r->n_lines > 0)
		fputs("\npolicy\n", to);
	for (size_t i = 0; i < r->n_lines; i++) {
		const struct attestation_line *l = &r->lines[i];

		fprintf(to, "  %-7s  %*s%s%s%s\n", attestation_outcome_str(l->outcome),
			(int)(2 * l->depth), "", l->clause, l->seen[0] ? "; seen: " : "",
			l->seen);
	}
}

void evidence_print(FILE *to, const struct attest_result *r)
{
	char value[4 * CLAIM_TEXT_SIZE];

	fprintf(to, "%s: %s evidence, %s\n", evidence_verdict_str(r->verdict),
		evidence_tee_str(r->tee), evidence_tier_str(r->tier));
	print_checks(to, r);
	print_not_asked(to, r);
	print_policy(to, r);
	if (r->claims.n > 0)
		fputs("\nclaims\n", to);
	for (size_t i = 0; i < r->claims.n; i++) {
		claim_text(&r->claims.of[i], value, sizeof(value));
		fprintf(to, "  %-18s  %s\n", r->claims.of[i].name, value);
	}
}

/* ---- for programs ------------------------------------------------------------------ */

/* A text that is not UTF-8 cannot stand in JSON; escaped, it can. */
static json_t *text_json(const char *s)
{
	char clean[1024];
	json_t *text = json_string(s);

	if (text)
		return text;
	text_escape(clean, sizeof(clean), s);
	return json_string(clean);
}

static json_t *claim_json(const struct claim *c)
{
	char text[4 * CLAIM_TEXT_SIZE];

	if (c->type == CLAIM_NUMBER)
		return json_integer((json_int_t)c->value.number);
	if (c->type == CLAIM_TRUTH)
		return json_boolean(c->value.truth);
	if (c->type == CLAIM_TEXT)
		return text_json(c->value.text);
	claim_text(c, text, sizeof(text));
	return json_string(text);
}

static json_t *checks_json(const struct attest_result *r)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < CHECKS; i++) {
		const struct evidence_check *c = &r->checks[i];

		if (c->outcome != OUTCOME_NOT_MADE)
			json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "id",
							      evidence_check_str(i), "outcome",
							      evidence_outcome_str(c->outcome),
							      "detail", text_json(c->detail)));
	}
	return list;
}

static json_t *claims_json(const struct attest_result *r)
{
	json_t *o = json_object();

	for (size_t i = 0; i < r->claims.n; i++)
		json_object_set_new(o, r->claims.of[i].name, claim_json(&r->claims.of[i]));
	return o;
}

/* A sandbox has no TCB that a vendor has a word for. */
static json_t *tcb_json(const struct attest_result *r)
{
	const struct claim *status = claims_find(&r->claims, "tcb_status");

	return json_pack("{s:s, s:[]}", "status", status ? status->value.text : "none",
			 "advisories");
}

bool evidence_print_json(FILE *to, const struct attest_result *r)
{
	json_t *o =
		json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "schema", "cordon.verify/1",
			  "verdict", evidence_verdict_str(r->verdict), "tier",
			  evidence_tier_str(r->tier), "tee", evidence_tee_str(r->tee), "checks",
			  checks_json(r), "claims", claims_json(r), "tcb", tcb_json(r));
	bool done = o && json_dumpf(o, to, JSON_INDENT(2)) == 0 && fputc('\n', to) != EOF;

	json_decref(o);
	return done;
}
