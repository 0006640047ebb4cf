/* tests/policy/test_policy.c - what is a policy, and where it is said what is not. */
#include "tests/policy/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

static enum policy_status parse(const char *text, struct policy_error *e)
{
	struct policy *p = NULL;
	enum policy_status s = policy_parse("f.yaml", text, strlen(text), &p, e);

	assert_true((s == POLICY_OK) == (p != NULL));
	policy_free(p);
	return s;
}

/* The least that is a policy; four lines. */
#define HEAD                                                                                   \
	"cordon: 1\ntenant: acme\nisolation: { class: sandbox }\n"                             \
	"scrub: { held: wiped, kernel: none }\n"
#define GUEST                                                                                  \
	"cordon: 1\ntenant: acme\nisolation: { class: guest, tee: [sev-snp] }\n"               \
	"scrub: { held: wiped, kernel: none }\n"
#define KEY(name, repository)                                                                  \
	"  - name: " name "\n    resource: kbs:///" repository "/a/b\n"                        \
	"    service: https://k\n    service_ca: " SAMPLE_CA "\n"

struct bad {
	const char *text;
	unsigned line, column;
	const char *key, *what;
	unsigned other_line, other_column;
};

static void check_all(const struct bad *bad, size_t n, enum policy_status wanted)
{
	for (size_t i = 0; i < n; i++) {
		struct policy_error e = { .line = 0 };
		enum policy_status s = parse(bad[i].text, &e);

		if (s != wanted || e.line != bad[i].line || e.column != bad[i].column ||
		    strcmp(e.key, bad[i].key) != 0 || !strstr(e.what, bad[i].what) ||
		    e.other_line != bad[i].other_line || e.other_column != bad[i].other_column)
			fail_msg("%s\ngave %s at %u:%u, key '%s': %s (other %u:%u)",
				 bad[i].text, policy_status_str(s), e.line, e.column, e.key,
				 e.what, e.other_line, e.other_column);
		assert_string_equal(e.file, "f.yaml");
	}
}
#define CHECK_ALL(bad, wanted) check_all(bad, sizeof(bad) / sizeof((bad)[0]), wanted)

