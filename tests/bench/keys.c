/*
 * tests/bench/keys.c - how fast a key service lets keys go: keys SERVICE SERVICE_CA ROOT KEYD
 *
 * A client does all that an agent does, by the agent's own functions: TLS, challenge, key
 * pair, evidence, attestation, release, opening what came. The evidence is signed here with
 * ROOT's attestation key, in the place of a clerk. Beside it, in turn, runs the least that
 * any such exchange costs: one TLS 1.3 handshake with the service's certificate (in KEYD),
 * and the four signatures, made and verified: of the evidence, of the certificate it was
 * signed by, and of the service's token. Both at one client and at sixteen.
 */
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "attest/anchor.h"
#include "attest/descriptor.h"
#include "attest/jwe.h"
#include "attest/jwk.h"
#include "attest/sandbox_token.h"
#include "memscrub/guard.h"
#include "runtime/agent_kbs.h"
#include "runtime/deadline.h"
#include "tests/bench/clerk.h"

#define TIMES 160 /* of one side in one pass, by all clients together */
#define PASSES 5
#define MANY 16
#define RESOURCE "kbs:///bench/volume/data-key"

static struct {
	struct agent_service service;
	EVP_PKEY *host_key;
	X509 *host_chain[SANDBOX_CERTIFICATES];
	size_t n_chain;
	char host_id[65], descriptor[DESCRIPTOR_MAX];
	size_t descriptor_len;
	SSL_CTX *server, *client;
} b;

static void must(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "bench: keys: %s\n", what);
		exit(3);
	}
}

/* ---- one release ----------------------------------------------------------------- */

/* Reference values of the policy that tests/bench/run pushes. */
static char *evidence(const uint8_t report_data[static SANDBOX_REPORT_DATA])
{
	struct sandbox_facts f = { .coverage = SANDBOX_BINARY,
				   .kernel_release = "6.1",
				   .boot_id = "01234567-89ab-cdef-0123-456789abcdef",
				   .key_custody = "file",
				   .issued = (int64_t)time(NULL) };
	char *token = NULL;

	memset(f.plan, 0x11, sizeof(f.plan));
	memset(f.workload, 0x22, sizeof(f.workload));
	memset(f.cordon, 0x33, sizeof(f.cordon));
	memset(f.filter, 0x44, sizeof(f.filter));
	memcpy(f.report_data, report_data, sizeof(f.report_data));
	memcpy(f.host_id, b.host_id, sizeof(f.host_id));
	must(EVP_Q_digest(NULL, "SHA256", NULL, b.descriptor, b.descriptor_len, f.descriptor,
			  NULL) == 1,
	     "SHA-256");
	must(sandbox_token_sign(&f, b.host_key, b.host_chain, b.n_chain, &token, NULL) ==
		     ATTEST_OK,
	     "evidence");
	return token;
}

static int connect_to(const struct agent_service *to)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_INET };
	struct addrinfo *at = NULL;
	int fd = -1;

	must(getaddrinfo(to->host, to->port, &hints, &at) == 0, "the service's address");
	fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) < 0 ||
	    connect(fd, at->ai_addr, at->ai_addrlen) < 0)
		die("connect");
	freeaddrinfo(at);
	return fd;
}

static void check(enum runtime_status s, const struct runtime_error *e)
{
	if (s != RUNTIME_OK)
		runtime_failed(e);
}

static void attest(struct agent_kbs *k, const char *jwk)
{
	uint8_t report_data[KBS_BINDING];
	struct kbs_challenge challenge;
	struct runtime_error e;
	struct kbs_attestation a = { .additional = "", .init_data = b.descriptor };
	char *token;

	check(agent_kbs_auth(k, "cordon-sandbox", &challenge, &e), &e);
	must(kbs_binding(challenge.hash, challenge.nonce, jwk, "", report_data, NULL) ==
		     ATTEST_OK,
	     "binding");
	token = evidence(report_data);
	a.nonce = challenge.nonce;
	a.tee_pubkey = json_loads(jwk, 0, NULL);
	a.primary = json_pack("{s:s}", "token", token);
	check(agent_kbs_attest(k, &a, &e), &e);
	json_decref(a.tee_pubkey);
	json_decref(a.primary);
	free(token);
}

