/* tests/runtime/test_recover.c - cleaning up after keepers that died, and only after them. */
#include "tests/runtime/log_fixture.h"

#include "runtime/cgroup.h"
#include "runtime/dirty.h"
#include "runtime/files.h"
#include "runtime/places.h"
#include "runtime/recover.h"
#include "runtime/scrubbing.h"

/* ---- helpers --------------------------------------------------------------------- */

struct said {
	unsigned n;
	struct recovered last;
};

static void remember(void *arg, const struct recovered *r)
{
	struct said *said = arg;

	said->n++;
	said->last = *r;
}

static enum runtime_status run_recover(struct fixture *f, struct said *said)
{
	enum runtime_status worst;

	*said = (struct said){ 0 };
	assert_int_equal(recover_all(&f->paths, NULL, remember, said, &worst, NULL),
			 RUNTIME_OK);
	return worst;
}

static char *journal_bytes(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES])
{
	char *bytes = calloc(1, JOURNAL_BYTES + 1), name[48];
	int fd;

	journal_name(id, name);
	fd = openat(f->paths.sessions_fd, name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, bytes, JOURNAL_BYTES + 1), JOURNAL_BYTES);
	close(fd);
	return bytes;
}

static bool socket_there(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES])
{
	char name[48];

	session_id_hex(id, name);
	strcat(name, ".sock");
	return faccessat(f->paths.run_fd, name, F_OK, 0) == 0;
}

/* What a dead keeper leaves: a socket that nobody listens on. */
static void leave_socket(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES])
{
	char name[48];
	int sock;

	session_id_hex(id, name);
	strcat(name, ".sock");
	assert_int_equal(wire_listen(f->paths.run_fd, name, &sock, NULL), RUNTIME_OK);
	close(sock);
	assert_true(socket_there(f, id));
}

/* ---- what is left alone ---------------------------------------------------------- */

static void a_living_keepers_session_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, true);
	char *before, *after;
	struct said said;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	leave_socket(f, b.id);
	before = journal_bytes(f, b.id);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.n, 0);
	after = journal_bytes(f, b.id);
	assert_memory_equal(before, after, JOURNAL_BYTES);
	assert_true(socket_there(f, b.id));
	free(before);
	free(after);
}

static void another_users_journal_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct said said;

	b.euid = geteuid() + 1;
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.n, 0);
	assert_int_equal(state_of(f, b.id), SESSION_RUNNING);
}

static void an_ended_session_keeps_its_state_and_loses_its_socket(void **state)
{
	static const enum session_state ends[] = { SESSION_CLEAN, SESSION_QUARANTINED,
						   SESSION_LOST };
	struct fixture *f = *state;
	struct said said;

	for (size_t i = 0; i < 3; i++) {
		struct journal_begin b = begin_of(f, false);

		write_journal(f, &b, ends[i], NULL, 0);
		leave_socket(f, b.id);
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(said.n, 0);
		assert_int_equal(state_of(f, b.id), ends[i]);
		assert_false(socket_there(f, b.id));
	}
}

static void a_malformed_journal_is_left_and_reported(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	char *before, *after;
	struct said said;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	damage(f, b.id, 40, "?", 1);
	before = journal_bytes(f, b.id);
	assert_int_equal(run_recover(f, &said), RUNTIME_MALFORMED);
	assert_int_equal(said.last.outcome, RECOVER_UNREADABLE);
	after = journal_bytes(f, b.id);
	assert_memory_equal(before, after, JOURNAL_BYTES);
	free(before);
	free(after);
}

/* ---- what is mended -------------------------------------------------------------- */

/* Where the caller may make none, the test that wants one is skipped. */
static int need_tmpfs(void)
{
	int mount = tmpfs_mount();

	if (mount < 0) {
		print_message("skipped: this user can mount no memory file system\n");
		skip();
	}
	return mount;
}

/* Memory of a workload, or of an agent with keys, that a kill freed is worth nothing; what
 * had not begun to run left none. The first answer is the state that it ends in for ever. */
