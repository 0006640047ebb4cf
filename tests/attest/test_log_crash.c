/*
 * tests/attest/test_log_crash.c - a log whose writer ends, or whose disk fails, at each of
 * its steps: what was acknowledged is there afterwards, what was shown is kept to.
 */
#include "tests/attest/faulty_io.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define SHOWN_MAX 64u

/* What others have seen of a writer, in memory that outlives it. */
static struct seen {
	uint64_t acknowledged;
	unsigned n_shown;
	char shown[SHOWN_MAX][1024]; /* checkpoints, each from the moment it has its name */
} * seen;

static int begin(void **state)
{
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		    0);
	return seen == MAP_FAILED ? -1 : sample_begin(state);
}

static void note_shown(int folder, const char *name)
{
	size_t len = 0;
	char *bytes;

	(void)folder;
	if (strcmp(name, "checkpoint") != 0)
		return;
	bytes = (char *)file_load(name, &len);
	assert_true(bytes && len < 1024 && seen->n_shown < SHOWN_MAX);
	memcpy(seen->shown[seen->n_shown++], bytes, len + 1);
	free(bytes);
}

static void reset(void)
{
	sample_clear();
	memset(seen, 0, sizeof(*seen));
	memset(&fault, 0, sizeof(fault));
	fault.shown = note_shown;
}

struct phase {
	unsigned entries, group, publish; /* no entries: the end */
};

/* Over the end of a bundle, over the end of a journal's segment, several bundles in one
 * publish. */
static const struct phase whole_life[] = {
	{ 3, 3, 1 }, { 2, 1, 0 }, { 60, 60, 1 },  { 180, 60, 0 }, { 20, 20, 1 },
	{ 1, 1, 1 }, { 9, 3, 1 }, { 300, 60, 1 }, { 5, 5, 0 },    { 0 },
};
static const struct phase short_life[] = { { 2, 1, 1 }, { 1, 1, 1 }, { 0 } };
static const struct phase *life;

/* After a failed flush nothing is taken any more. */
static void assert_spoilt(struct log_writer *w)
{
	struct attest_error e = { .what = "" };

	assert_true(log_failed(w));
	assert_int_equal(sample_append(w, 1, &e), ATTEST_SYSTEM);
	assert_int_equal(log_commit(w, &e), ATTEST_SYSTEM);
	assert_int_equal(log_publish(w, &e), ATTEST_SYSTEM);
	assert_non_null(strstr(e.what, "flush failed"));
}

/* Goes on with the log as far as the disk lets it. What acknowledges an entry is a commit,
 * and a start that found it. */
static enum attest_status live(struct log_writer *w, struct attest_error *e)
{
	enum attest_status s = ATTEST_OK, worst = ATTEST_OK;

	for (const struct phase *p = life; p->entries; p++) {
		for (unsigned n = 0; n < p->entries; n += p->group) {
			s = sample_append(w, p->group, e);
			if (s == ATTEST_OK)
				s = log_commit(w, e);
			if (s == ATTEST_OK)
				seen->acknowledged = log_size(w);
			assert_true(s == ATTEST_SYSTEM || !log_failed(w));
			worst = s > worst ? s : worst;
		}
		s = p->publish ? log_publish(w, e) : ATTEST_OK;
		worst = s > worst ? s : worst;
		if (fault.hit & FLUSHES)
			assert_spoilt(w);
	}
	return worst;
}

static enum attest_status open_live_close(struct attest_error *e)
{
	struct log_writer *w = NULL;
	struct log_start start;
	enum attest_status s = log_open(sample_fd, sample_signer, &w, &start, e), closed;

	if (s != ATTEST_OK)
		return s;
	seen->acknowledged = start.size;
	s = live(w, e);
	closed = log_close(w, e);
	return s > closed ? s : closed;
}

static void life_of_a_process(void)
{
	struct attest_error e = { .what = "" };

	if (open_live_close(&e) == ATTEST_OK)
		return;
	attest_error_print(stderr, "life", &e);
	_exit(1);
}

/* A process that lives until step `at`, and if `then` is not 0 its successor until that
 * step; whether they got there. */
static bool crash_at(unsigned at, unsigned then, int loss)
{
	pid_t pid = sample_fork();
	int status = 0;

	if (pid == 0) {
		fault.step = 0;
		fault.at = at;
		fault.how = CRASH;
		fault.loss = loss;
		fault.then = then;
		fault.successor = life_of_a_process;
		fault.remember = true;
		life_of_a_process();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != CRASHED))
		fail_msg("step %u, loss %d: wait status %#x", at, loss, (unsigned)status);
	return WEXITSTATUS(status) == CRASHED;
}

/* A log of entries that follow from their index, signed, is the beginning of every later
 * one; so one tree must contain all that was ever shown. */