static void accepts_what_is_a_policy(void **state)
{
	static const char *const good[] = {
		HEAD,
		"---\n" HEAD "...\n",
		"{\"cordon\": 1, \"tenant\": \"a\", \"isolation\": {\"class\": \"sandbox\"},"
		" \"scrub\": {\"held\": \"none\", \"kernel\": \"swept\"}}",
		HEAD "workload: { rootfs: host, umask: 0022, cwd: / }\n",
		HEAD "workload: { command: [ls, \"a\\tb\\nc\", \"\"] }\n",
		HEAD "workload:\n  environment:\n    EMPTY: \"\"\n    LD_PRELOAD: /x.so\n"
		     "    BLOCK: |-\n      a\n      b\n",
		HEAD "resources: { memory: 4194304, cpus: 0.01 }\n",
		HEAD "seccomp: { deny: [io_uring_setup, mseal, open_tree_attr, socketcall] }\n",
		HEAD "resources: { cpus: 4 }\nkeys: []\ncapabilities: []\n",
		HEAD "network: { mode: isolated, egress: [], ingress: [] }\n",
		HEAD "keys:\n" KEY("a", "acme") KEY("b", "acme"),
		GUEST "workload: { kernel: /k, vcpus: 2, memory: 1GiB }\n",
		GUEST "workload: { kernel: /k, vcpus: 2, memory: 1GiB }\n"
		      "resources: { memory: 1024MiB }\n",
		GUEST
		"workload: { kernel: /k, vcpus: 2, volumes: [{ name: v, source: /dev/vg/v,"
		" size: 1GiB }] }\nresources: { memory: 1GiB }\n",
		GUEST "workload: { kernel: /k, vcpus: 1, memory: 8MiB }\nkeys:\n" KEY(
			"a", "acme") "attestation: { classes: [sev-snp] }\n",
	};
	struct policy_error e = { .line = 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (parse(good[i], &e) != POLICY_OK)
			fail_msg("%s\nwas refused at %u:%u: %s: %s", good[i], e.line, e.column,
				 e.key, e.what);
	assert_int_equal(parse(sample_policy, &e), POLICY_OK);
	assert_int_equal(parse(policy_builtin_text(), &e), POLICY_OK);
}

static void has_no_default_that_weakens(void **state)
{
	static const struct bad bad[] = {
		{ "tenant: a\n", 1, 1, "cordon", "missing", 0, 0 },
		{ "cordon: 1\n", 1, 1, "tenant", "missing", 0, 0 },
		{ "cordon: 1\ntenant: a\n", 1, 1, "isolation", "missing", 0, 0 },
		{ "cordon: 1\ntenant: a\nisolation: { }\n", 3, 12, "isolation.class", "missing",
		  0, 0 },
		{ "cordon: 1\ntenant: a\nisolation: { class: guest }\n", 3, 12, "isolation.tee",
		  "missing", 0, 0 },
		{ "cordon: 1\ntenant: a\nisolation: { class: sandbox }\n", 1, 1, "scrub",
		  "missing", 0, 0 },
		{ "cordon: 1\ntenant: a\nisolation: { class: sandbox }\nscrub: { held: none "
		  "}\n",
		  4, 8, "scrub.kernel", "missing", 0, 0 },
		{ "cordon: 1\ntenant: a\nisolation: { class: sandbox }\nscrub: { kernel: none "
		  "}\n",
		  4, 8, "scrub.held", "missing", 0, 0 },
		{ GUEST, 3, 21, "", "without a workload", 0, 0 },
		{ GUEST "workload: { kernel: /k, vcpus: 1 }\n", 3, 12, "", "without memory", 0,
		  0 },
		{ GUEST "workload: { vcpus: 1 }\n", 5, 11, "workload.kernel", "missing", 0, 0 },
		{ HEAD "network: { egress: [] }\n", 5, 10, "network.mode", "missing", 0, 0 },
		{ HEAD "keys: [{ name: a, resource: kbs:///acme/a/b, service: https://k }]\n",
		  5, 8, "keys[0].service_ca", "missing", 0, 0 },
		{ HEAD "workload: { mounts: [{ source: /srv }] }\n", 5, 22,
		  "workload.mounts[0].target", "missing", 0, 0 },
	};

	(void)state;
	CHECK_ALL(bad, POLICY_INVALID);
}

static void refuses_yaml_beyond_the_plain_part(void **state)
{
	static const struct bad bad[] = {
		{ "", 1, 1, "", "nothing in it", 0, 0 },
		{ "# only a comment\n", 1, 1, "", "nothing in it", 0, 0 },
		{ HEAD "---\n" HEAD, 5, 1, "", "second document", 0, 0 },
		{ "%YAML 1.1\n---\n" HEAD, 1, 1, "", "directives", 0, 0 },
		{ HEAD "attestation: &a { b: c }\n", 5, 14, "", "anchors", 0, 0 },
		{ HEAD "attestation: { a: *b }\n", 5, 19, "", "anchors", 0, 0 },
		{ HEAD "attestation: !!map { b: c }\n", 5, 14, "", "tags", 0, 0 },
		{ HEAD "attestation: { ? [a] : b }\n", 5, 18, "", "key must be", 0, 0 },
		{ HEAD "attestation: { a: 1, b: 2, a: 3 }\n", 5, 28, "attestation.a", "twice",
		  5, 16 },
		{ HEAD "tenant: b\n", 5, 1, "tenant", "twice", 2, 1 },
		{ HEAD "keys: [{ name: a, name: b }]\n", 5, 19, "keys[0].name", "twice", 5,
		  10 },
		{ HEAD "attestation: { a: \"\\0\" }\n", 5, 19, "", "control", 0, 0 },
		{ HEAD "attestation: { a: \"\\e[31m\" }\n", 5, 19, "", "control", 0, 0 },
		{ HEAD "attestation: { a: \x07 }\n", 5, 19, "", "control", 0, 0 },
		{ HEAD "attestation: { a: \xff }\n", 5, 19, "", "UTF-8", 0, 0 },
		{ HEAD "attestation: { a: \xc0\x80 }\n", 5, 19, "", "UTF-8", 0, 0 },
		{ HEAD "attestation: { a: \xed\xa0\x80 }\n", 5, 19, "", "UTF-8", 0, 0 },
		{ HEAD "# \xe2\x80\xae looks other than it is\n", 5, 3, "", "control", 0, 0 },
		{ "\xef\xbb\xbf" HEAD, 1, 1, "", "byte order mark", 0, 0 },
		{ HEAD "workload: {\n", 6, 1, "", "not YAML", 0, 0 },
		{ HEAD "\tx: y\n", 5, 1, "", "not YAML", 0, 0 },
	};

	(void)state;
	CHECK_ALL(bad, POLICY_INVALID);
}

static void refuses_wrong_keys_types_and_ranges(void **state)
{
	static const struct bad bad[] = {
		{ "[]\n", 1, 1, "", "a mapping is wanted", 0, 0 },
		{ HEAD "tennant: b\n", 5, 1, "tennant", "no such key", 0, 0 },
		{ HEAD "resources: { memroy: 1GiB }\n", 5, 14, "resources.memroy",
		  "no such key", 0, 0 },
		{ HEAD "resources: 12\n", 5, 12, "resources", "a mapping is wanted", 0, 0 },
		{ HEAD "resources:\n", 5, 11, "resources", "a mapping is wanted", 0, 0 },
		{ HEAD "resources: { memory: 512M }\n", 5, 22, "resources.memory", "a size", 0,
		  0 },
		{ HEAD "resources: { memory: 512 MiB }\n", 5, 22, "resources.memory", "a size",
		  0, 0 },
		{ HEAD "resources: { memory: -1 }\n", 5, 22, "resources.memory", "a size", 0,
		  0 },
		{ HEAD "resources: { memory: 0512MiB }\n", 5, 22, "resources.memory", "a size",
		  0, 0 },
		{ HEAD "resources: { memory: \"512MiB\" }\n", 5, 22, "resources.memory",
		  "a size", 0, 0 },
		{ HEAD "resources: { memory: 99999999999TiB }\n", 5, 22, "resources.memory",
		  "range", 0, 0 },
		{ HEAD "resources: { memory: 99999999999999999999 }\n", 5, 22,
		  "resources.memory", "a size", 0, 0 },
		{ HEAD "resources: { memory: 1KiB }\n", 5, 22, "resources.memory", "range", 0,
		  0 },
		{ HEAD "resources: { cpus: 0 }\n", 5, 20, "resources.cpus", "range", 0, 0 },
		{ HEAD "resources: { cpus: 1.2345 }\n", 5, 20, "resources.cpus", "a number", 0,
		  0 },
		{ HEAD "resources: { cpus: 1. }\n", 5, 20, "resources.cpus", "a number", 0, 0 },
		{ HEAD "resources: { cpus: 1e3 }\n", 5, 20, "resources.cpus", "a number", 0,
		  0 },
		{ HEAD "resources: { pids: 0x10 }\n", 5, 20, "resources.pids", "whole number",
		  0, 0 },
		{ HEAD "resources: { pids: 0 }\n", 5, 20, "resources.pids", "range", 0, 0 },
		{ HEAD "resources: { files: \"256\" }\n", 5, 21, "resources.files",
		  "whole number", 0, 0 },
		{ HEAD "resources: { core-scheduling: maybe }\n", 5, 31,
		  "resources.core-scheduling", "none of the words", 0, 0 },
		{ HEAD "workload: { command: ls }\n", 5, 22, "workload.command", "a list", 0,
		  0 },
		{ HEAD "workload: { command: [] }\n", 5, 22, "workload.command", "empty", 0,
		  0 },
		{ HEAD "workload: { command: [\"\"] }\n", 5, 23, "workload.command", "empty", 0,
		  0 },
		{ HEAD "workload: { command: [sleep, 10] }\n", 5, 30, "workload.command[1]",
		  "a number", 0, 0 },
		{ HEAD "workload: { command: [yes] }\n", 5, 23, "workload.command[0]",
		  "a truth value", 0, 0 },
		{ HEAD "workload: { command: [~] }\n", 5, 23, "workload.command[0]", "nothing",
		  0, 0 },
		{ HEAD "workload: { command: [[a]] }\n", 5, 23, "workload.command[0]", "a text",
		  0, 0 },
		{ HEAD "workload: { cwd: data }\n", 5, 18, "workload.cwd", "absolute path", 0,
		  0 },
		{ HEAD "workload: { cwd: /a/../b }\n", 5, 18, "workload.cwd", "absolute path",
		  0, 0 },
		{ HEAD "workload: { cwd: /a/ }\n", 5, 18, "workload.cwd", "absolute path", 0,
		  0 },
		{ HEAD "workload: { umask: 9 }\n", 5, 20, "workload.umask", "octal", 0, 0 },
		{ HEAD "workload: { umask: 1777 }\n", 5, 20, "workload.umask", "octal", 0, 0 },
		{ HEAD "workload: { hostname: -a }\n", 5, 23, "workload.hostname", "host name",
		  0, 0 },
		{ HEAD "workload: { user: { uid: 65534 } }\n", 5, 26, "workload.user.uid",
		  "range", 0, 0 },
		{ HEAD "workload: { user: { name: A } }\n", 5, 27, "workload.user.name",
		  "login name", 0, 0 },
		{ HEAD "workload: { environment: { A-B: c } }\n", 5, 28,
		  "workload.environment.A-B", "not a variable's name", 0, 0 },
		{ HEAD "workload: { environment: { \"A=B\": c } }\n", 5, 28,
		  "workload.environment.A=B", "not a variable's name", 0, 0 },
		{ HEAD "workload: { environment: { \"\": c } }\n", 5, 28,
		  "workload.environment.", "not a variable's name", 0, 0 },
		{ HEAD "workload: { environment: { PORT: 80 } }\n", 5, 34,
		  "workload.environment.PORT", "a number", 0, 0 },
		{ HEAD "workload: { mounts: [{ target: /a }] }\n", 5, 22, "workload.mounts[0]",
		  "neither", 0, 0 },
		{ HEAD "workload: { mounts: [{ source: /a, target: /b, write: yes }] }\n", 5,
		  55, "workload.mounts[0].write", "none of the words", 0, 0 },
		{ HEAD "workload: { mounts: [{ source: /a, target: /b, write: \"true\" }] }\n",
		  5, 55, "workload.mounts[0].write", "truth value", 0, 0 },
		{ HEAD "workload: { mounts: [{ tmpfs: 1KiB, target: /b }] }\n", 5, 31,
		  "workload.mounts[0].tmpfs", "range", 0, 0 },
		{ HEAD "seccomp: { deny: [bind, no_such_call] }\n", 5, 25, "seccomp.deny[1]",
		  "unknown system call", 0, 0 },
		{ HEAD "seccomp:\n  allow:\n    - reed\n", 7, 7, "seccomp.allow[0]",
		  "unknown system call", 0, 0 },
		{ HEAD "seccomp: { allow: [\"read; x\"] }\n", 5, 20, "seccomp.allow[0]",
		  "system call's name", 0, 0 },
		{ HEAD "seccomp: { profile: /no/such/profile.json }\n", 5, 21,
		  "seccomp.profile", "No such file", 0, 0 },
		{ HEAD "seccomp: { profile: /dev/zero }\n", 5, 21, "seccomp.profile",
		  "neither a file nor a pipe", 0, 0 },
		{ HEAD "capabilities: [NET_RAW]\n", 5, 16, "capabilities",
		  "no capability NET_RAW", 0, 0 },
		{ HEAD "capabilities: [ALL]\n", 5, 16, "capabilities", "no capability", 0, 0 },
		{ HEAD "capabilities: CAP_KILL\n", 5, 15, "capabilities", "a list", 0, 0 },
		{ HEAD "network: { mode: host }\n", 5, 18, "network.mode", "none of the words",
		  0, 0 },
		{ HEAD "network: { mode: isolated, egress: [{ to: 10.0.0.1/8, protocol: tcp, "
		       "ports: 1 }] }\n",
		  5, 43, "network.egress[0].to", "a network like", 0, 0 },
		{ HEAD "network: { mode: isolated, egress: [{ to: 10.0.0.0/8, protocol: tcp, "
		       "ports: 9-3 }] }\n",
		  5, 77, "network.egress[0].ports", "a port", 0, 0 },
		{ HEAD "network: { mode: isolated, egress: [{ to: 10.0.0.0/8, protocol: tcp, "
		       "ports: 70000 }] }\n",
		  5, 77, "network.egress[0].ports", "a port", 0, 0 },
		{ HEAD "keys: [{ name: ../x }]\n", 5, 16, "keys[0].name", "a name", 0, 0 },
		{ HEAD "keys: [{ name: x, resource: kbs://h/acme/a/b }]\n", 5, 29,
		  "keys[0].resource", "kbs:///", 0, 0 },
		{ HEAD "keys: [{ name: x, resource: kbs:///acme/../b }]\n", 5, 29,
		  "keys[0].resource", "kbs:///", 0, 0 },
		{ HEAD "keys: [{ name: x, resource: kbs:///acme/a/b, service: http://k }]\n", 5,
		  55, "keys[0].service", "https://", 0, 0 },
		{ HEAD "keys: [{ name: x, resource: kbs:///acme/a/b, service: https://u@k }]\n",
		  5, 55, "keys[0].service", "https://", 0, 0 },
		{ HEAD "keys: [{ name: x, resource: kbs:///acme/a/b, service: https://k, "
		       "service_ca: sha256:12 }]\n",
		  5, 78, "keys[0].service_ca", "sha256", 0, 0 },
		{ HEAD "attestation: [a]\n", 5, 14, "attestation", "a mapping", 0, 0 },
		{ HEAD "audit: { witness: sometimes }\n", 5, 19, "audit.witness",
		  "none of the words", 0, 0 },
		{ "cordon: 2\ntenant: a\n", 1, 9, "cordon", "range", 0, 0 },
		{ "{\"process\": {}, \"ociVersion\": \"1.2.0\"}", 1, 17, "ociVersion",
		  "OCI configuration", 0, 0 },
		{ "kind: SeccompProfile\napiVersion: x/v1\n", 2, 1, "apiVersion", "Kubernetes",
		  0, 0 },
		{ "cordon: \"1\"\ntenant: a\n", 1, 9, "cordon", "whole number", 0, 0 },
		{ "cordon: 1\ntenant: Acme\n", 2, 9, "tenant", "a tenant's name", 0, 0 },
		{ "cordon: 1\ntenant: -a\n", 2, 9, "tenant", "a tenant's name", 0, 0 },
		{ "cordon: 1\ntenant: 12\n", 2, 9, "tenant", "a number", 0, 0 },
		{ "cordon: 1\ntenant: a/b\n", 2, 9, "tenant", "a tenant's name", 0, 0 },
	};

	(void)state;
	CHECK_ALL(bad, POLICY_INVALID);
}

static void names_both_places_of_a_contradiction(void **state)
{
	static const struct bad bad[] = {
		{ "cordon: 1\ntenant: acme\nisolation: { class: sandbox, tee: none }\n", 3, 30,
		  "isolation.tee", "belongs to a guest", 3, 21 },
		{ HEAD "workload: { vcpus: 2 }\n", 5, 13, "workload.vcpus",
		  "belongs to a guest", 3, 21 },
		{ GUEST "workload: { kernel: /k, vcpus: 1, memory: 1GiB, command: [ls] }\n", 5,
		  49, "workload.command", "belongs to a sandbox", 3, 21 },
		{ "cordon: 1\ntenant: acme\nisolation: { class: guest, tee: [tdx, none] }\n", 3,
		  39, "isolation.tee", "no TEE and a TEE", 3, 34 },
		{ "cordon: 1\ntenant: acme\nisolation: { class: guest, tee: [none, tdx, tdx] "
		  "}\n",
		  3, 40, "isolation.tee", "no TEE and a TEE", 3, 34 },
		{ "cordon: 1\ntenant: acme\nisolation: { class: guest, tee: [sev-snp, tdx, "
		  "tdx] }\n",
		  3, 48, "isolation.tee", "twice", 3, 43 },
		{ HEAD "seccomp: { allow: [read, bind], deny: [bind] }\n", 5, 40, "",
		  "both allowed and denied", 5, 26 },
		{ HEAD "seccomp: { deny: [bind, bind] }\n", 5, 25, "seccomp.deny[1]", "twice",
		  5, 19 },
		{ HEAD "resources: { memory: 32MiB, tmpfs: 64MiB }\n", 5, 36, "resources.tmpfs",
		  "more memory for files", 5, 22 },
		{ HEAD "resources: { memory: 32MiB }\nworkload: { mounts: [{ tmpfs: 1GiB, "
		       "target: /t }] }\n",
		  6, 31, "", "more memory for files", 5, 22 },
		{ HEAD "network:\n  mode: none\n  ingress:\n  - { from: 0.0.0.0/0, protocol: "
		       "tcp, ports: 80 }\n",
		  8, 3, "network.ingress", "rules for a network", 6, 9 },
		{ HEAD "capabilities: [CAP_KILL, CAP_KILL]\n", 5, 26, "capabilities[1]",
		  "twice", 5, 16 },
		{ HEAD "keys:\n" KEY("a", "acme") KEY("a", "acme"), 10, 11, "", "same name", 6,
		  11 },
		{ HEAD "keys:\n" KEY("a", "evil"), 7, 15, "", "not this tenant's", 2, 9 },
		{ HEAD "keys:\n" KEY("a", "acme2"), 7, 15, "", "not this tenant's", 2, 9 },
		{ HEAD "keys:\n" KEY("a", "acm"), 7, 15, "", "not this tenant's", 2, 9 },
		{ HEAD "workload:\n  mounts:\n  - { source: /a, target: /x }\n  - { source: "
		       "/b, target: /x }\n",
		  8, 27, "workload.mounts[1]", "overlap", 7, 27 },
		{ HEAD "workload:\n  mounts:\n  - { source: /a, target: /x/y }\n  - { source: "
		       "/b, target: /x }\n",
		  8, 27, "workload.mounts[1]", "overlap", 7, 27 },
		{ HEAD "workload: { mounts: [{ source: /a, tmpfs: 1MiB, target: /x }] }\n", 5,
		  32, "workload.mounts[0]", "at once", 5, 43 },
		{ HEAD "workload: { mounts: [{ tmpfs: 1MiB, target: /x, write: false }] }\n", 5,
		  56, "workload.mounts[0]", "cannot be written", 5, 31 },
		{ GUEST "workload: { kernel: /k, vcpus: 1, memory: 1GiB }\nresources: { "
			"memory: 2GiB }\n",
		  5, 43, "workload.memory", "two sizes", 6, 22 },
		{ GUEST
		  "workload: { kernel: /k, vcpus: 1, memory: 1GiB }\nkeys:\n" KEY("a", "acme"),
		  7, 3, "keys", "nothing is demanded", 3, 21 },
	};

	(void)state;
	CHECK_ALL(bad, POLICY_INVALID);
}

static void never_gives_what_would_break_the_isolation(void **state)
{
#define MOUNT(source, target)                                                                  \
	HEAD "workload: { mounts: [{ source: " source ", target: " target " }] }\n"
	static const struct bad bad[] = {
		{ HEAD "workload: { user: { uid: 0 } }\n", 5, 26, "workload.user.uid",
		  "never runs as root", 0, 0 },
		{ HEAD "workload: { user: { gid: 0 } }\n", 5, 26, "workload.user.gid",
		  "never runs as root", 0, 0 },
		{ HEAD "workload: { user: { name: root } }\n", 5, 27, "workload.user.name",
		  "never runs as root", 0, 0 },
		{ HEAD "workload: { rootfs: / }\n", 5, 21, "workload.rootfs", "never shown", 0,
		  0 },
		{ HEAD "workload: { rootfs: /proc/1/root }\n", 5, 21, "workload.rootfs",
		  "never shown", 0, 0 },
		{ MOUNT("/", "/h"), 5, 32, "workload.mounts[0].source", "never shown", 0, 0 },
		{ MOUNT("/proc", "/h"), 5, 32, "workload.mounts[0].source",
		  "/proc is never shown", 0, 0 },
		{ MOUNT("/sys/fs/cgroup/x", "/h"), 5, 32, "workload.mounts[0].source",
		  "/sys/fs/cgroup is never", 0, 0 },
		{ MOUNT("/dev/mem", "/h"), 5, 32, "workload.mounts[0].source",
		  "/dev is never shown", 0, 0 },
		{ MOUNT("/var/lib", "/h"), 5, 32, "workload.mounts[0].source",
		  "/var/lib/cordon in it", 0, 0 },
		{ MOUNT("/run/cordon/clerk.sock", "/h"), 5, 32, "workload.mounts[0].source",
		  "/run/cordon is never", 0, 0 },
		{ MOUNT("/a", "/"), 5, 44, "workload.mounts[0].target", "never mounted over", 0,
		  0 },
		{ MOUNT("/a", "/proc"), 5, 44, "workload.mounts[0].target",
		  "/proc is never mounted over", 0, 0 },
		{ MOUNT("/a", "/proc/self/attr"), 5, 44, "workload.mounts[0].target",
		  "/proc is never", 0, 0 },
		{ MOUNT("/a", "/sys/kernel"), 5, 44, "workload.mounts[0].target",
		  "/sys is never", 0, 0 },
		{ MOUNT("/a", "/dev/shm"), 5, 44, "workload.mounts[0].target", "/dev is never",
		  0, 0 },
		{ MOUNT("/a", "/run"), 5, 44, "workload.mounts[0].target",
		  "/run/credentials in it", 0, 0 },
		{ MOUNT("/a", "/run/credentials/x"), 5, 44, "workload.mounts[0].target",
		  "/run/credentials is", 0, 0 },
		{ HEAD "seccomp: { profile: default, allow: [io_uring_setup] }\n", 5, 38,
		  "seccomp.allow[0]", "never given", 0, 0 },
		{ HEAD "seccomp:\n  allow: [read, ptrace,\n    memfd_secret]\n", 7, 5,
		  "seccomp.allow[2]", "never given", 0, 0 },
	};
	struct policy_error e;

	(void)state;
	CHECK_ALL(bad, POLICY_REFUSED);
	/* Names that only begin alike are others. */
	assert_int_equal(parse(MOUNT("/process", "/devices"), &e), POLICY_OK);
	assert_int_equal(parse(MOUNT("/run/cordon2", "/run/credentials2"), &e), POLICY_OK);
}

static void bounds_depth_count_and_size(void **state)
{
	char *text = malloc(POLICY_FILE_MAX + 2);
	struct policy_error e;
	size_t used;

	(void)state;
	assert_non_null(text);
	used = (size_t)sprintf(text, HEAD "attestation: { a: ");
	memset(text + used, '[', 100);
	text[used + 100] = '\0';
	assert_int_equal(parse(text, &e), POLICY_INVALID);
	assert_non_null(strstr(e.what, "nested too deeply"));

	used = (size_t)sprintf(text, HEAD "attestation: { a: [");
	for (size_t i = 0; i < 20000; i++)
		used += (size_t)sprintf(text + used, "x,");
	strcpy(text + used, "] }\n");
	assert_int_equal(parse(text, &e), POLICY_INVALID);
	assert_non_null(strstr(e.what, "too many values"));

	used = (size_t)sprintf(text, HEAD "attestation: {");
	for (size_t i = 0; i < 2000; i++)
		used += (size_t)sprintf(text + used, " k%zu: x,", i);
	strcpy(text + used, "}\n");
	assert_int_equal(parse(text, &e), POLICY_INVALID);
	assert_non_null(strstr(e.what, "too many keys"));

	memset(text, '#', POLICY_FILE_MAX + 1);
	text[POLICY_FILE_MAX + 1] = '\0';
	assert_int_equal(parse(text, &e), POLICY_INVALID);
	assert_non_null(strstr(e.what, "longer than"));
	free(text);
}

static void prints_a_finding_as_one_line(void **state)
{
	struct policy_error e;
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	(void)state;
	assert_non_null(to);
	assert_int_equal(parse(HEAD "resources: { memory: 32MiB, tmpfs: 64MiB }\n", &e),
			 POLICY_INVALID);
	policy_error_print(to, &e);
	fclose(to);
	assert_string_equal(text,
			    "f.yaml:5:36: resources.tmpfs: more memory for files than there is "
			    "memory (other place: 5:22); lower one, or raise the other");
	free(text);

	/* What is quoted of the input cannot break the line. */
	assert_int_equal(parse(HEAD "\"a\\nb\": 1\n", &e), POLICY_INVALID);
	assert_string_equal(e.key, "a?b");
}

static void needs_no_place_for_findings(void **state)
{
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(policy_parse("f", "a: b: c", 7, &p, NULL), POLICY_INVALID);
	assert_int_equal(policy_parse("f", HEAD "x: y", strlen(HEAD "x: y"), &p, NULL),
			 POLICY_INVALID);
	assert_int_equal(policy_parse("f", HEAD "keys: [{ name: a, name: b }]\n",
				      strlen(HEAD "keys: [{ name: a, name: b }]\n"), &p, NULL),
			 POLICY_INVALID);
	assert_null(p);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void looks_for_a_profile_beside_the_policy(void **state)
{
	char folder[] = "/tmp/cordon-test-XXXXXX", policy[64], profile[64];
	struct policy_error e = { .line = 0 };
	struct policy *p = NULL;
	uint8_t *key = NULL, *other = NULL;
	size_t len = 0, other_len = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(policy, sizeof(policy), "%s/p.yaml", folder);
	snprintf(profile, sizeof(profile), "%s/s.json", folder);
	write_file(policy, HEAD "seccomp: { profile: s.json }\n");
	assert_int_equal(policy_load(policy, &p, &e), POLICY_INVALID);
	assert_string_equal(e.key, "seccomp.profile");
	write_file(profile, "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
	assert_int_equal(policy_load(policy, &p, &e), POLICY_OK);

	/* The key is of the text that was read then, whatever the file is now. */
	assert_int_equal(policy_filter_key(p, &key, &len, &e), POLICY_OK);
	write_file(profile, "{\"defaultAction\":\"SCMP_ACT_ERRNO\"}");
	assert_int_equal(policy_filter_key(p, &other, &other_len, &e), POLICY_OK);
	assert_int_equal(len, other_len);
	assert_memory_equal(key, other, len);
	free(other);
	policy_free(p);
	assert_int_equal(policy_load(policy, &p, &e), POLICY_OK);
	assert_int_equal(policy_filter_key(p, &other, &other_len, &e), POLICY_OK);
	assert_true(len != other_len || memcmp(key, other, len) != 0);
	free(key);
	policy_free(p);

	/* It names the policy's lists as well. */
	write_file(policy, HEAD "seccomp: { profile: s.json, deny: [bind] }\n");
	assert_int_equal(policy_load(policy, &p, &e), POLICY_OK);
	assert_int_equal(policy_filter_key(p, &key, &len, &e), POLICY_OK);
	assert_true(len != other_len || memcmp(key, other, len) != 0);
	free(key);
	free(other);
	policy_free(p);
	unlink(profile);
	unlink(policy);
	rmdir(folder);
	assert_int_equal(policy_load(policy, &p, &e), POLICY_INVALID);
	assert_string_equal(e.file, policy);
}

static void a_key_names_all_that_the_filter_depends_on(void **state)
{
	static const char *const different[] = {
		HEAD,
		HEAD "seccomp: { allow: [bind] }\n",
		HEAD "seccomp: { deny: [bind] }\n",
		HEAD "seccomp: { deny: [bind, listen] }\n",
		HEAD "capabilities: [CAP_KILL]\n",
	};
	enum { N = sizeof(different) / sizeof(different[0]) };
	uint8_t *key[N] = { NULL };
	size_t len[N];
	struct policy_error e;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		struct policy *p = NULL;

		assert_int_equal(policy_parse("f", different[i], strlen(different[i]), &p, &e),
				 POLICY_OK);
		assert_int_equal(policy_filter_key(p, &key[i], &len[i], &e), POLICY_OK);
		policy_free(p);
		for (size_t k = 0; k < i; k++)
			assert_true(len[i] != len[k] || memcmp(key[i], key[k], len[i]) != 0);
	}
	for (size_t i = 0; i < N; i++)
		free(key[i]);
}

/* ---- damage ---------------------------------------------------------------------- */

static char *printed(const struct policy_plan *plan)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	policy_plan_print(to, plan);
	assert_int_equal(fclose(to), 0);
	return text;
}

/* A policy that is accepted makes a plan that survives its own bytes. */
static void plan_is_whole(const struct policy *p)
{
	static char word[] = "ls";
	char *argv[] = { word, NULL };
	struct policy_filter f = sample_filter(), g = sample_filter();
	struct policy_plan *plan = NULL, *again = NULL;
	struct policy_error e;
	enum policy_status s = policy_plan_make(p, argv, &f, &plan, &e);
	uint8_t *bytes = NULL;
	char *a, *b;
	size_t len;

	if (s == POLICY_REFUSED)
		s = policy_plan_make(p, NULL, &g, &plan, &e);
	policy_filter_clear(&g);
	assert_int_equal(s, POLICY_OK);
	assert_int_equal(policy_plan_encode(plan, &bytes, &len), POLICY_OK);
	assert_int_equal(policy_plan_decode(bytes, len, &again, &e), POLICY_OK);
	a = printed(plan);
	b = printed(again);
	assert_string_equal(a, b);
	free(a);
	free(b);
	free(bytes);
	policy_plan_free(plan);
	policy_plan_free(again);
}

static size_t judge(const char *text, size_t len)
{
	struct policy_error e = { .line = 0 };
	struct policy *p = NULL;
	enum policy_status s = policy_parse("f", text, len, &p, &e);

	if (s == POLICY_OK) {
		plan_is_whole(p);
		policy_free(p);
		return 1;
	}
	if (s != POLICY_INVALID && s != POLICY_REFUSED)
		fail_msg("%s: %s\n%.*s", policy_status_str(s), e.what, (int)len, text);
	assert_true(e.what[0] && !strchr(e.what, '\n') && strlen(e.what) < sizeof(e.what));
	return 0;
}

static void judges_every_truncation(void **state)
{
	size_t good = 0;

	(void)state;
	for (size_t n = 0; n <= strlen(sample_policy); n++)
		good += judge(sample_policy, n);
	assert_in_range(good, 1, 400); /* what follows scrub: can be missing */
}

static void judges_every_mutation(void **state)
{
	size_t rounds = getenv("CORDON_SOAK") ? 200000 : 10000, good = 0;
	uint64_t seed = 1;
	uint8_t buf[4096];

	(void)state;
	for (size_t i = 0; i < rounds; i++) {
		size_t len = sizeof(sample_policy) - 1;

		memcpy(buf, sample_policy, sizeof(sample_policy));
		for (size_t n = 1 + i % 3; n > 0; n--)
			len = sample_mutate(buf, len, sizeof(buf), &seed);
		good += judge((const char *)buf, len);
	}
	assert_in_range(good, rounds / 50, rounds / 2); /* both kinds were met */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_what_is_a_policy),
		cmocka_unit_test(has_no_default_that_weakens),
		cmocka_unit_test(refuses_yaml_beyond_the_plain_part),
		cmocka_unit_test(refuses_wrong_keys_types_and_ranges),
		cmocka_unit_test(names_both_places_of_a_contradiction),
		cmocka_unit_test(never_gives_what_would_break_the_isolation),
		cmocka_unit_test(bounds_depth_count_and_size),
		cmocka_unit_test(prints_a_finding_as_one_line),
		cmocka_unit_test(needs_no_place_for_findings),
		cmocka_unit_test(looks_for_a_profile_beside_the_policy),
		cmocka_unit_test(a_key_names_all_that_the_filter_depends_on),
		cmocka_unit_test(judges_every_truncation),
		cmocka_unit_test(judges_every_mutation),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