static void the_minima_decide_how_a_session_that_was_held_ends(void **state)
{
	static const uint32_t minima[] = { POLICY_HELD_NONE, POLICY_HELD_WIPED };
	struct fixture *f = *state;
	int mount = need_tmpfs();

	for (int i = 0; i < 2 * SESSION_SCRUBBING; i++) {
		struct journal_begin b = begin_of(f, false);
		enum session_state s = (enum session_state)(i / 2 + 1), want = SESSION_CLEAN;
		struct said said;

		b.held = minima[i % 2];
		if (s >= SESSION_ATTESTING && b.held != POLICY_HELD_NONE)
			want = SESSION_QUARANTINED;
		write_journal(f, &b, s, NULL, 0);
		start_clerk(f, b.id, WIRE_SLOT_TMPFS, mount);
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(said.n, 1);
		assert_int_equal(said.last.was, s);
		assert_int_equal(said.last.now, want);
		assert_int_equal(state_of(f, b.id), want);
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(said.n, 0);
		fixture_clerk_end(f);
	}
	close(mount);
}

static void without_its_holder_a_session_is_lost(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct journal *j = calloc(1, sizeof(*j));
	struct said said;
	bool torn;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.now, SESSION_LOST);
	assert_int_equal(journal_read(f->paths.sessions_fd, b.id, j, &torn, NULL), RUNTIME_OK);
	assert_string_equal(journal_fact(j, "assurance"), "none/none");
	free(j);
}

/* What never ran left nothing, but no end is CLEAN that the log does not know of. */
static void without_a_clerk_what_never_ran_waits_for_its_entry(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct said said;

	write_journal(f, &b, SESSION_NONE, NULL, 0);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(state_of(f, b.id), SESSION_QUARANTINED);
	assert_non_null(strstr(said.last.why, "before anything of the tenant ran"));
}

static void a_torn_journal_is_mended(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct said said;

	write_journal(f, &b, SESSION_PREPARED, NULL, 0);
	damage(f, b.id, 2 * JOURNAL_SLOT + 4, "torn", 4);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(state_of(f, b.id), SESSION_LOST);
}

static void zeros_alone_are_removed(void **state)
{
	struct fixture *f = *state;
	uint8_t id[SESSION_ID_BYTES] = { 0xee };
	char name[48];
	struct said said;
	int fd;

	journal_name(id, name);
	for (off_t size = 0; size <= JOURNAL_BYTES; size += JOURNAL_BYTES) {
		fd = openat(f->paths.sessions_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_int_equal(ftruncate(fd, size), 0);
		close(fd);
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(said.last.outcome, RECOVER_REMOVED);
		assert_int_not_equal(faccessat(f->paths.sessions_fd, name, F_OK, 0), 0);
	}
}

static unsigned held_by_clerk(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES])
{
	unsigned held = 9;
	int sock;

	assert_int_equal(clerk_connect(&f->paths, NULL, &sock, NULL), RUNTIME_OK);
	assert_int_equal(clerk_ask(sock, id, &held, NULL), RUNTIME_OK);
	close(sock);
	return held;
}

static void memory_is_given_back_and_the_socket_removed(void **state)
{
	struct fixture *f = *state;
	int mount = need_tmpfs(), file = tenant_file(mount, "x");
	struct journal_begin b = begin_of(f, false);
	struct said said;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	leave_socket(f, b.id);
	start_clerk(f, b.id, WIRE_SLOT_TMPFS, mount);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(tenant_bytes_left(file), 0);
	assert_false(socket_there(f, b.id));
	assert_int_equal(held_by_clerk(f, b.id), 0);
	close(file);
	close(mount);
}

static void memory_that_cannot_be_wiped_stays_with_the_clerk(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct said said;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	start_clerk(f, b.id, WIRE_SLOT_TMPFS, STDERR_FILENO); /* no folder in memory */
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.now, SESSION_QUARANTINED);
	assert_int_equal(held_by_clerk(f, b.id), 1);
}

