/*
 * memscrub/process.h - wipes the memory of another process that stands still and will never
 * run again: a tracee at its exit stop. The kernel frees that memory right afterwards.
 *
 * Private memory is zeroed and read back in place. Memory that is an object of its own
 * (memfd, MAP_SHARED|MAP_ANONYMOUS, SysV segments) outlives the process where somebody
 * holds it: a duplicate is kept and scrubbed once nobody is left.
 *
 * The caller says who else there is; nothing here knows sessions, traces or waits for
 * deaths. A process_wiper allocates nothing after process_wiper_init(): to wipe a tenant
 * that was killed for want of memory, lock it (mlockall with MCL_ONFAULT) beforehand.
 * One thread per wiper.
 *
 * Out of reach: memory that was freed, unmapped or replaced by an execve before; objects
 * whose descriptors are on their way through a socket when their last process ends, or were
 * closed by a live one that had neither a mapping left; memory that KSM merged.
 */
#pragma once

#include "memscrub/maps.h"
#include "memscrub/memscrub.h"

#include <sys/uio.h>

/* ---- objects that processes share ------------------------------------------------- */

#define SHARED_OBJECTS 256
#define SHARED_DEVICES 8
#define SHARED_MOUNTS 16
#define SHARED_OWN 8
#define SHARED_OWED 64

/* A SysV segment has its id for an inode number, on the mount on which memfds count theirs:
 * the number alone could be either's, and an id comes round again. */
struct shared_key {
	dev_t dev;
	ino_t inode;
	bool sysv;
	uint64_t born; /* a segment's birth, where it is open and the kernel knows */
};

/* Duplicates of the objects that a session's processes held when they ended. */
struct shared_set {
	dev_t devices[SHARED_DEVICES]; /* the kernel's own mounts, where such objects live */
	dev_t mounts[SHARED_MOUNTS];   /* the session's own, for files that have no name */
	struct shared_key own[SHARED_OWN]; /* not the session's: never touched */
	struct shared_key keys[SHARED_OBJECTS];
	int fds[SHARED_OBJECTS];
	struct {
		struct shared_key key;
		uint64_t bytes;
	} owed[SHARED_OWED]; /* left to another process, and not met again yet */
	size_t n_devices, n_mounts, n_own, n, n_owed;
	uint64_t lost; /* bytes that could not be taken hold of */
	struct memscrub_error why;
};

__attribute__((warn_unused_result)) enum memscrub_status
shared_init(struct shared_set *s, struct memscrub_error *reterr);
/* The object behind `fd` was there before the session (a memfd as standard output): hands
 * off. False when there is no room for more. */
__attribute__((warn_unused_result)) bool shared_spare(struct shared_set *s, int fd);
/* A memory file system of the session's own, which somebody else scrubs by its names. False
 * when there is no room for more. */
__attribute__((warn_unused_result)) bool shared_mount(struct shared_set *s, int fd);
/* Takes hold of what the task's descriptors show of such objects. The task stands still;
 * others may have the same table of descriptors and run. */
void shared_take_fds(struct shared_set *s, pid_t tid);
/* Once no process is left: zeroes, reads back and closes everything that is held. *add is
 * complete whatever the status; reterr names the first finding. */
__attribute__((warn_unused_result)) enum memscrub_status
shared_scrub(struct shared_set *s, struct scrub_result *add, struct memscrub_error *reterr);
/* Closes what is held, unwiped. */
void shared_drop(struct shared_set *s);

/*
 * Zeroes and reads back every SysV segment of the ipc namespace `ns` (/proc/PID/ns/ipc,
 * opened while a process lived in it), in a child process that enters it.
 */
__attribute__((warn_unused_result)) enum memscrub_status
shared_scrub_sysv(int ns, struct scrub_result *add, struct memscrub_error *reterr);

/* ---- a process at its end --------------------------------------------------------- */

/* The other processes of the session. */
struct process_peers {
	const pid_t *live; /* one task for each address space that is still in use */
	size_t n_live;
	const pid_t *leaving; /* told to go on from their exit stop, not reaped yet */
	size_t n_leaving;
	bool copied; /* this one forked, or was: some of its pages were others' too */
};

/* Sums over all that a wiper was given. */
struct process_result {
	struct scrub_result private_memory;
	struct scrub_result shared; /* objects that could only be wiped in place */
	uint64_t left;              /* bytes of pages that a live process still has */
};

#define WIPER_BATCH 64 /* pages zeroed, then read back, at once */
#define WIPER_WINDOW 512

/* Pages of one kind that are wiped together. */
struct wiper_batch {
	bool force; /* not writable for the process itself */
	bool shared;
	bool residue; /* some of it did not read back as zero */
	size_t n, pages;
	struct iovec ranges[WIPER_BATCH];
	uint64_t before[WIPER_BATCH]; /* pagemap's entries, page by page */
	bool bad[WIPER_BATCH];
};

struct wiper_region { /* struct page_region of linux/fs.h */
	uint64_t start, end, categories;
};

struct process_wiper {
	bool scan;   /* PAGEMAP_SCAN is there */
	bool frames; /* pagemap shows page frame numbers */
	/* of the process that is being wiped */
	pid_t pid;
	const struct process_peers *peers;
	struct shared_set *set;
	struct process_result *result;
	struct memscrub_error *error;
	int pagemap, mem;
	bool failed, unsettled;
	uint64_t budget; /* bytes of absent shared pages that may still be touched */
	uint64_t walked; /* bytes of shared mappings gone through when that was used up */
	struct maps maps, peer_maps;
	struct wiper_batch usual, forced, shared;
	struct wiper_region regions[64];
	uint64_t entries[WIPER_WINDOW], after[WIPER_BATCH];
	uint8_t readback[WIPER_BATCH * 4096];
};

void process_wiper_init(struct process_wiper *w);

/*
 * Wipes what `pid`, the last user of its address space, has for itself, and takes hold of
 * the objects that it maps (into `set`; NULL leaves shared mappings alone). A page that a
 * live peer also maps is left to that one's end. *add is complete whatever the status:
 * MEMSCRUB_OK when nothing in it failed; reterr names the first finding.
 */
__attribute__((warn_unused_result)) enum memscrub_status
process_wipe(struct process_wiper *w, pid_t pid, const struct process_peers *peers,
	     struct shared_set *set, struct process_result *add, struct memscrub_error *reterr);
