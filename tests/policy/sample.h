/* tests/policy/sample.h - a policy with every key that a sandbox may have, and a filter
 * that saves the tests from compiling one. */
#pragma once

#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE_CA "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char sample_policy[] =
	"# every key that a sandbox may have\n"
	"cordon: 1\n"
	"tenant: acme\n"
	"isolation:\n"
	"  class: sandbox\n"
	"  shared-uid: accept\n"
	"workload:\n"
	"  rootfs: /srv/images/acme\n"
	"  command: [/usr/bin/python3, \"-m\", http.server, \"8080\"]\n"
	"  user: { uid: 2000, gid: 2001, name: worker }\n"
	"  environment:\n"
	"    GREETING: \"hello w\xc3\xb6rld\"\n"
	"    TERM: dumb\n"
	"  cwd: /data\n"
	"  hostname: acme-1\n"
	"  umask: \"0077\"\n"
	"  mounts:\n"
	"    - { source: /srv/acme/data, target: /data, write: true }\n"
	"    - { source: /opt/tools, target: /opt/tools, exec: true }\n"
	"    - { tmpfs: 16MiB, target: /scratch }\n"
	"resources: { memory: 512MiB, cpus: 1.5, pids: 128, tmpfs: 64MiB, files: 256,\n"
	"             core-scheduling: require }\n"
	"seccomp:\n"
	"  profile: default\n"
	"  allow: [ptrace]\n"
	"  deny: [socket, bind]\n"
	"capabilities: [CAP_NET_BIND_SERVICE, CAP_CHOWN]\n"
	"network:\n"
	"  mode: isolated\n"
	"  egress:\n"
	"    - { to: 10.0.0.0/8, protocol: tcp, ports: 443 }\n"
	"  ingress:\n"
	"    - { from: \"fd00::/8\", protocol: udp, ports: 8000-8010 }\n"
	"keys:\n"
	"  - name: data-key\n"
	"    resource: kbs:///acme/volume/data-key\n"
	"    service: https://keys.internal:8443\n"
	"    service_ca: " SAMPLE_CA "\n"
	"scrub: { held: wiped, kernel: kernel }\n"
	"attestation:\n"
	"  # kept as it is\n"
	"  classes: [sandbox]\n"
	"  workload: [ \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\" ]\n"
	"\n"
	"audit: { witness: required }\n";

/* One instruction, RET ALLOW. policy_plan_make() takes it over. */
static inline struct policy_filter sample_filter(void)
{
	static const uint8_t allow[8] = { 0x06, 0, 0, 0, 0, 0, 0xff, 0x7f };
	struct policy_filter f = { .insns = malloc(sizeof(allow)), .n_insns = 1 };

	if (!f.insns)
		abort();
	memcpy(f.insns, allow, sizeof(allow));
	return f;
}

/* The same numbers on every machine: SplitMix64. */
static inline uint64_t sample_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Changes `buf` in one of the ways that files are damaged; returns the new length. */
static inline size_t sample_mutate(uint8_t *buf, size_t len, size_t size, uint64_t *state)
{
	size_t at = len ? sample_random(state) % len : 0;
	size_t n = 1 + sample_random(state) % 8;
	uint8_t byte;

	if (!len)
		return 0;
	switch (sample_random(state) % 5) {
	case 0: /* another byte */
		buf[at] = (uint8_t)sample_random(state);
		return len;
	case 1: /* one bit */
		buf[at] ^= (uint8_t)(1u << (sample_random(state) % 8));
		return len;
	case 2: /* something is missing */
		n = n < len - at ? n : len - at;
		memmove(buf + at, buf + at + n, len - at - n);
		return len - n;
	case 3: /* something is there twice */
		n = n < len - at ? n : len - at;
		if (len + n > size)
			return len;
		memmove(buf + at + n, buf + at, len - at);
		return len + n;
	default: /* two bytes changed places */
		n = sample_random(state) % len;
		byte = buf[at];
		buf[at] = buf[n];
		buf[n] = byte;
		return len;
	}
}