static void output_is_kept_when_it_is_mended_and_dropped_the_next_time(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct said said;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	start_clerk(f, b.id, WIRE_SLOT_RING, STDERR_FILENO);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(held_by_clerk(f, b.id), 1);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(held_by_clerk(f, b.id), 0);
}

/* ---- killing --------------------------------------------------------------------- */

static void processes_that_are_left_are_killed(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	pid_t pid[2] = { start_sleeper(), start_sleeper() };
	const struct journal_fact facts[] = {
		fact_process("init", pid[0], process_start_time(pid[0])),
		fact_process("workload", pid[1], process_start_time(pid[1])),
	};
	struct said said;

	write_journal(f, &b, SESSION_RUNNING, facts, 2);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.killed, 2);
	assert_false(lives(pid[0]));
	assert_false(lives(pid[1]));
	end_sleeper(pid[0]);
	end_sleeper(pid[1]);
}

static void the_first_process_is_killed_through_the_clerks_pidfd(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	pid_t pid = start_sleeper();
	int pidfd = process_open(pid, process_start_time(pid));
	struct said said;

	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	start_clerk(f, b.id, WIRE_SLOT_INIT, pidfd);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.killed, 1);
	assert_false(lives(pid));
	close(pidfd);
	end_sleeper(pid);
}

static void a_process_that_only_has_the_same_number_lives_on(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	pid_t pid = start_sleeper();
	const struct journal_fact fact = fact_process("init", pid, process_start_time(pid) + 1);
	struct said said;

	write_journal(f, &b, SESSION_RUNNING, &fact, 1);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.killed, 0);
	assert_true(lives(pid));
	end_sleeper(pid);
}

static void after_a_restart_nothing_is_killed(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	pid_t pid = start_sleeper();
	const struct journal_fact fact = fact_process("init", pid, process_start_time(pid));
	struct said said;

	b.boot[0] ^= 1;
	write_journal(f, &b, SESSION_RUNNING, &fact, 1);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.now, SESSION_LOST);
	assert_true(lives(pid));
	end_sleeper(pid);
}

static void a_process_fact_of_another_form_stops_it(void **state)
{
	static const char *const values[] = { "",
					      "7",
					      "7 ",
					      "-7 8",
					      "7 8 9",
					      " 7 8",
					      "x 8",
					      "7 -8",
					      "99999999999999999999 8",
					      "4294967297 8",
					      "0 8" };
	struct said said;

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct fixture *f = *state;
		struct journal_begin b = begin_of(f, false);
		struct journal_fact fact = { .key = "init" };
		char name[48];

		strcpy(fact.value, values[i]);
		write_journal(f, &b, SESSION_RUNNING, &fact, 1);
		assert_int_equal(run_recover(f, &said), RUNTIME_MALFORMED);
		assert_int_equal(state_of(f, b.id), SESSION_RUNNING);
		journal_name(b.id, name);
		assert_int_equal(unlinkat(f->paths.sessions_fd, name, 0), 0);
	}
}

/* ---- cgroups --------------------------------------------------------------------- */