static void take_key(struct agent_kbs *k, EVP_PKEY *pair)
{
	struct http_reader *r = NULL;
	struct runtime_error e;
	void *secret = NULL;
	struct span sealed;
	size_t len;

	check(agent_kbs_resource(k, RESOURCE, &r, &e), &e);
	sealed = http_read_body(r);
	must(jwe_open(pair, sealed.at, sealed.len, &secret, &len, NULL) == ATTEST_OK, "JWE");
	guard_free(secret);
	http_reader_free(r);
}

static void release(void)
{
	struct agent_kbs k = { .to = &b.service };
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	int fd = connect_to(&b.service);
	struct runtime_error e;
	char text[JWK_TEXT];
	struct jwk jwk;
	size_t n;

	must(pair && jwk_of(pair, &jwk, NULL) == ATTEST_OK &&
		     jwk_print(&jwk, JWK_TEE, text, &n),
	     "key pair");
	check(agent_tls_connect(fd, &b.service, deadline_in(60000), &k.tls, &e), &e);
	attest(&k, text);
	take_key(&k, pair);
	agent_tls_free(k.tls);
	EVP_PKEY_free(pair);
	close(fd);
}

/* ---- what it costs at least ------------------------------------------------------ */

static void handshake(void)
{
	SSL *server = SSL_new(b.server), *client = SSL_new(b.client);
	BIO *one, *other;

	must(server && client && BIO_new_bio_pair(&one, 0, &other, 0) == 1, "TLS");
	SSL_set_bio(server, one, one);
	SSL_set_bio(client, other, other);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	while (SSL_in_init(client) || SSL_in_init(server)) {
		(void)SSL_do_handshake(client);
		(void)SSL_do_handshake(server);
		must(SSL_get_error(client, -1) != SSL_ERROR_SSL &&
			     SSL_get_error(server, -1) != SSL_ERROR_SSL,
		     "TLS handshake");
	}
	SSL_free(server);
	SSL_free(client);
}

static void sign_and_verify(int signs, int verifies)
{
	static const uint8_t text[2048];
	uint8_t signature[128];
	size_t len = sizeof(signature);
	EVP_MD_CTX *cx = EVP_MD_CTX_new();

	while (signs-- > 0) {
		len = sizeof(signature);
		must(EVP_DigestSignInit(cx, NULL, EVP_sha256(), NULL, b.host_key) == 1 &&
			     EVP_DigestSign(cx, signature, &len, text, sizeof(text)) == 1,
		     "sign");
		EVP_MD_CTX_reset(cx);
	}
	while (verifies-- > 0) {
		must(EVP_DigestVerifyInit(cx, NULL, EVP_sha256(), NULL, b.host_key) == 1 &&
			     EVP_DigestVerify(cx, signature, len, text, sizeof(text)) == 1,
		     "verify");
		EVP_MD_CTX_reset(cx);
	}
	EVP_MD_CTX_free(cx);
}

/* Signed: evidence, token. Verified: evidence, the host's certificate. */
static void least(void)
{
	handshake();
	sign_and_verify(2, 2);
}

/* ---- clients --------------------------------------------------------------------- */

struct side {
	const char *name;
	void (*act)(void);
	unsigned clients;
	double rates[PASSES];
	double *ms; /* PASSES * TIMES, shared with the clients */
};

static _Noreturn void client(const struct side *s, double *ms, int go)
{
	char byte;

	if (read(go, &byte, 1) != 0) /* its end is the start for all */
		_exit(3);
	for (unsigned i = 0; i < TIMES / s->clients; i++) {
		uint64_t begin = now_ns();

		s->act();
		ms[i] = (double)(now_ns() - begin) / 1e6;
	}
	_exit(0);
}

static void run_clients(struct side *s, unsigned pass)
{
	uint64_t begin;
	int go[2];

	if (pipe2(go, O_CLOEXEC) < 0)
		die("pipe");
	for (unsigned i = 0; i < s->clients; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			close(go[1]);
			client(s, s->ms + pass * TIMES + i * (TIMES / s->clients), go[0]);
		}
	}
	close(go[0]);
	begin = now_ns();
	close(go[1]);
	for (unsigned i = 0; i < s->clients; i++) {
		int status;

		must(wait(&status) > 0 && status == 0, "a client failed");
	}
	s->rates[pass] = TIMES / ((double)(now_ns() - begin) / 1e9);
}

/* ---- all ------------------------------------------------------------------------- */

