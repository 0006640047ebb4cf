/*
 * memscrub/memscrub.h - zero memory, read it back, and say what that was worth.
 *
 * Everything here is synchronous and knows nothing of sessions, tenants or logs. Sizes are
 * bytes. "Verified" means: after the last fence this CPU read zero for every byte, through
 * the mapping or descriptor named. Thread-safe unless said otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum memscrub_status {
	MEMSCRUB_OK = 0,
	MEMSCRUB_RESIDUE, /* some bytes could not be zeroed, or did not read back as zero */
	MEMSCRUB_REFUSED, /* nothing that can be scrubbed here, a file on disk; not touched */
	MEMSCRUB_SYSTEM,  /* could not tell */
};

/* Exit status of a program: 0, 1, 1, 3. */
int memscrub_exit(enum memscrub_status s);

struct memscrub_error {
	char what[256];  /* one line */
	char where[160]; /* file, place, offset; may be empty */
	char hint[160];  /* what to do; may be empty */
};

/* Fills `e` (NULL is allowed) and returns `s`; errno stays as it was. */
__attribute__((format(printf, 5, 6))) enum memscrub_status
memscrub_fail(struct memscrub_error *e, enum memscrub_status s, const char *where,
	      const char *hint, const char *what, ...);
/* The status as a value that compilers and analyzers see at the call. */
#define memscrub_fail(e, s, ...)                                                               \
	({                                                                                     \
		(void)(memscrub_fail)(e, s, __VA_ARGS__);                                      \
		(s);                                                                           \
	})
/* "PROGRAM: WHERE: WHAT; HINT" as one line, control bytes replaced. */
void memscrub_error_print(FILE *to, const char *program, const struct memscrub_error *e);

/* ---- one range of this process's memory ------------------------------------------ */

/* Returns behind the fence: every byte is zero for every CPU. No compiler removes it. */
void scrub_zero(void *p, size_t n);

/* Reads every byte, in address order. On false *ret_first_bad (NULL is allowed) is the
 * offset of the first byte that is not zero. */
__attribute__((warn_unused_result)) bool scrub_is_zero(const void *p, size_t n,
						       size_t *ret_first_bad);

/* How large ranges are zeroed here: "avx512-nt", "avx-nt", "clzero", "sse2-nt", "memset". */
const char *scrub_method(void);

/* ---- memory that is a file ------------------------------------------------------- */

/* What was done to one place; scrubs of several parts add up in one. */
struct scrub_result {
	uint64_t bytes;  /* zeroed and read back as zero */
	uint64_t failed; /* could not be zeroed, or read back otherwise; 1 for an entry of
			    unknown size that could not be reached */
	uint64_t ns;     /* the time it took */
	uint64_t parts;  /* extents, files or mappings seen */
};

/*
 * Zeroes and reads back what the file `fd` holds: a memfd, a SysV segment, a file on tmpfs,
 * ramfs or hugetlbfs; anything else is MEMSCRUB_REFUSED. Swapped pages are read in first.
 * Holes stay holes, the size stays, the last page is zeroed to its end. At the end the
 * file's data is looked up afresh: what was not seen before has failed. A descriptor that
 * cannot write is reopened through /proc where that is allowed.
 *
 * *add counts in whole pages, also when the status is not MEMSCRUB_OK; what a sealed file,
 * a poisoned frame or a file cut short meanwhile kept from us is `failed`, and reterr says
 * why (the first finding of several). Pages that a truncation had freed before are gone,
 * unwiped and unseen.
 *
 * The descriptor's offset moves. Not to be run while another part of the process sets its
 * own SIGBUS handler: for the time of the call ours stands there, and SIGBUS is let through
 * to the calling thread. Any number of threads may be inside; a SIGBUS of any other goes to
 * the handler that was there before.
 */
__attribute__((warn_unused_result)) enum memscrub_status
scrub_file(int fd, struct scrub_result *add, struct memscrub_error *reterr);