static void only_the_sessions_own_folder_is_a_cgroup_of_it(void **state)
{
	static const char hex[] = "0123456789abcdef0123456789abcdef";
	static const struct {
		const char *path;
		bool own;
	} cases[] = {
		{ "/sys/fs/cgroup/memory/cordon-0123456789abcdef0123456789abcdef", true },
		{ "/cordon-0123456789abcdef0123456789abcdef", true },
		{ "", false },
		{ "/", false },
		{ "cordon-0123456789abcdef0123456789abcdef", false },
		{ "x/cordon-0123456789abcdef0123456789abcdef", false },
		{ "/sys/fs/cgroup/memory/cordon-0123456789abcdef0123456789abcdee", false },
		{ "/sys/fs/cgroup/memory/cordon-0123456789abcdef0123456789abcdef/", false },
		{ "/sys/fs/cgroup/memory/cordon-0123456789abcdef0123456789abcde", false },
		{ "/sys/fs/cgroup/memory/cordon-0123456789abcdef0123456789abcdef/x", false },
		{ "/sys/../fs/cordon-0123456789abcdef0123456789abcdef", false },
		{ "/../cordon-0123456789abcdef0123456789abcdef", false },
		{ "/sys/./fs/cordon-0123456789abcdef0123456789abcdef", false },
		{ "/sys//fs/cordon-0123456789abcdef0123456789abcdef", false },
		{ "//cordon-0123456789abcdef0123456789abcdef", false },
		{ "/sys/..x/cordon-0123456789abcdef0123456789abcdef", true },
		{ "/sys/xcordon-0123456789abcdef0123456789abcdef", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(recover_cgroup_path(cases[i].path, hex), cases[i].own);
}

static void a_folder_that_is_no_cgroup_is_not_removed(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct journal_fact fact = { .key = "cgroup" };
	char hex[SESSION_ID_HEX];
	struct said said;

	session_id_hex(b.id, hex);
	snprintf(fact.value, sizeof(fact.value), "%s/cordon-%s", f->root, hex);
	assert_int_equal(mkdir(fact.value, 0700), 0);
	write_journal(f, &b, SESSION_RUNNING, &fact, 1);
	assert_int_equal(run_recover(f, &said), RUNTIME_MALFORMED);
	assert_int_equal(access(fact.value, F_OK), 0);
	assert_int_equal(state_of(f, b.id), SESSION_RUNNING);
}

/* Real ones, with a process in them; false where this host has none to give. */
static bool make_cgroups(const struct journal_begin *b, pid_t pid, struct journal_fact *facts,
			 size_t *ret_n)
{
	static const struct policy_limits limits = { .pids = 16 };
	struct cgroup cg;

	if (cgroup_find(CGROUP_PIDS | CGROUP_CPU, false, b->id, &cg, NULL) != RUNTIME_OK ||
	    !cg.served || cgroup_make(&cg, &limits, NULL) != RUNTIME_OK)
		return false;
	*ret_n = cg.n;
	for (size_t i = 0; i < cg.n; i++) {
		char procs[CGROUP_PATH + 16], text[16];

		snprintf(procs, sizeof(procs), "%s/cgroup.procs", cg.dirs[i].path);
		snprintf(text, sizeof(text), "%d", pid);
		assert_int_equal(file_write_text(AT_FDCWD, procs, text), 0);
		strcpy(facts[i].key, "cgroup");
		strcpy(facts[i].value, cg.dirs[i].path);
	}
	return true;
}

static void cgroups_are_emptied_and_removed(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct journal_fact facts[CGROUP_DIRS] = { 0 };
	pid_t pid = start_sleeper();
	struct said said;
	size_t n;

	if (!make_cgroups(&b, pid, facts, &n)) {
		end_sleeper(pid);
		print_message("no cgroup can be made on this host\n");
		skip();
	}
	write_journal(f, &b, SESSION_RUNNING, facts, n);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.folders, n);
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(access(facts[i].value, F_OK), 0);
	assert_false(lives(pid));
	end_sleeper(pid);
}

/* ---- receipts and the log -------------------------------------------------------- */

static void hold(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES],
		 enum wire_slot slot, int fd)
{
	int sock = ask_clerk(f);

	assert_int_equal(clerk_hold(sock, id, slot, fd, NULL), RUNTIME_OK);
	close(sock);
}

static const char *fact_of(struct fixture *f, const uint8_t id[static SESSION_ID_BYTES],
			   const char *key)
{
	static struct journal j;
	bool torn;

	assert_int_equal(journal_read(f->paths.sessions_fd, id, &j, &torn, NULL), RUNTIME_OK);
	return journal_fact(&j, key);
}

