/*
 * tests/fuzz/fuzz_kbs.c - what is read as a message is written, and read as the same again.
 * The first byte chooses the message.
 */
#include "attest/kbs.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(struct span body)
{
	struct kbs_request r, again;
	char *text = NULL;
	size_t len;

	if (kbs_request_parse(body, &r, NULL) != ATTEST_OK)
		return;
	if (kbs_request_write(r.tee, &text, &len, NULL) != ATTEST_OK ||
	    kbs_request_parse((struct span){ text, len }, &again, NULL) != ATTEST_OK ||
	    strcmp(r.tee, again.tee) != 0)
		abort();
	free(text);
}

static void check_challenge(struct span body)
{
	struct kbs_challenge c, again;
	char *text = NULL;
	size_t len;

	if (kbs_challenge_parse(body, &c, NULL) != ATTEST_OK)
		return;
	if (kbs_challenge_write(&c, &text, &len, NULL) != ATTEST_OK ||
	    kbs_challenge_parse((struct span){ text, len }, &again, NULL) != ATTEST_OK ||
	    strcmp(c.nonce, again.nonce) != 0 || c.hash != again.hash)
		abort();
	free(text);
}

static void check_attestation(struct span body)
{
	char *one = NULL, *other = NULL;
	struct kbs_attestation a;
	uint8_t digest[KBS_BINDING];
	size_t len;

	if (kbs_attestation_parse(body, &a, NULL) != ATTEST_OK)
		return;
	if (kbs_binding(KBS_SHA384, a.nonce, "{}", a.additional, digest, NULL) != ATTEST_OK ||
	    kbs_attestation_write(&a, &one, &len, NULL) != ATTEST_OK)
		abort();
	kbs_attestation_free(&a);
	/* escapes may be longer than what they stood for */
	if (len <= KBS_BODY_MAX) {
		if (kbs_attestation_parse((struct span){ one, len }, &a, NULL) != ATTEST_OK ||
		    kbs_attestation_write(&a, &other, &len, NULL) != ATTEST_OK ||
		    strcmp(one, other) != 0)
			abort();
		kbs_attestation_free(&a);
	}
	free(one);
	free(other);
}

static void check_token(struct span body)
{
	char *token = NULL, *text = NULL;
	size_t len;

	if (kbs_token_parse(body, &token, NULL) != ATTEST_OK)
		return;
	if (kbs_token_write(token, &text, &len, NULL) != ATTEST_OK ||
	    strlen(token) + strlen("{\"token\":\"\"}") != len)
		abort();
	free(token);
	free(text);
}

static void check_error(struct span body)
{
	char text[KBS_ERROR_BODY];
	struct kbs_error e, again;
	size_t len;

	if (kbs_error_parse(body, &e, NULL) != ATTEST_OK)
		return;
	kbs_error_write(KBS_INTERNAL, e.detail, text, &len);
	if (kbs_error_parse((struct span){ text, len }, &again, NULL) != ATTEST_OK ||
	    strcmp(e.detail, again.detail) != 0)
		abort();
}

static void check_path(struct span body)
{
	struct http_head h = { .method = HTTP_GET, .path = body };
	struct kbs_resource r;

	if (kbs_endpoint(&h, &r) != KBS_RESOURCE)
		return;
	if (r.repository.at[0] == '.' || r.type.at[0] == '.' || r.tag.at[0] == '.' ||
	    memchr(r.repository.at, '%', body.len - (size_t)(r.repository.at - body.at)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const checks[])(struct span) = { check_request,     check_challenge,
						       check_attestation, check_token,
						       check_error,       check_path };

	if (size > 0)
		checks[data[0] % (sizeof(checks) / sizeof(checks[0]))](
			(struct span){ (const char *)data + 1, size - 1 });
	return 0;
}
