/*
 * tests/bench/verify.c - how long a log of a million entries takes to judge:
 *	verify FOLDER CORDON-AUDIT [ENTRIES]
 *
 * Beside it, in turn: the leaf hashes of the same entries, which are in memory already. Less
 * than that no judge can do.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attest/log_entry.h"
#include "tests/bench/bench.h"

#define TURNS 3u
#define PUBLISH 16384u

static void must(enum attest_status s, const struct attest_error *e)
{
	if (s == ATTEST_OK)
		return;
	attest_error_print(stderr, "verify", e);
	exit(3);
}

/* ---- the log ----------------------------------------------------------------------------- */

static char kept[LOG_GROUP][LOG_ENTRY_MAX + 1]; /* the last entries, to be hashed again */
static size_t kept_len[LOG_GROUP];

static void add(struct log_writer *w, uint64_t i)
{
	const struct log_entry entry = {
		.seq = i,
		.t = INT64_C(1700000000000000000) + (int64_t)i * 1000000,
		.mono = (int64_t)i * 1000000,
		.boot = "00112233445566778899aabbccddeeff",
		.host = "bench",
		.kind = "session.start",
		.uid = 1000,
		.pid = 42,
		.tenant = "acme",
		.object = "00112233445566778899aabbccddeeff",
	};
	struct attest_error e = { .what = "" };
	uint64_t index;

	must(log_entry_print(&entry, kept[i % LOG_GROUP], &kept_len[i % LOG_GROUP], &e), &e);
	must(log_append(w, kept[i % LOG_GROUP], kept_len[i % LOG_GROUP], &index, &e), &e);
}

static void make_log(const struct note_signer *signer, uint64_t n)
{
	struct attest_error e = { .what = "" };
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct log_writer *w = NULL;
	struct log_start start;

	if (fd < 0)
		die("folder");
	must(log_open(fd, signer, &w, &start, &e), &e);
	for (uint64_t i = 0; i < n; i++) {
		add(w, i);
		if ((i + 1) % LOG_GROUP == 0)
			must(log_commit(w, &e), &e);
		if ((i + 1) % PUBLISH == 0)
			must(log_publish(w, &e), &e);
	}
	must(log_commit(w, &e), &e);
	must(log_close(w, &e), &e);
	close(fd);
}

static void make_key(struct note_signer **ret)
{
	static const uint8_t seed[32] = "a benchmark's key";
	struct attest_error e = { .what = "" };
	char vkey[NOTE_VKEY];
	FILE *f = fopen("vkey", "we");

	must(note_signer_new("bench.example/log", seed, ret, &e), &e);
	note_verifier_print(note_signer_verifier(*ret), vkey);
	if (!f || fprintf(f, "%s\n", vkey) < 0 || fclose(f) != 0)
		die("vkey");
}

/* ---- both sides -------------------------------------------------------------------------- */

static double judge(const char *program)
{
	uint64_t begin = now_ns();
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)!freopen("/dev/null", "w", stdout);
		execl(program, program, "verify", "--log", ".", "--vkey", "vkey", (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "verify: %s: wait status %#x\n", program, (unsigned)status);
		exit(3);
	}
	return (double)(now_ns() - begin) / 1e9;
}

static double hash(uint64_t n)
{
	uint64_t begin = now_ns();
	struct tlog_hash h;

	for (uint64_t i = 0; i < n; i++)
		tlog_leaf(kept[i % LOG_GROUP], kept_len[i % LOG_GROUP], &h);
	return (double)(now_ns() - begin) / 1e9;
}

int main(int argc, char **argv)
{
	double judged[TURNS], hashed[TURNS], began, millions;
	struct note_signer *signer = NULL;
	uint64_t n = 1000000;

	if ((argc != 3 && argc != 4) || chdir(argv[1]) != 0) {
		fputs("usage: verify FOLDER CORDON-AUDIT [ENTRIES]\n", stderr);
		return 2;
	}
	if (argc == 4)
		n = strtoull(argv[3], NULL, 10);
	if (n < LOG_GROUP)
		n = LOG_GROUP;
	millions = (double)n / 1e6;
	make_key(&signer);
	began = (double)now_ns();
	make_log(signer, n);
	note_signer_free(signer);
	printf("\nverify: a log of %llu entries, made in %.1f s\n", (unsigned long long)n,
	       ((double)now_ns() - began) / 1e9);
	for (unsigned turn = 0; turn < TURNS; turn++) {
		judged[turn] = judge(argv[2]) / millions;
		hashed[turn] = hash(n) / millions;
	}
	printf("cordon audit verify: %.2f s a million entries; their hashes alone %.2f s\n",
	       median(judged, TURNS), median(hashed, TURNS));
	row("verify", "a million entries", median(judged, TURNS), "s",
	    "their leaf hashes alone", median(hashed, TURNS));
	return 0;
}