static void a_recovered_sessions_receipt_says_so_place_by_place(void **state)
{
	struct fixture *f = *state;
	int mount = need_tmpfs(), file = tenant_file(mount, "x");
	struct journal_begin b = begin_of(f, false);
	struct receipt r;
	struct said said;

	b.held = POLICY_HELD_WIPED;
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	start_real_clerk(f);
	hold(f, b.id, WIRE_SLOT_TMPFS, mount);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.now, SESSION_QUARANTINED);
	assert_non_null(strstr(said.last.why, "anonymous memory: its keeper died"));
	assert_int_equal(tenant_bytes_left(file), 0);
	assert_int_equal(held_by_clerk(f, b.id), 0);
	assert_null(fact_of(f, b.id, "unlogged"));
	assert_string_equal(fact_of(f, b.id, "assurance"), "none/none");
	r = receipt_of(f, b.id);
	assert_true(r.recovered && r.ran);
	assert_false(receipt_clean(&r));
	assert_int_equal(line_of(&r, "anonymous memory")->assurance, RECEIPT_NONE);
	assert_int_equal(line_of(&r, "shared memory")->assurance, RECEIPT_NONE);
	assert_int_equal(line_of(&r, "tmpfs")->assurance, RECEIPT_VERIFIED);
	assert_true(line_of(&r, "tmpfs")->bytes >= TENANT_BYTES);
	close(file);
	close(mount);
}

/* What its keeper had done and written before it died is not made worse. */
static void lines_that_the_keeper_wrote_are_kept(void **state)
{
	const struct receipt_line wiped = { .assurance = RECEIPT_WIPED,
					    .bytes = 8192,
					    .method = "at the exit stops" };
	const struct receipt_line shared = { .assurance = RECEIPT_VERIFIED,
					     .bytes = 4096,
					     .method = "by a duplicate" };
	struct fixture *f = *state;
	int mount = need_tmpfs();
	struct journal_begin b = begin_of(f, false);
	struct journal_fact facts[2];
	struct receipt r;
	struct said said;

	b.held = POLICY_HELD_WIPED;
	place_fact(PLACE_ANONYMOUS, &wiped, &facts[0]);
	place_fact(PLACE_SHARED, &shared, &facts[1]);
	write_journal(f, &b, SESSION_SCRUBBING, facts, 2);
	start_real_clerk(f);
	hold(f, b.id, WIRE_SLOT_TMPFS, mount);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.now, SESSION_CLEAN);
	r = receipt_of(f, b.id);
	assert_true(r.recovered && receipt_clean(&r));
	assert_int_equal(line_of(&r, "anonymous memory")->bytes, 8192);
	assert_int_equal(line_of(&r, "shared memory")->assurance, RECEIPT_VERIFIED);
	close(mount);
}

static void what_never_ran_ends_clean_with_its_entry(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct receipt r;
	struct said said;

	b.held = POLICY_HELD_WIPED;
	write_journal(f, &b, SESSION_NONE, NULL, 0);
	start_real_clerk(f);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.now, SESSION_CLEAN);
	r = receipt_of(f, b.id);
	assert_false(r.ran);
	assert_true(r.recovered && receipt_clean(&r));
}

static void a_lost_session_has_a_receipt_that_claims_nothing(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct receipt r;
	struct said said;

	b.boot[0] ^= 1;
	b.kernel = POLICY_KERNEL_KERNEL;
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	start_real_clerk(f);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(said.last.now, SESSION_LOST);
	r = receipt_of(f, b.id);
	assert_false(receipt_clean(&r));
	assert_int_equal(receipt_worth(&r, RECEIPT_HELD), RECEIPT_NONE);
	/* Whatever this boot's kernel does: the bytes were that one's. */
	assert_int_equal(receipt_worth(&r, RECEIPT_KERNEL), RECEIPT_NONE);
}

/* Memory that nobody wiped makes the host dirty, whoever notices it. */
static void what_was_lost_unwiped_marks_the_host(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct scrub_floor floor;
	char by[DIRTY_BY], why[256];
	bool stands = false;
	struct said said;

	scrub_floor_read("", &floor);
	if (scrub_floor_kernel(&floor, why)) {
		print_message("skipped: this kernel zeroes what is freed\n");
		skip();
	}
	b.held = POLICY_HELD_WIPED;
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(dirty_stands(f->paths.sessions_fd, "rival", false, &stands, by, NULL),
			 RUNTIME_OK);
	assert_true(stands);
	assert_non_null(strstr(by, "tenant acme"));
}