/*
 * scrub_file for every regular file at and below the folder `dirfd` (O_PATH will do) of a
 * tmpfs, ramfs or hugetlbfs. Nobody else may use the tree meanwhile. Modes that are in the
 * way are changed; symbolic links are not followed, mounts inside are not entered. A file
 * with several names is scrubbed once for each. An entry that could not be reached, and a
 * name that another mount covers, is `failed`. Names, targets of symbolic links and attributes are the
 * kernel's own memory, out of reach.
 */
__attribute__((warn_unused_result)) enum memscrub_status
scrub_tree(int dirfd, struct scrub_result *add, struct memscrub_error *reterr);

/* ---- what the kernel does by itself ---------------------------------------------- */

enum scrub_floor_fact {
	FLOOR_INIT_ON_FREE, /* pages and slab objects are zeroed when they are freed */
	FLOOR_INIT_ON_ALLOC,
	FLOOR_SWAP, /* from here on "yes" is bad: other copies of memory can come to be */
	FLOOR_ZSWAP,
	FLOOR_ZRAM,
	FLOOR_KSM,
	FLOOR_THP,
	FLOOR_CRASH_KERNEL,
	FLOOR_HIBERNATION,
	FLOOR_CORE_PIPE,
	FLOOR_HUGETLB, /* init_on_free does not reach this pool */
	FLOOR_FACTS,
};

enum scrub_answer { SCRUB_UNKNOWN = 0, SCRUB_NO, SCRUB_YES };

struct scrub_floor {
	struct {
		enum scrub_answer answer;
		char why[96]; /* where it was seen, or why it is not known */
	} facts[FLOOR_FACTS];
};

/* Reads `root`/proc, /sys, /boot and /lib/modules; "" is this machine. What cannot be read
 * is unknown. */
void scrub_floor_read(const char *root, struct scrub_floor *ret);
/* Whether freed memory is zeroed by the kernel on this boot, with the reason as one line.
 * Unknown is no. */
bool scrub_floor_kernel(const struct scrub_floor *f, char ret_why[static 256]);
const char *scrub_floor_name(enum scrub_floor_fact f);  /* stable: "init_on_free" */
const char *scrub_floor_title(enum scrub_floor_fact f); /* for people */
const char *scrub_answer_str(enum scrub_answer a);      /* "unknown", "no", "yes" */

/* ---- free memory ----------------------------------------------------------------- */

/* 0 is no limit. */
struct scrub_sweep_limits {
	uint64_t bytes;
	uint64_t ns;
	uint64_t bytes_per_second;
	unsigned percent; /* of the free memory */
};

enum scrub_sweep_end {
	SWEEP_FLOOR = 0, /* no more can be had without harm to others */
	SWEEP_LIMIT,     /* one of the limits */
	SWEEP_REFUSED,   /* the kernel gave no more, or killed the sweeper to get it back */
};

struct scrub_sweep_result {
	uint64_t bytes;       /* had by the sweeper, zeroed and read back */
	uint64_t free_before; /* MemFree at the start */
	uint64_t ns;
	unsigned percent; /* of all that was free, rounded down */
	enum scrub_sweep_end end;
};

/*
 * Allocates free memory in a child process and touches every page: the kernel zeroes a page
 * before it gives it to a process, and the child reads it back. It stops at twice the
 * zones' low-water marks or 64 MiB, whichever is more, waits while others are short of
 * memory, and is the first that the kernel kills. It ends with the thread that called.
 *
 * Memory of all nodes is had: an exhausted node falls over to the next. Out of reach are
 * the reserves below the marks and pages on other CPUs' lists, so `percent` is hardly ever
 * 100.
 */
__attribute__((warn_unused_result)) enum memscrub_status
scrub_sweep(const struct scrub_sweep_limits *limits, struct scrub_sweep_result *ret,
	    struct memscrub_error *reterr);
