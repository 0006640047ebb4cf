/* policy/words.c - see policy/words.h. */
#include "policy/words.h"
#include "policy/policy.h"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* clang-format off */
const struct word words_class[] = {
	{ POLICY_CLASS_SANDBOX, "sandbox" }, { POLICY_CLASS_GUEST, "guest" }, { 0, NULL },
};
const struct word words_tee[] = {
	{ POLICY_TEE_NONE, "none" },
	{ POLICY_TEE_SEV_SNP, "sev-snp" },
	{ POLICY_TEE_TDX, "tdx" },
	{ 0, NULL },
};
const struct word words_shared_uid[] = { { 0, "refuse" }, { 1, "accept" }, { 0, NULL } };
const struct word words_core_sched[] = {
	{ POLICY_CORE_OFF, "off" },
	{ POLICY_CORE_PREFER, "prefer" },
	{ POLICY_CORE_REQUIRE, "require" },
	{ 0, NULL },
};
const struct word words_network[] = {
	{ POLICY_NET_NONE, "none" }, { POLICY_NET_ISOLATED, "isolated" }, { 0, NULL },
};
const struct word words_protocol[] = {
	{ IPPROTO_TCP, "tcp" }, { IPPROTO_UDP, "udp" }, { 0, NULL },
};
const struct word words_held[] = {
	{ POLICY_HELD_WIPED, "wiped" }, { POLICY_HELD_NONE, "none" }, { 0, NULL },
};
const struct word words_kernel[] = {
	{ POLICY_KERNEL_KERNEL, "kernel" },
	{ POLICY_KERNEL_SWEPT, "swept" },
	{ POLICY_KERNEL_NONE, "none" },
	{ 0, NULL },
};
const struct word words_witness[] = {
	{ POLICY_WITNESS_OPTIONAL, "optional" },
	{ POLICY_WITNESS_REQUIRED, "required" },
	{ 0, NULL },
};
const struct word words_mount_kind[] = {
	{ POLICY_MOUNT_BIND, "bind" },     { POLICY_MOUNT_TMPFS, "tmpfs" },
	{ POLICY_MOUNT_PROC, "proc" },     { POLICY_MOUNT_DEVPTS, "devpts" },
	{ POLICY_MOUNT_MQUEUE, "mqueue" }, { 0, NULL },
};
const struct word words_mount_attr[] = {
	{ MOUNT_ATTR_RDONLY, "rdonly" },   { MOUNT_ATTR_NOSUID, "nosuid" },
	{ MOUNT_ATTR_NODEV, "nodev" },     { MOUNT_ATTR_NOEXEC, "noexec" },
	{ MOUNT_ATTR_NOATIME, "noatime" }, { MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow" },
	{ 0, NULL },
};
const struct word words_namespace[] = {
	{ CLONE_NEWUSER, "user" }, { CLONE_NEWPID, "pid" },       { CLONE_NEWNS, "mount" },
	{ CLONE_NEWNET, "net" },   { CLONE_NEWIPC, "ipc" },       { CLONE_NEWUTS, "uts" },
	{ CLONE_NEWCGROUP, "cgroup" }, { CLONE_NEWTIME, "time" }, { 0, NULL },
};
const struct word words_rlimit[] = {
	{ RLIMIT_CPU, "cpu" },           { RLIMIT_FSIZE, "fsize" },
	{ RLIMIT_DATA, "data" },         { RLIMIT_STACK, "stack" },
	{ RLIMIT_CORE, "core" },         { RLIMIT_RSS, "rss" },
	{ RLIMIT_NPROC, "nproc" },       { RLIMIT_NOFILE, "nofile" },
	{ RLIMIT_MEMLOCK, "memlock" },   { RLIMIT_AS, "as" },
	{ RLIMIT_LOCKS, "locks" },       { RLIMIT_SIGPENDING, "sigpending" },
	{ RLIMIT_MSGQUEUE, "msgqueue" }, { RLIMIT_NICE, "nice" },
	{ RLIMIT_RTPRIO, "rtprio" },     { RLIMIT_RTTIME, "rttime" },
	{ 0, NULL },
};
const struct word words_hook_stage[] = { /* OCI runtime specification, hooks */
	{ 0, "prestart" },       { 1, "createRuntime" }, { 2, "createContainer" },
	{ 3, "startContainer" }, { 4, "poststart" },     { 5, "poststop" },
	{ 0, NULL },
};
/* NEW_LISTENER is not among them: a listener is the launcher's doing, not a profile's. */
const struct word words_filter_flag[] = {
	{ SECCOMP_FILTER_FLAG_TSYNC, "tsync" },
	{ SECCOMP_FILTER_FLAG_LOG, "log" },
	{ SECCOMP_FILTER_FLAG_SPEC_ALLOW, "spec-allow" },
	{ SECCOMP_FILTER_FLAG_TSYNC_ESRCH, "tsync-esrch" },
	{ 1u << 5, "wait-killable-recv" }, /* Linux 5.19; younger than some headers */
	{ 0, NULL },
};

#define CAP(name) { 1ull << (name), #name }
const struct word words_capability[] = {
	CAP(CAP_CHOWN), CAP(CAP_DAC_OVERRIDE), CAP(CAP_DAC_READ_SEARCH), CAP(CAP_FOWNER),
	CAP(CAP_FSETID), CAP(CAP_KILL), CAP(CAP_SETGID), CAP(CAP_SETUID), CAP(CAP_SETPCAP),
	CAP(CAP_LINUX_IMMUTABLE), CAP(CAP_NET_BIND_SERVICE), CAP(CAP_NET_BROADCAST),
	CAP(CAP_NET_ADMIN), CAP(CAP_NET_RAW), CAP(CAP_IPC_LOCK), CAP(CAP_IPC_OWNER),
	CAP(CAP_SYS_MODULE), CAP(CAP_SYS_RAWIO), CAP(CAP_SYS_CHROOT), CAP(CAP_SYS_PTRACE),
	CAP(CAP_SYS_PACCT), CAP(CAP_SYS_ADMIN), CAP(CAP_SYS_BOOT), CAP(CAP_SYS_NICE),
	CAP(CAP_SYS_RESOURCE), CAP(CAP_SYS_TIME), CAP(CAP_SYS_TTY_CONFIG), CAP(CAP_MKNOD),
	CAP(CAP_LEASE), CAP(CAP_AUDIT_WRITE), CAP(CAP_AUDIT_CONTROL), CAP(CAP_SETFCAP),
	CAP(CAP_MAC_OVERRIDE), CAP(CAP_MAC_ADMIN), CAP(CAP_SYSLOG), CAP(CAP_WAKE_ALARM),
	CAP(CAP_BLOCK_SUSPEND), CAP(CAP_AUDIT_READ), CAP(CAP_PERFMON), CAP(CAP_BPF),
	CAP(CAP_CHECKPOINT_RESTORE), { 0, NULL },
};
/* clang-format on */

const struct word *word_by_name(const struct word *words, const char *name)
{
	for (; words->name; words++)
		if (strcmp(words->name, name) == 0)
			return words;
	return NULL;
}

const struct word *word_by_value(const struct word *words, uint64_t value)
{
	for (; words->name; words++)
		if (words->value == value)
			return words;
	return NULL;
}

uint64_t words_mask(const struct word *words)
{
	uint64_t mask = 0;

	for (; words->name; words++)
		mask |= words->value;
	return mask;
}

/* ---- forms ----------------------------------------------------------------------- */

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* Only characters of `set`, between 1 and `max` of them. */
static bool made_of(const char *s, const char *set, size_t max)
{
	size_t n = strspn(s, set);

	return n >= 1 && n <= max && s[n] == '\0';
}

bool text_is_tenant(const char *s)
{
	return made_of(s, LOWER DIGITS "-", 63) && s[0] != '-';
}

bool text_is_name(const char *s)
{
	return made_of(s, LOWER DIGITS "._-", 64) && s[0] != '.';
}

bool text_is_user(const char *s)
{
	return made_of(s, LOWER DIGITS "_-", 32) && strchr(LOWER "_", s[0]);
}

bool text_is_hostname(const char *s)
{
	return made_of(s, LOWER UPPER DIGITS "-.", 63) && !strchr("-.", s[0]);
}

bool text_is_syscall(const char *s)
{
	return made_of(s, LOWER DIGITS "_", 63);
}

bool text_is_path(const char *s)
{
	if (s[0] != '/' || strlen(s) >= 4096)
		return false;
	if (s[1] == '\0')
		return true;
	while (*s == '/') {
		size_t n = strcspn(++s, "/");

		if (n == 0 || n > 255 || (n == 1 && s[0] == '.') ||
		    (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		s += n;
	}
	return true;
}

bool text_is_sha256_or_empty(const char *s)
{
	return !*s || (strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64);
}

bool text_is_path_or_empty(const char *s)
{
	return s[0] == '\0' || text_is_path(s);
}

bool text_is_variable_name(const char *s)
{
	return made_of(s, LOWER UPPER DIGITS "_", 255) && !strchr(DIGITS, s[0]);
}

/* Looser than what a policy may write: an OCI bundle's names are its own. */
bool text_is_variable(const char *s)
{
	return s[0] != '=' && strchr(s, '=') != NULL;
}

/* Reads [0-9]+ without a leading zero; what follows it is at *ret_end. */
static bool small_number(const char *s, unsigned max, unsigned *ret, const char **ret_end)
{
	size_t n = strspn(s, DIGITS);
	unsigned v = 0;

	if (n < 1 || n > 5 || (n > 1 && s[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (unsigned)(s[i] - '0');
	*ret = v;
	*ret_end = s + n;
	return v <= max;
}

static bool host_bits_clear(const uint8_t *address, size_t bytes, unsigned bits)
{
	for (unsigned i = bits; i < bytes * 8; i++)
		if (address[i / 8] & (0x80u >> (i % 8)))
			return false;
	return true;
}

bool text_is_cidr(const char *s)
{
	const char *slash = strchr(s, '/'), *end;
	char host[INET6_ADDRSTRLEN], again[INET6_ADDRSTRLEN];
	uint8_t address[sizeof(struct in6_addr)];
	size_t n = slash ? (size_t)(slash - s) : sizeof(host);
	int family = strchr(s, ':') ? AF_INET6 : AF_INET;
	size_t bytes = family == AF_INET6 ? 16 : 4;
	unsigned bits;

	if (n >= sizeof(host) || !small_number(slash + 1, (unsigned)bytes * 8, &bits, &end))
		return false;
	memcpy(host, s, n);
	host[n] = '\0';
	return *end == '\0' && inet_pton(family, host, address) == 1 &&
	       inet_ntop(family, address, again, sizeof(again)) && strcmp(host, again) == 0 &&
	       host_bits_clear(address, bytes, bits);
}

bool text_is_resource(const char *s)
{
	static const char scheme[] = "kbs:///";
	unsigned parts = 0;

	if (strncmp(s, scheme, strlen(scheme)) != 0 || strlen(s) > 512)
		return false;
	for (s += strlen(scheme) - 1; *s == '/'; parts++) {
		size_t n = strspn(++s, LOWER UPPER DIGITS "._-");

		if (n == 0 || *s == '.')
			return false;
		s += n;
	}
	return *s == '\0' && parts == 3;
}

bool text_is_service(const char *s)
{
	static const char scheme[] = "https://";
	unsigned port = 1;
	size_t n;

	if (strncmp(s, scheme, strlen(scheme)) != 0 || strlen(s) > 512)
		return false;
	s += strlen(scheme);
	if (*s == '[') { /* an IPv6 address */
		n = strspn(s + 1, DIGITS "abcdef:");
		if (n == 0 || s[n + 1] != ']')
			return false;
		s += n + 2;
	} else {
		n = strspn(s, LOWER UPPER DIGITS ".-");
		if (n == 0 || strchr("-.", *s))
			return false;
		s += n;
	}
	if (*s == ':' && (!small_number(s + 1, 65535, &port, &s) || port == 0))
		return false;
	return *s == '\0' || (*s == '/' && made_of(s, LOWER UPPER DIGITS "/._-", 512));
}

bool text_is_service_ca(const char *s)
{
	static const char scheme[] = "sha256:";

	return strncmp(s, scheme, strlen(scheme)) == 0 && strlen(s) == strlen(scheme) + 64 &&
	       made_of(s + strlen(scheme), DIGITS "abcdef", 64);
}

bool path_is_within(const char *path, const char *top)
{
	size_t n = strlen(top);

	if (n == 1) /* everything is below "/" */
		return true;
	return strncmp(path, top, n) == 0 && (path[n] == '\0' || path[n] == '/');
}
