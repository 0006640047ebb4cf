/* tests/inside/attempts_network.h - sockets and objects that others own. */
#pragma once

#include <linux/if.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/inside/attempt.h"

#define HIGH_FAMILY(f) ((1ul << 32) | (f))

static enum outcome made_socket(unsigned long family, int type, int protocol)
{
	return got(syscall(SYS_socket, family, type, protocol));
}

static enum outcome packets(void)
{
	return made_socket(AF_PACKET, SOCK_RAW, 0);
}

static enum outcome packets_high(void)
{
	return made_socket(HIGH_FAMILY(AF_PACKET), SOCK_RAW, 0);
}

static enum outcome hypervisor(void)
{
	return made_socket(40 /* AF_VSOCK */, SOCK_STREAM, 0);
}

static enum outcome hypervisor_high(void)
{
	return made_socket(HIGH_FAMILY(40), SOCK_STREAM, 0);
}

static enum outcome crypto(void)
{
	return reached(syscall(SYS_socket, 38 /* AF_ALG */, SOCK_SEQPACKET, 0));
}

static enum outcome express(void)
{
	return reached(syscall(SYS_socket, 44 /* AF_XDP */, SOCK_RAW, 0));
}

static enum outcome netfilter(void)
{
	return made_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static enum outcome netfilter_high(void)
{
	return got(syscall(SYS_socket, AF_NETLINK, SOCK_RAW, (1ul << 32) | NETLINK_NETFILTER));
}

/* Families that few use and few have read. */
static enum outcome rare_families(void)
{
	static const int rare[] = { 3,  4,  5,  6,  9,  12, 15, 21, 23, 24, 26, 27, 28, 29,
				    30, 31, 32, 33, 34, 35, 36, 37, 39, 41, 42, 43, 45 };

	for (size_t i = 0; i < sizeof(rare) / sizeof(rare[0]); i++)
		if (reached(syscall(SYS_socket, rare[i], SOCK_DGRAM, 0)) == GOT_OUT)
			return GOT_OUT;
	return REFUSED;
}

static enum outcome raw(void)
{
	return made_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static enum outcome low_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(80) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? NOT_MADE : got(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static enum outcome host_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || !word("tcp"))
		return NOT_MADE;
	a.sin_port = htons((uint16_t)atoi(word("tcp")));
	return got(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}

static enum outcome outside_world(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(53),
				 .sin_addr.s_addr = htonl(0xa9fea9fe) }; /* 169.254.169.254 */
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* Choosing a route sends nothing. */
	return fd < 0 ? NOT_MADE : got(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}

static enum outcome host_abstract(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *name = word("abstract");
	size_t n = name ? strlen(name) : 0;

	if (fd < 0 || !n || n >= sizeof(a.sun_path))
		return NOT_MADE;
	memcpy(a.sun_path + 1, name, n);
	return got(connect(fd, (struct sockaddr *)&a,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)));
}

/* The clerk's socket lies in the state root, which is not below the sandbox's. */
static enum outcome clerk_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || !word("root"))
		return NOT_MADE;
	snprintf(a.sun_path, sizeof(a.sun_path), "%.80s/run/clerk.sock", word("root"));
	return got(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}

static enum outcome interface_up(void)
{
	struct ifreq r = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? NOT_MADE : got(ioctl(fd, SIOCSIFFLAGS, &r));
}

static enum outcome host_memory_object(void)
{
	return word("shm") ? got(shmget((key_t)atol(word("shm")), 0, 0)) : NOT_MADE;
}

static enum outcome host_queue(void)
{
	return word("mq") ? got(mq_open(word("mq"), O_RDONLY)) : NOT_MADE;
}

/* clang-format off */
#define NETWORK_ATTEMPTS \
	TRY("af-packet", packets, "see all packets (CVE-2020-14386)"), \
	TRY("af-packet-high-bits", packets_high, "the same, with a bit that the kernel drops"), \
	TRY("af-vsock", hypervisor, "talk to the hypervisor"), \
	TRY("af-vsock-high-bits", hypervisor_high, "the same, with a bit that the kernel drops"), \
	TRY("af-alg", crypto, "reach the kernel's crypto (CVE-2026-31431)"), \
	TRY("af-xdp", express, "reach the express data path"), \
	TRY("netlink-netfilter", netfilter, "talk to nf_tables (CVE-2024-1086)"), \
	TRY("netlink-high-bits", netfilter_high, "the same, with a bit that the kernel drops"), \
	TRY("rare-families", rare_families, "reach any other family"), \
	TRY("raw-socket", raw, "make raw packets"), \
	TRY("low-port", low_port, "listen on a privileged port"), \
	TRY("host-tcp", host_port, "connect to a listener of the host"), \
	TRY("outside", outside_world, "find a way to the network"), \
	TRY("host-abstract", host_abstract, "connect to an abstract socket (CVE-2020-15257)"), \
	TRY("clerk-socket", clerk_socket, "connect to cordon's own socket"), \
	TRY("interface", interface_up, "configure an interface"), \
	TRY("host-shm", host_memory_object, "find the host's System V shared memory"), \
	TRY("host-mqueue", host_queue, "open the host's message queue")
/* clang-format on */
