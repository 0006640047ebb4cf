/* tests/policy/test_profile_default.c - our own profile: no milder than Docker's in any
 * call, every difference explained, and open for what ordinary programs need. */
#include "policy/profile.h"
#include "policy/syscall_args.h"
#include "tests/policy/bpf_eval.h"
#include "tests/policy/seccomp_vectors.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NEWEST_TRIED 600
#define EPERM_VERDICT (SECCOMP_RET_ERRNO | EPERM)
#define ENOSYS_VERDICT (SECCOMP_RET_ERRNO | ENOSYS)

static struct policy_filter ours(uint64_t caps)
{
	const struct profile_context cx = { .caps = caps, .kernel = { 6, 18 } };
	struct policy_filter f = { .insns = NULL };
	struct profile *p = NULL;
	struct policy_error e;

	assert_int_equal(profile_default(&p, &e), POLICY_OK);
	assert_int_equal(profile_compile(p, &cx, &f, &e), POLICY_OK);
	profile_free(p);
	return f;
}

/* False where the vectors are not there. */
static bool dockers(uint64_t caps, struct policy_filter *ret)
{
	const struct profile_context cx = { .caps = caps, .kernel = { 6, 18 } };
	struct profile *p = NULL;
	struct policy_error e;
	size_t len = 0;
	char *json = vector_read("moby-default.json", &len);

	if (!json)
		return false;
	assert_int_equal(profile_parse("moby", json, len, &p, &e), POLICY_OK);
	assert_int_equal(profile_compile(p, &cx, ret, &e), POLICY_OK);
	profile_free(p);
	free(json);
	return true;
}

/* Whatever any of our rules or Docker's compares with, and its neighbours. */
static const uint64_t values[] = {
	0,           1,           2,           3,           7,           8,
	9,           10,          11,          15,          16,          17,
	37,          38,          39,          40,          41,          45,
	0x1000,      0x2000,      0x21b6,      0x6000,      0x61b6,      0x8000,
	0x81a4,      0xc000,      0x11000,     0x20000,     0x20008,     0x20009,
	0x40000,     0x3d0f00,    0x800000,    0x1200011,   0x2000000,   0x4000000,
	0x8000000,   0x10000000,  0x20000000,  0x40000000,  0x80000000,  0xffffffff,
	TIOCSTI,     TIOCLINUX,   TIOCCONS,    TIOCSETD,    TCGETS,      0x100000000,
	0x100000001, 0x100000010, 0x100000028, 0x100005412, 0x110000000, 0xffffffff00000028,
	UINT64_MAX,
};
#define VALUES (sizeof(values) / sizeof(values[0]))

struct seen {
	bool stricter; /* some call is allowed by Docker and not by us */
	bool milder;
};

static struct seen compare(const struct policy_filter *our, const struct policy_filter *docker,
			   int nr)
{
	struct seen s = { false, false };

	for (size_t i = 0; i < VALUES; i++)
		for (size_t k = 0; k < VALUES; k++)
			for (size_t l = 0; l < 3; l++) {
				uint64_t third = l == 0 ? 0 : values[(i + k * l) % VALUES];
				uint32_t a = bpf_call(our, nr, values[i], values[k], third);
				uint32_t b = bpf_call(docker, nr, values[i], values[k], third);

				s.milder |= a == SECCOMP_RET_ALLOW && b != SECCOMP_RET_ALLOW;
				s.stricter |= a != SECCOMP_RET_ALLOW && b == SECCOMP_RET_ALLOW;
			}
	return s;
}

/* Is `name` one of the words of `names`? */
static bool has_word(const char *names, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = names; (at = strstr(at, name)); at += len)
		if ((at == names || at[-1] == ' ') && (at[len] == '\0' || at[len] == ' '))
			return true;
	return false;
}

static bool is_excluded(const char *name)
{
	for (const struct profile_exclusion *x = profile_default_exclusions(); x->names; x++)
		if (has_word(x->names, name))
			return true;
	return false;
}

static void no_milder_than_dockers_and_every_difference_explained(void **state)
{
	struct policy_filter our = ours(0), docker;

	(void)state;
	if (!dockers(0, &docker)) {
		policy_filter_clear(&our);
		skip();
	}
	for (int nr = 0; nr <= NEWEST_TRIED; nr++) {
		struct seen s = compare(&our, &docker, nr);
		char name[64] = "?";

		syscall_name(nr, name, sizeof(name));
		if (s.milder || s.stricter != is_excluded(name))
			print_message("%d %s: milder %d stricter %d\n", nr, name, s.milder,
				      s.stricter);
		assert_false(s.milder);
		assert_int_equal(s.stricter, is_excluded(name));
	}
	policy_filter_clear(&our);
	policy_filter_clear(&docker);
}

