/*
 * runtime/wire.h - the few messages between cordon's own processes, over SOCK_SEQPACKET
 * unix sockets: one datagram is one message of fixed layout, with at most WIRE_FDS
 * descriptors. Every byte is checked; what does not fit closes the connection.
 *
 * Layout (little-endian): magic u32 "CRDN", type u32, id[16], a i64, b i64,
 * text[WIRE_TEXT] (zero-padded).
 */
#pragma once

#include "runtime/runtime.h"

#define WIRE_TEXT 480u
#define WIRE_BYTES (4 + 4 + 16 + 8 + 8 + WIRE_TEXT)
#define WIRE_FDS 9

enum wire_type {
	/* to a keeper, on its control pair (START, first) or its socket RUN/ID.sock */
	WIRE_START = 1, /* id, a = enum wire_start bits, text = name; fds: plan, 0, 1, 2,
			   sessions folder, run folder, and a file for the receipt if one is
			   wanted */
	WIRE_SIGNAL,    /* a = signal for the workload's main process */
	WIRE_STOP,      /* a = grace in ms: SIGTERM, then SIGKILL */
	/* from a keeper to whoever started it */
	WIRE_RUNNING, /* id; fd: the terminal's master side where one was made */
	WIRE_FAILED,  /* a = exit status for `cordon run` (125, 126, 127), text = why */
	WIRE_ENDED,   /* a = wait status of the workload, b = final session state, text = why */
	/* to the clerk */
	WIRE_HOLD,       /* id, a = enum wire_slot; fd: kept until DROP */
	WIRE_TAKE,       /* id: answered by one HELD per descriptor, then OK */
	WIRE_ASK,        /* id: OK with a = how many descriptors are held */
	WIRE_LOG,        /* id: HELD with the output ring, or NO */
	WIRE_OVER,       /* id: the session ended; all but the ring is dropped */
	WIRE_DROP,       /* id: everything is dropped */
	WIRE_RECORD,     /* id, a = enum wire_record: what the session's journal says goes into
			    the audit log, durably; OK with a = index of the first entry */
	WIRE_TOKEN,      /* id, text = report_data as hexadecimal digits: HELD with a sealed
			    memfd that holds the session's evidence, or NO */
	WIRE_FILTER_PUT, /* a = hash; fd: sealed memfd, runtime/clerk.h has its layout */
	WIRE_FILTER_GET, /* a = hash: HELD with the memfd, or NO */
	/* answers */
	WIRE_HELD, /* id, a = enum wire_slot; fd */
	WIRE_OK,
	WIRE_NO, /* text = why */
	WIRE_TYPES,
};

enum wire_start { WIRE_DETACHED = 1 }; /* bits of START.a */

/* which step of the session a RECORD is about */
enum wire_record {
	WIRE_RECORD_START = 1, /* it is about to run */
	WIRE_RECORD_END,       /* it ended: how, and its receipt, which is signed and kept */
	WIRE_RECORDS,
};

/* what a held descriptor is */
enum wire_slot {
	WIRE_SLOT_INIT = 1, /* pidfd of the sandbox's first process */
	WIRE_SLOT_TMPFS,    /* mount descriptor of the session's memory file system */
	WIRE_SLOT_RING,     /* memfd of a detached session's output */
	WIRE_SLOT_UIDS,     /* file whose lock reserves the session's user ids */
	WIRE_SLOT_KEYS,     /* mount descriptor of the file system with its keys */
	WIRE_SLOTS,
};

struct wire_message {
	uint32_t type;
	uint8_t id[SESSION_ID_BYTES];
	int64_t a, b;
	char text[WIRE_TEXT];
	int fds[WIRE_FDS]; /* owned by the message after wire_receive */
	size_t n_fds;
};

/* The text is escaped where it is not clean and cut where it is too long. */
void wire_encode(const struct wire_message *m, uint8_t ret[static WIRE_BYTES]);
/* Checks magic, type, that each type has the number of descriptors it may have, ranges
 * of a and b, and that the text is clean. */
__attribute__((warn_unused_result)) enum runtime_status
wire_decode(const uint8_t *buf, size_t len, size_t n_fds, struct wire_message *ret,
	    struct runtime_error *reterr);

/* Descriptors in `m` are borrowed. EAGAIN and a gone peer are RUNTIME_SYSTEM (errno says
 * which); what wire_decode would refuse is not sent. */
__attribute__((warn_unused_result)) enum runtime_status
wire_send(int sock, const struct wire_message *m, struct runtime_error *reterr);
/* *ret_closed: the peer ended; then nothing else was written. Descriptors arrive
 * CLOEXEC; on failure all that came are closed. */
__attribute__((warn_unused_result)) enum runtime_status
wire_receive(int sock, struct wire_message *ret, bool *ret_closed,
	     struct runtime_error *reterr);
void wire_close_fds(struct wire_message *m);

/* Sockets below a folder descriptor, so that long roots work; the peer must have the
 * caller's euid or be root (SO_PEERCRED), both ways; another one is RUNTIME_SYSTEM.
 * wire_listen replaces a socket that a dead process left behind. */
__attribute__((warn_unused_result)) enum runtime_status
wire_listen(int run_fd, const char *name, int *ret_sock, struct runtime_error *reterr);
/* RUNTIME_REFUSED: nobody listens there. Connecting and sending wait 10 s at most. */
__attribute__((warn_unused_result)) enum runtime_status
wire_connect(int run_fd, const char *name, int *ret_sock, struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
wire_accept(int listener, int *ret_sock, struct runtime_error *reterr);