static void open_host(const char *root)
{
	char path[PATH_MAX];
	int dir;

	snprintf(path, sizeof(path), "%s/keys", root);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir >= 0 &&
		     anchor_key_open(dir, "attestation.key", &b.host_key, NULL) == ATTEST_OK &&
		     anchor_certificates_open(dir, "attestation.pem", SANDBOX_CERTIFICATES,
					      b.host_chain, &b.n_chain, NULL) == ATTEST_OK &&
		     X509_NAME_get_text_by_NID(X509_get_subject_name(b.host_chain[0]),
					       NID_commonName, b.host_id,
					       sizeof(b.host_id)) > 0,
	     "the host's attestation key");
	close(dir);
}

static void describe(const char *service, const char *service_ca)
{
	struct descriptor d = { .hash = DESCRIPTOR_SHA256,
				.tenant = "bench",
				.session = { 1 } };

	memset(d.plan, 0x11, sizeof(d.plan));
	snprintf(d.service, sizeof(d.service), "%s", service);
	snprintf(d.service_ca, sizeof(d.service_ca), "%s", service_ca);
	must(descriptor_print(&d, b.descriptor, &b.descriptor_len, NULL) == ATTEST_OK,
	     "descriptor");
}

/* As both sides have it, but for the stream between them. */
static void open_tls(const char *keyd)
{
	char path[PATH_MAX];

	b.server = SSL_CTX_new(TLS_server_method());
	b.client = SSL_CTX_new(TLS_client_method());
	must(b.server && b.client, "TLS");
	snprintf(path, sizeof(path), "%s/server.pem", keyd);
	must(SSL_CTX_use_certificate_chain_file(b.server, path) == 1, path);
	snprintf(path, sizeof(path), "%s/server.key", keyd);
	must(SSL_CTX_use_PrivateKey_file(b.server, path, SSL_FILETYPE_PEM) == 1, path);
	snprintf(path, sizeof(path), "%s/ca.pem", keyd);
	must(SSL_CTX_load_verify_locations(b.client, path, NULL) == 1, path);
	must(SSL_CTX_set_min_proto_version(b.server, TLS1_3_VERSION) == 1 &&
		     SSL_CTX_set_num_tickets(b.server, 0) == 1 &&
		     SSL_CTX_set_ciphersuites(b.client, "TLS_AES_256_GCM_SHA384") == 1,
	     "TLS 1.3");
	SSL_CTX_set_verify(b.client, SSL_VERIFY_PEER, NULL);
}

static void print_side(struct side *s, double bound)
{
	double rate = median(s->rates, PASSES);
	const size_t n = (size_t)PASSES * TIMES;

	printf("%-34s %7u %9.1f %9.2f %9.2f", s->name, s->clients, rate,
	       quantile(s->ms, n, 0.5), quantile(s->ms, n, 0.99));
	if (bound > 0)
		printf(" %9.2f", rate / bound);
	putchar('\n');
}

int main(int argc, char **argv)
{
	struct side sides[] = {
		{ .name = "signatures and handshake alone", .act = least, .clients = 1 },
		{ .name = "attestation and release", .act = release, .clients = 1 },
		{ .name = "signatures and handshake alone", .act = least, .clients = MANY },
		{ .name = "attestation and release", .act = release, .clients = MANY },
	};
	const size_t n = sizeof(sides) / sizeof(sides[0]);

	if (argc != 5)
		return 2;
	must(agent_service_parse(argv[1], argv[2], &b.service), "SERVICE, SERVICE_CA");
	describe(argv[1], argv[2]);
	open_host(argv[3]);
	open_tls(argv[4]);
	for (size_t i = 0; i < n; i++) {
		sides[i].ms = mmap(NULL, sizeof(double) * PASSES * TIMES,
				   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		must(sides[i].ms != MAP_FAILED, "memory");
	}
	release(); /* files come into the cache */
	for (unsigned pass = 0; pass < PASSES; pass++)
		for (size_t i = 0; i < n; i++)
			run_clients(&sides[i], pass);

	printf("\n%-34s %7s %9s %9s %9s %9s   %d passes of %d\n", "keys", "clients", "a second",
	       "p50 ms", "p99 ms", "of bound", PASSES, TIMES);
	for (size_t i = 0; i < n; i += 2) {
		double bound = median(sides[i].rates, PASSES);

		print_side(&sides[i], 0);
		print_side(&sides[i + 1], bound);
		row("keys", i ? "a release, 16 clients" : "a release, 1 client",
		    1000 / median(sides[i + 1].rates, PASSES), "ms",
		    "signatures and handshake alone", 1000 / bound);
	}
	return 0;
}