static void no_milder_than_dockers_with_any_one_capability(void **state)
{
	(void)state;
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
		struct policy_filter our = ours(UINT64_C(1) << cap), docker;

		if (!dockers(UINT64_C(1) << cap, &docker)) {
			policy_filter_clear(&our);
			skip();
		}
		for (int nr = 0; nr <= NEWEST_TRIED; nr++)
			assert_false(bpf_call(&our, nr, 0, 0, 0) == SECCOMP_RET_ALLOW &&
				     bpf_call(&docker, nr, 0, 0, 0) != SECCOMP_RET_ALLOW);
		policy_filter_clear(&our);
		policy_filter_clear(&docker);
	}
}

static void exclusions_have_known_names_and_reasons(void **state)
{
	(void)state;
	for (const struct profile_exclusion *x = profile_default_exclusions(); x->names; x++) {
		char copy[256], *save = NULL;

		assert_true(strlen(x->reason) > 20);
		snprintf(copy, sizeof(copy), "%s", x->names);
		for (char *n = strtok_r(copy, " ", &save); n; n = strtok_r(NULL, " ", &save))
			assert_int_not_equal(syscall_number(n), SYSCALL_UNKNOWN);
	}
}

static void assert_all(const char *names, const struct policy_filter *f, uint32_t verdict)
{
	char copy[4096], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", names);
	for (char *n = strtok_r(copy, " ", &save); n; n = strtok_r(NULL, " ", &save)) {
		uint32_t got = bpf_call(f, syscall_number(n), 0, 0, 0);

		if (got != verdict)
			print_message("%s: 0x%x\n", n, got);
		assert_true(syscall_number(n) >= 0);
		assert_int_equal(got, verdict);
	}
}

static void denies_what_reaches_past_the_session(void **state)
{
	struct policy_filter f = ours(0);

	(void)state;
	assert_all("io_uring_setup io_uring_enter io_uring_register clone3 memfd_secret "
		   "process_mrelease",
		   &f, ENOSYS_VERDICT);
	assert_all(
		"userfaultfd bpf perf_event_open keyctl add_key request_key ptrace "
		"process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd unshare "
		"setns mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig "
		"fsmount fspick mount_setattr open_by_handle_at name_to_handle_at "
		"kexec_load kexec_file_load init_module finit_module delete_module reboot "
		"swapon swapoff acct quotactl quotactl_fd settimeofday clock_settime "
		"adjtimex clock_adjtime syslog move_pages migrate_pages fanotify_init "
		"vmsplice set_mempolicy_home_node vhangup sethostname setdomainname",
		&f, EPERM_VERDICT);
#ifdef __x86_64__
	assert_all(
		"iopl ioperm modify_ldt uselib ustat sysfs nfsservctl lookup_dcookie _sysctl "
		"uprobe",
		&f, EPERM_VERDICT);
#endif
	assert_int_equal(bpf_call(&f, 467, 0, 0, 0), ENOSYS_VERDICT); /* open_tree_attr */
	assert_int_equal(bpf_call(&f, 460, 0, 0, 0), ENOSYS_VERDICT); /* lsm_set_self_attr */
	policy_filter_clear(&f);
}

static bool may_make_socket(uint64_t family, uint64_t protocol)
{
	bool common = protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;

	switch (family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return common || protocol == IPPROTO_ICMP;
	case AF_INET6:
		return common || protocol == IPPROTO_ICMPV6;
	case AF_NETLINK:
		return protocol == 0;
	default:
		return false;
	}
}

static void sockets_are_of_four_families_and_few_protocols(void **state)
{
	struct policy_filter f = ours(0);

	(void)state;
	for (uint64_t family = 0; family < 300; family++)
		for (uint64_t protocol = 0; protocol < 300; protocol++)
			for (uint64_t high = 0; high <= 1; high++)
				assert_int_equal(bpf_call(&f, SYS_socket, family | high << 32,
							  3, protocol | high << 40),
						 may_make_socket(family, protocol)
							 ? SECCOMP_RET_ALLOW
							 : EPERM_VERDICT);
	for (uint64_t family = 0; family < 300; family++)
		assert_int_equal(bpf_call(&f, SYS_socketpair, family, 1, 0),
				 family == AF_UNIX ? SECCOMP_RET_ALLOW : EPERM_VERDICT);
	policy_filter_clear(&f);
}

