/* attest/kbs_binding.c - what evidence has to carry: nonce and key, as one digest. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "attest/json_writer.h"
#include "attest/kbs.h"

static const char *const names[KBS_HASHES] = {
	[KBS_SHA384] = "sha384",
	[KBS_SHA256] = "sha256",
	[KBS_SHA512] = "sha512",
};

const char *kbs_hash_str(enum kbs_hash h)
{
	return names[h];
}

static const EVP_MD *digest_of(enum kbs_hash h)
{
	switch (h) {
	case KBS_SHA256:
		return EVP_sha256();
	case KBS_SHA512:
		return EVP_sha512();
	default:
		return EVP_sha384();
	}
}

/* Names in canonical order, which here is that of ASCII. */
static bool print(const char *nonce, const char *tee_pubkey, const char *additional, char *buf,
		  size_t size, size_t *ret_len)
{
	struct json_writer w;

	jw_begin(&w, buf, size);
	jw_object(&w);
	if (additional) {
		jw_key(&w, "additional-evidence");
		jw_string(&w, additional);
	}
	jw_key(&w, "nonce");
	jw_string(&w, nonce);
	jw_key(&w, "tee-pubkey");
	jw_raw(&w, tee_pubkey, strlen(tee_pubkey));
	jw_object_end(&w);
	return jw_end(&w, ret_len);
}

enum attest_status kbs_binding(enum kbs_hash hash, const char *nonce, const char *tee_pubkey,
			       const char *additional, uint8_t ret[static KBS_BINDING],
			       struct attest_error *reterr)
{
	size_t extra = additional ? strlen(additional) : 0, size, len = 0;
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned digest_len = 0;
	char *text;
	bool done;

	if (strlen(nonce) >= KBS_NONCE || strlen(tee_pubkey) > KBS_PUBKEY ||
	    extra > KBS_BODY_MAX)
		return attest_fail(reterr, ATTEST_MALFORMED, "binding", NULL,
				   "nonce, key or evidence is longer than any such");
	size = 6 * (extra + KBS_NONCE) + KBS_PUBKEY + 64; /* a byte has six: \u0001 */
	text = malloc(size);
	done = text && print(nonce, tee_pubkey, additional, text, size, &len) &&
	       EVP_Digest(text, len, digest, &digest_len, digest_of(hash), NULL) == 1 &&
	       digest_len <= KBS_BINDING;
	free(text);
	if (!done)
		return attest_fail(reterr, ATTEST_SYSTEM, "binding", NULL,
				   "no memory, or libcrypto cannot hash");
	memset(ret, 0, KBS_BINDING);
	memcpy(ret, digest, digest_len);
	return ATTEST_OK;
}
