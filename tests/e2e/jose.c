/*
 * tests/e2e/jose.c - our JOSE for peers to check: texts come from standard input, results go
 * to standard output.
 *
 *   jose seal SECRET <JWK        the secret for that public key, as JSON
 *   jose new CURVE PEM           makes a key file; prints its public half as a tee's JWK
 *   jose open PEM <JWE           the secret
 *   jose sign PEM TYP <JSON      a token
 *   jose verify PEM <TOKEN       its claims, canonical
 */
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "attest/jcs.h"
#include "attest/json_reader.h"
#include "attest/jwe.h"
#include "attest/jwk.h"
#include "attest/jws.h"
#include "memscrub/guard.h"

static char input[256u << 10];
static struct attest_error error;

static struct span read_input(void)
{
	return (struct span){ input, fread(input, 1, sizeof(input) - 1, stdin) };
}

static EVP_PKEY *key_read(const char *path)
{
	FILE *from = fopen(path, "re");
	EVP_PKEY *key = from ? PEM_read_PrivateKey(from, NULL, NULL, NULL) : NULL;

	if (!key) {
		fprintf(stderr, "jose: %s: no key\n", path);
		exit(2);
	}
	fclose(from);
	return key;
}

static enum attest_status do_seal(char **args)
{
	const struct json_caps caps = { .bytes = 4096, .depth = 1, .values = 64 };
	json_t *object = NULL;
	EVP_PKEY *key = NULL;
	char *text = NULL;
	struct jwk jwk;
	size_t len;
	enum attest_status s = jr_object(read_input(), &caps, "jwk", &object, &error);

	if (s == ATTEST_OK)
		s = jwk_parse(object, JWK_TEE, &jwk, &error);
	if (s == ATTEST_OK)
		s = jwk_key(&jwk, &key, &error);
	if (s == ATTEST_OK)
		s = jwe_seal(key, args[0], strlen(args[0]), &text, &len, &error);
	if (s == ATTEST_OK)
		puts(text);
	free(text);
	EVP_PKEY_free(key);
	json_decref(object);
	return s;
}

static enum attest_status do_new(char **args)
{
	EVP_PKEY *key = EVP_EC_gen(args[0]);
	FILE *to = fopen(args[1], "we");
	char text[JWK_TEXT];
	struct jwk jwk;
	size_t len;

	if (!key || !to || PEM_write_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    fclose(to) != 0)
		return ATTEST_SYSTEM;
	if (jwk_of(key, &jwk, &error) == ATTEST_OK && jwk_print(&jwk, JWK_TEE, text, &len))
		puts(text);
	EVP_PKEY_free(key);
	return ATTEST_OK;
}

static enum attest_status do_open(char **args)
{
	struct span text = read_input();
	EVP_PKEY *key = key_read(args[0]);
	void *secret = NULL;
	size_t len = 0;
	enum attest_status s = jwe_open(key, text.at, text.len, &secret, &len, &error);

	if (s == ATTEST_OK)
		fwrite(secret, 1, len, stdout);
	guard_free(secret);
	EVP_PKEY_free(key);
	return s;
}

static enum attest_status do_sign(char **args)
{
	struct span text = read_input();
	EVP_PKEY *key = key_read(args[0]);
	struct jws_head head = { .typ = args[1], .kid = "peer \"1\"" };
	char *token = NULL;
	enum attest_status s = jws_sign(key, &head, text.at, text.len, &token, &error);

	if (s == ATTEST_OK)
		puts(token);
	free(token);
	EVP_PKEY_free(key);
	return s;
}

static enum attest_status do_verify(char **args)
{
	const struct jws_rules rules = { .algs = JWS_ES256 | JWS_ES384 };
	struct span text = read_input();
	EVP_PKEY *key = key_read(args[0]);
	struct jws_claims *claims = NULL;
	struct jws *token = NULL;
	char *again = NULL;
	size_t len;
	enum attest_status s = jws_parse(text.at, text.len, &token, &error);

	if (s == ATTEST_OK)
		s = jws_verify(token, key, &rules, &claims, &error);
	if (s == ATTEST_OK)
		s = jcs_print(jws_claims(claims), &again, &len, &error);
	if (s == ATTEST_OK)
		puts(again);
	free(again);
	jws_claims_free(claims);
	jws_free(token);
	EVP_PKEY_free(key);
	return s;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		enum attest_status (*run)(char **args);
	} verbs[] = {
		{ "seal", 1, do_seal }, { "new", 2, do_new },       { "open", 1, do_open },
		{ "sign", 2, do_sign }, { "verify", 1, do_verify },
	};
	enum attest_status s;

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0 || argc != 2 + verbs[i].args)
			continue;
		s = verbs[i].run(argv + 2);
		if (s != ATTEST_OK)
			attest_error_print(stderr, "jose", &error);
		return attest_exit(s);
	}
	fputs("jose: no such verb, or not its arguments\n", stderr);
	return 2;
}