static void arguments_are_judged_by_their_low_half(void **state)
{
	static const uint64_t highs[] = { 0, 0x100000000, 0xffffffff00000000 };
	struct policy_filter f = ours(0);

	(void)state;
	for (size_t i = 0; i < sizeof(highs) / sizeof(highs[0]); i++) {
		uint64_t h = highs[i];

		assert_int_equal(bpf_call(&f, SYS_ioctl, 0, h | TIOCSTI, 0), EPERM_VERDICT);
		assert_int_equal(bpf_call(&f, SYS_ioctl, 0, h | TIOCLINUX, 0), EPERM_VERDICT);
		assert_int_equal(bpf_call(&f, SYS_ioctl, 0, h | TIOCSETD, 0), EPERM_VERDICT);
		assert_int_equal(bpf_call(&f, SYS_ioctl, 0, h | TCGETS, 0), SECCOMP_RET_ALLOW);
		assert_int_equal(bpf_call(&f, SYS_clone, h | CLONE_NEWUSER, 0, 0),
				 EPERM_VERDICT);
		assert_int_equal(bpf_call(&f, SYS_clone, h | CLONE_UNTRACED, 0, 0),
				 EPERM_VERDICT);
		assert_int_equal(bpf_call(&f, SYS_clone, h | 0x3d0f00, 0, 0),
				 SECCOMP_RET_ALLOW);
		assert_int_equal(bpf_call(&f, SYS_personality, h | 0x40000, 0, 0),
				 EPERM_VERDICT);
		assert_int_equal(bpf_call(&f, SYS_personality, h | 0xffffffff, 0, 0),
				 SECCOMP_RET_ALLOW);
		assert_int_equal(bpf_call(&f, SYS_mknodat, 0, 0, h | S_IFCHR | 0666),
				 EPERM_VERDICT);
		assert_int_equal(bpf_call(&f, SYS_mknodat, 0, 0, h | S_IFBLK), EPERM_VERDICT);
		assert_int_equal(bpf_call(&f, SYS_mknodat, 0, 0, h | S_IFIFO | 0666),
				 SECCOMP_RET_ALLOW);
		assert_int_equal(bpf_call(&f, SYS_mknodat, 0, 0, h | 0666), SECCOMP_RET_ALLOW);
	}
	policy_filter_clear(&f);
}

static void capabilities_open_little(void **state)
{
	struct policy_filter f = ours(UINT64_MAX);

	(void)state;
	assert_all("chroot mbind get_mempolicy set_mempolicy", &f, SECCOMP_RET_ALLOW);
	assert_all("mount unshare setns bpf ptrace init_module reboot", &f, EPERM_VERDICT);
	policy_filter_clear(&f);
}

static void is_open_for_ordinary_programs(void **state)
{
	struct policy_filter f = ours(0);

	(void)state;
	assert_all("read write openat close newfstatat statx mmap mprotect munmap brk execve "
		   "execveat exit exit_group rt_sigaction rt_sigprocmask rt_sigreturn futex "
		   "rseq set_robust_list set_tid_address getrandom prlimit64 wait4 pipe2 dup3 "
		   "clone vfork kill tgkill epoll_wait epoll_pwait2 timerfd_create eventfd2 "
		   "signalfd4 accept4 sendmsg recvmsg shmget semget",
		   &f, SECCOMP_RET_ALLOW);
	policy_filter_clear(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_milder_than_dockers_and_every_difference_explained),
		cmocka_unit_test(no_milder_than_dockers_with_any_one_capability),
		cmocka_unit_test(exclusions_have_known_names_and_reasons),
		cmocka_unit_test(denies_what_reaches_past_the_session),
		cmocka_unit_test(sockets_are_of_four_families_and_few_protocols),
		cmocka_unit_test(arguments_are_judged_by_their_low_half),
		cmocka_unit_test(capabilities_open_little),
		cmocka_unit_test(is_open_for_ordinary_programs),
	};

	return cmocka_run_group_tests_name("profile_default", tests, NULL, NULL);
}