/* ---- another try ----------------------------------------------------------------- */

static void set_read_only(int mount, bool yes)
{
	struct mount_attr attr = { .attr_set = yes ? MOUNT_ATTR_RDONLY : 0,
				   .attr_clr = yes ? 0 : MOUNT_ATTR_RDONLY };

	assert_int_equal(mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)), 0);
}

static void held_memory_in_quarantine_is_tried_again(void **state)
{
	static const uint32_t minima[] = { POLICY_HELD_NONE, POLICY_HELD_WIPED };
	struct fixture *f = *state;

	start_real_clerk(f);
	for (size_t i = 0; i < 2; i++) {
		int mount = need_tmpfs(), file = tenant_file(mount, "x");
		struct journal_begin b = begin_of(f, false);
		struct receipt r;
		struct said said;

		close(file);
		b.held = minima[i];
		write_journal(f, &b, SESSION_RUNNING, NULL, 0);
		hold(f, b.id, WIRE_SLOT_TMPFS, mount);
		set_read_only(mount, true);
		for (int tries = 0; tries < 2; tries++) {
			assert_int_equal(run_recover(f, &said), RUNTIME_OK);
			assert_int_equal(said.n, 1);
			assert_int_equal(said.last.now, SESSION_QUARANTINED);
			assert_int_equal(held_by_clerk(f, b.id), 1);
			r = receipt_of(f, b.id);
			assert_int_equal(line_of(&r, "tmpfs")->assurance, RECEIPT_NONE);
		}
		set_read_only(mount, false);
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(said.n, 1);
		assert_int_equal(said.last.was, SESSION_QUARANTINED);
		assert_int_equal(said.last.now, i == 0 ? SESSION_CLEAN : SESSION_QUARANTINED);
		assert_int_equal(held_by_clerk(f, b.id), 0);
		r = receipt_of(f, b.id);
		assert_int_equal(line_of(&r, "tmpfs")->assurance, RECEIPT_VERIFIED);
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(said.n, 0);
		close(mount);
	}
}

/* Tries that change nothing leave room in the journal for the one that does. */
static void many_tries_end_like_one(void **state)
{
	struct fixture *f = *state;
	int mount = need_tmpfs(), file = tenant_file(mount, "x");
	struct journal_begin b = begin_of(f, false);
	struct receipt r;
	struct said said;

	close(file);
	write_journal(f, &b, SESSION_RUNNING, NULL, 0);
	start_real_clerk(f);
	hold(f, b.id, WIRE_SLOT_TMPFS, mount);
	set_read_only(mount, true);
	for (int tries = 0; tries < 40; tries++) {
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(state_of(f, b.id), SESSION_QUARANTINED);
		assert_int_equal(held_by_clerk(f, b.id), 1);
	}
	set_read_only(mount, false);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(held_by_clerk(f, b.id), 0);
	r = receipt_of(f, b.id);
	assert_true(receipt_clean(&r));
	assert_int_equal(state_of(f, b.id), SESSION_CLEAN);
	close(mount);
}

/* Ended without its entry, in quarantine or lost: the next recovery enters it. */
static void an_end_that_is_not_in_the_log_gets_its_entry(void **state)
{
	static const struct {
		enum session_state died, without, with;
	} cases[] = { { SESSION_NONE, SESSION_QUARANTINED, SESSION_CLEAN },
		      { SESSION_RUNNING, SESSION_LOST, SESSION_LOST } };
	struct fixture *f = *state;
	struct log_seen seen;

	for (size_t i = 0; i < 2; i++) {
		struct journal_begin b = begin_of(f, false);
		size_t before = 3 * i + 1; /* each clerk's start, and two for each session */
		struct said said;

		write_journal(f, &b, cases[i].died, NULL, 0);
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(said.last.now, cases[i].without);
		assert_non_null(strstr(said.last.why, "not in the audit log"));
		assert_string_equal(fact_of(f, b.id, "unlogged"), "end");
		assert_null(receipt_text(f, b.id, NULL));

		start_real_clerk(f);
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(said.n, 1);
		assert_int_equal(said.last.now, cases[i].with);
		assert_string_equal(fact_of(f, b.id, "unlogged"), "no");
		assert_true(receipt_of(f, b.id).recovered);
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(said.n, 0);
		end_real_clerk(f);
		see_log(f, &seen);
		assert_int_equal(seen.n, before + 2);
		assert_string_equal(entry_text(&seen, before, "kind"), "session.end");
		assert_string_equal(entry_text(&seen, before + 1, "kind"), "wipe");
		forget_log(&seen);
	}
}