static void check(unsigned at, int loss)
{
	struct attest_error e = { .what = "" };
	struct log_start start = { .size = 0 };
	struct log_writer *w = NULL;

	fault.at = 0;
	fault.remember = false;
	if (file_there("checkpoint")) /* all that it speaks of was durable before */
		(void)judge();
	if (log_open(sample_fd, sample_signer, &w, &start, &e) != ATTEST_OK)
		fail_msg("step %u, loss %d: does not start: %s: %s", at, loss, e.where, e.what);
	if (start.size < seen->acknowledged || start.put_back)
		fail_msg("step %u, loss %d: %llu of %llu acknowledged entries, put back: %d",
			 at, loss, (unsigned long long)start.size,
			 (unsigned long long)seen->acknowledged, start.put_back);
	assert_false(file_there(".state/temp"));
	sample_grow(w, 2);
	must(log_publish(w, &e), &e);
	assert_true(judge() == start.size + 2);
	sample_close(w);
	for (unsigned i = 0; i < seen->n_shown; i++) {
		struct checkpoint c = checkpoint_of(seen->shown[i], strlen(seen->shown[i]));

		assert_true(c.size <= start.size + 2);
		assert_root(&c);
	}
}

static bool soak(void)
{
	return getenv("CORDON_SOAK") != NULL;
}

static void survives_a_crash_at_every_step(void **state)
{
	unsigned stride = soak() ? 1 : 11;
	bool more = true;

	(void)state;
	life = whole_life;
	sample_pad = 1900; /* a little more than one segment in all */
	for (unsigned step = 1; more; step += stride)
		for (int loss = 0; loss < LOSSES; loss++) {
			if (!soak() && loss != (int)(step / stride % LOSSES))
				continue;
			reset();
			more = crash_at(step, 0, loss);
			check(step, loss);
		}
	sample_pad = 0;
}

static void survives_a_crash_at_every_step_of_a_short_life(void **state)
{
	bool more = true;

	(void)state;
	life = short_life;
	for (unsigned step = 1; more; step++)
		for (int loss = 0; loss < LOSSES; loss++) {
			if (!soak() && loss != LOSE_BOTH &&
			    (step % 2 || loss != (int)(step / 2 % LOSE_BOTH)))
				continue;
			reset();
			more = crash_at(step, 0, loss);
			check(step, loss);
		}
}

/* The successor goes on with what the first one left in memory alone. */
static void survives_a_power_loss_after_a_crash(void **state)
{
	unsigned stride = soak() ? 1 : 5;
	bool more = true, second_more;

	(void)state;
	life = short_life;
	for (unsigned first = 1; more; first++) {
		unsigned begins = 1 + first % stride;

		second_more = true;
		for (unsigned second = begins; second_more; second += stride) {
			reset();
			fault.flushes_only = true;
			second_more = crash_at(first, second, LOSE_NOTHING);
			check(first, LOSE_BOTH);
			if (second == begins) /* every successor gets that far: there was one */
				more = second_more;
		}
	}
}

/* ---- a disk that fails -------------------------------------------------------------------- */

/* One life whose call number `at` fails, or all from there on that need room. Whether any
 * did. */
static bool fail_at(unsigned at, int how, int error, struct attest_error *e,
		    enum attest_status *ret)
{
	reset();
	fault.at = at;
	fault.how = how;
	fault.error = error;
	*ret = open_live_close(e);
	if (*ret != ATTEST_OK)
		assert_true(e->what[0] && e->where[0]);
	return fault.hit != 0;
}

static void a_failed_flush_ends_the_writer(void **state)
{
	struct attest_error e = { .what = "" };
	enum attest_status s;

	(void)state;
	life = short_life;
	for (unsigned step = 1; fail_at(step, FAIL_ONCE, EIO, &e, &s); step++) {
		if (fault.hit & FLUSHES) {
			assert_int_equal(s, ATTEST_SYSTEM);
			assert_non_null(strstr(e.what, "flush failed"));
			assert_non_null(strstr(e.hint, "start again"));
		}
		check(step, LOSE_NOTHING);
	}
}

static void a_full_disk_refuses_and_keeps(void **state)
{
	struct attest_error e = { .what = "" };
	unsigned refused = 0;
	enum attest_status s;

	(void)state;
	life = short_life;
	for (unsigned step = 1; fail_at(step, FAIL_FROM_NOW_ON, ENOSPC, &e, &s); step++) {
		assert_int_not_equal(s, ATTEST_SYSTEM);
		if (s == ATTEST_REFUSED)
			assert_non_null(strstr(e.hint, "free space"));
		refused += s == ATTEST_REFUSED;
		check(step, LOSE_NOTHING);
	}
	assert_true(refused > 50);
	for (unsigned step = 1; fail_at(step, FAIL_ONCE, ENOSPC, &e, &s); step++)
		check(step, LOSE_NOTHING);
}

static void a_short_write_is_gone_on_with(void **state)
{
	struct attest_error e = { .what = "" };
	unsigned tried = 0;
	enum attest_status s;

	(void)state;
	life = short_life;
	for (unsigned step = 1; step < 100; step++) {
		tried += fail_at(step, FAIL_SHORT, 0, &e, &s);
		must(s, &e);
		check(step, LOSE_NOTHING);
	}
	assert_true(tried > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_a_crash_at_every_step),
		cmocka_unit_test(survives_a_crash_at_every_step_of_a_short_life),
		cmocka_unit_test(survives_a_power_loss_after_a_crash),
		cmocka_unit_test(a_failed_flush_ends_the_writer),
		cmocka_unit_test(a_full_disk_refuses_and_keeps),
		cmocka_unit_test(a_short_write_is_gone_on_with),
	};

	return cmocka_run_group_tests_name("log_crash", tests, begin, sample_end);
}