/* As often as somebody asks while the log cannot be written: no answer but "not yet". */
static void without_a_log_it_can_be_asked_for_again_and_again(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct receipt r;
	struct said said;

	write_journal(f, &b, SESSION_NONE, NULL, 0);
	for (int tries = 0; tries < 40; tries++) {
		assert_int_equal(run_recover(f, &said), RUNTIME_OK);
		assert_int_equal(state_of(f, b.id), SESSION_QUARANTINED);
	}
	start_real_clerk(f);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	assert_int_equal(state_of(f, b.id), SESSION_CLEAN);
	r = receipt_of(f, b.id);
	assert_true(receipt_clean(&r));
}

/* Facts have used up what they may: the end still comes, and claims nothing. */
static void a_full_journal_comes_to_its_end(void **state)
{
	struct fixture *f = *state;
	struct journal_begin b = begin_of(f, false);
	struct journal_fact facts[JOURNAL_SLOTS - JOURNAL_RESERVE - 1] = { 0 };
	struct receipt r;
	struct said said;

	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++) {
		strcpy(facts[i].key, "filler");
		strcpy(facts[i].value, "x");
	}
	b.held = POLICY_HELD_WIPED;
	write_journal(f, &b, SESSION_NONE, facts, sizeof(facts) / sizeof(*facts));
	start_real_clerk(f);
	assert_int_equal(run_recover(f, &said), RUNTIME_OK);
	r = receipt_of(f, b.id);
	assert_int_equal(state_of(f, b.id),
			 receipt_clean(&r) ? SESSION_CLEAN : SESSION_QUARANTINED);
}

/* ---- killed itself, and twice at once -------------------------------------------- */

static pid_t start_recover(struct fixture *f)
{
	pid_t pid = fork();

	if (pid == 0) {
		enum runtime_status worst = RUNTIME_SYSTEM;
		struct said said = { 0 };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (recover_all(&f->paths, NULL, remember, &said, &worst, NULL) != RUNTIME_OK)
			_exit(99);
		_exit((int)worst << 4 | (said.n < 15 ? (int)said.n : 15));
	}
	assert_true(pid > 0);
	return pid;
}

static int wait_recover(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A session with a process, perhaps cgroups, and a descriptor at the clerk. */
static pid_t leave_session(struct fixture *f, int mount, struct journal_begin *b,
			   struct journal_fact *facts, size_t *ret_n)
{
	pid_t pid = start_sleeper();
	size_t n = 0;

	*b = begin_of(f, false);
	(void)make_cgroups(b, pid, facts, &n); /* as far as the host has any */
	facts[n] = fact_process("init", pid, process_start_time(pid));
	write_journal(f, b, SESSION_RUNNING, facts, n + 1);
	leave_socket(f, b->id);
	start_clerk(f, b->id, WIRE_SLOT_TMPFS, mount);
	*ret_n = n;
	return pid;
}

static void check_mended(struct fixture *f, const struct journal_begin *b,
			 const struct journal_fact *facts, size_t n, pid_t pid)
{
	assert_int_equal(state_of(f, b->id), SESSION_CLEAN);
	assert_false(lives(pid));
	assert_false(socket_there(f, b->id));
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(access(facts[i].value, F_OK), 0);
	end_sleeper(pid);
	fixture_clerk_end(f);
}

static void killed_at_any_moment_it_can_be_run_again(void **state)
{
	struct fixture *f = *state;
	unsigned rounds = getenv("CORDON_SOAK") ? 500 : 40;
	int mount = need_tmpfs();

	for (unsigned i = 0; i < rounds; i++) {
		struct journal_fact facts[CGROUP_DIRS + 1] = { 0 };
		struct timespec wait = { .tv_nsec = (long)(i % 40) * 150 * 1000 };
		struct journal_begin b;
		char name[48];
		size_t n;
		pid_t sleeper = leave_session(f, mount, &b, facts, &n);
		pid_t pid = start_recover(f);

		nanosleep(&wait, NULL);
		kill(pid, SIGKILL);
		(void)wait_recover(pid);
		assert_in_range(wait_recover(start_recover(f)), 0, 1);
		check_mended(f, &b, facts, n, sleeper);
		f->next = 0; /* one id for all rounds, so that the list stays short */
		journal_name(b.id, name);
		assert_int_equal(unlinkat(f->paths.sessions_fd, name, 0), 0);
	}
	close(mount);
}

static void two_at_once_mend_it_once(void **state)
{
	struct fixture *f = *state;
	int mount = need_tmpfs();

	for (unsigned i = 0; i < 10; i++) {
		struct journal_fact facts[CGROUP_DIRS + 1] = { 0 };
		struct journal_begin b;
		size_t n;
		pid_t sleeper = leave_session(f, mount, &b, facts, &n);
		pid_t one = start_recover(f), two = start_recover(f);
		int said = wait_recover(one) + wait_recover(two);

		assert_int_equal(said, 1); /* both fine, and one of them did it */
		check_mended(f, &b, facts, n, sleeper);
	}
	close(mount);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ROOT(a_living_keepers_session_is_left_alone),
		WITH_ROOT(another_users_journal_is_left_alone),
		WITH_ROOT(an_ended_session_keeps_its_state_and_loses_its_socket),
		WITH_ROOT(a_malformed_journal_is_left_and_reported),
		WITH_ROOT(the_minima_decide_how_a_session_that_was_held_ends),
		WITH_ROOT(without_its_holder_a_session_is_lost),
		WITH_ROOT(without_a_clerk_what_never_ran_waits_for_its_entry),
		WITH_ROOT(a_torn_journal_is_mended),
		WITH_ROOT(zeros_alone_are_removed),
		WITH_ROOT(memory_is_given_back_and_the_socket_removed),
		WITH_ROOT(memory_that_cannot_be_wiped_stays_with_the_clerk),
		WITH_ROOT(output_is_kept_when_it_is_mended_and_dropped_the_next_time),
		WITH_ROOT(processes_that_are_left_are_killed),
		WITH_ROOT(the_first_process_is_killed_through_the_clerks_pidfd),
		WITH_ROOT(a_process_that_only_has_the_same_number_lives_on),
		WITH_ROOT(after_a_restart_nothing_is_killed),
		WITH_ROOT(a_process_fact_of_another_form_stops_it),
		cmocka_unit_test(only_the_sessions_own_folder_is_a_cgroup_of_it),
		WITH_ROOT(a_folder_that_is_no_cgroup_is_not_removed),
		WITH_ROOT(cgroups_are_emptied_and_removed),
		WITH_ROOT(a_recovered_sessions_receipt_says_so_place_by_place),
		WITH_ROOT(lines_that_the_keeper_wrote_are_kept),
		WITH_ROOT(what_never_ran_ends_clean_with_its_entry),
		WITH_ROOT(a_lost_session_has_a_receipt_that_claims_nothing),
		WITH_ROOT(what_was_lost_unwiped_marks_the_host),
		WITH_ROOT(held_memory_in_quarantine_is_tried_again),
		WITH_ROOT(many_tries_end_like_one),
		WITH_ROOT(an_end_that_is_not_in_the_log_gets_its_entry),
		WITH_ROOT(without_a_log_it_can_be_asked_for_again_and_again),
		WITH_ROOT(a_full_journal_comes_to_its_end),
		WITH_ROOT(killed_at_any_moment_it_can_be_run_again),
		WITH_ROOT(two_at_once_mend_it_once),
	};

	return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}
