/* memscrub/process.c - a process's mappings, page by page, at the moment of its end. */
#include "memscrub/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "memscrub/shared.h"

#define PAGE 4096u

/* linux/fs.h of 6.7; the headers at hand may be older. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE (1u << 2)
#define SCAN_PRESENT (1u << 3)
#define SCAN_SWAPPED (1u << 4)
#define SCAN_PFNZERO (1u << 5)

/* Documentation/admin-guide/mm/pagemap.rst */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_FILE (UINT64_C(1) << 61)
#define ENTRY_GUARD (UINT64_C(1) << 58)
#define ENTRY_EXCLUSIVE (UINT64_C(1) << 56)
#define ENTRY_FRAME ((UINT64_C(1) << 55) - 1)

/* How long a process that went before may take to give its memory back. */
#define SETTLE_MS 1000
/* Shared memory that a process mapped and never touched may hold what others wrote there.
 * Touching it allocates what is a hole, so there is an end to it. */
#define ABSENT_BUDGET (64u << 20)
/* Beyond it only what is there is wiped, and not for ever: a mapping costs a tenant nothing. */
#define WALK_BUDGET (UINT64_C(16) << 30)

static const uint8_t zeros[4 * PAGE];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- findings -------------------------------------------------------------------- */

static void failed(struct process_wiper *w, struct scrub_result *r, uint64_t at, uint64_t bytes,
		   const char *what)
{
	char where[64];

	r->failed += bytes;
	if (w->failed)
		return;
	w->failed = true;
	snprintf(where, sizeof(where), "process %d, %#llx", w->pid, (unsigned long long)at);
	(void)memscrub_fail(w->error, MEMSCRUB_RESIDUE, where, "", "%s", what);
}

static struct scrub_result *result_of(struct process_wiper *w, const struct wiper_batch *b)
{
	return b->shared ? &w->result->shared : &w->result->private_memory;
}

/* ---- a batch of pages ------------------------------------------------------------ */

/* The page's number within the batch stands for its place in `readback` too. */
typedef void page_fn(struct process_wiper *w, struct wiper_batch *b, size_t i, uint64_t at);

static void each_page(struct process_wiper *w, struct wiper_batch *b, page_fn *fn)
{
	size_t i = 0;

	for (size_t r = 0; r < b->n; r++)
		for (size_t off = 0; off < b->ranges[r].iov_len; off += PAGE)
			fn(w, b, i++, (uint64_t)(uintptr_t)b->ranges[r].iov_base + off);
}

/* Through /proc/PID/mem the kernel lets a tracer write what the process may only read. */
static void write_page(struct process_wiper *w, struct wiper_batch *b, size_t i, uint64_t at)
{
	b->bad[i] = pwrite(w->mem, zeros, PAGE, (off_t)at) != PAGE;
}

static void read_page(struct process_wiper *w, struct wiper_batch *b, size_t i, uint64_t at)
{
	if (pread(w->mem, w->readback + i * PAGE, PAGE, (off_t)at) != PAGE)
		b->bad[i] = true;
}

static void overwrite(struct process_wiper *w, struct wiper_batch *b)
{
	struct iovec from[WIPER_BATCH * PAGE / sizeof(zeros)];
	size_t left = b->pages * PAGE, n = 0;

	for (; left > 0; n++) {
		from[n].iov_base = (void *)(uintptr_t)zeros;
		from[n].iov_len = left < sizeof(zeros) ? left : sizeof(zeros);
		left -= from[n].iov_len;
	}
	if (!b->force && process_vm_writev(w->pid, from, n, b->ranges, b->n, 0) ==
				 (ssize_t)(b->pages * PAGE))
		memset(b->bad, 0, sizeof(b->bad));
	else
		each_page(w, b, write_page);
}

static void read_back(struct process_wiper *w, struct wiper_batch *b)
{
	struct iovec to = { .iov_base = w->readback, .iov_len = b->pages * PAGE };

	if (b->force ||
	    process_vm_readv(w->pid, &to, 1, b->ranges, b->n, 0) != (ssize_t)(b->pages * PAGE))
		each_page(w, b, read_page);
}

/* A changed frame is a copy: what the old one held is still there, out of our reach. */
static bool same_frame(const struct process_wiper *w, uint64_t before, uint64_t after)
{
	struct sysinfo s;

	if (before & ENTRY_SWAPPED) /* without swap it was only being moved */
		return sysinfo(&s) == 0 && s.totalswap == 0;
	return !w->frames || ((before ^ after) & (ENTRY_PRESENT | ENTRY_FRAME)) == 0;
}

static void look_up(struct process_wiper *w, const struct wiper_batch *b)
{
	size_t i = 0;

	for (size_t r = 0; r < b->n; r++) {
		size_t n = b->ranges[r].iov_len / PAGE;
		uint64_t at = (uint64_t)(uintptr_t)b->ranges[r].iov_base / PAGE;

		if (pread(w->pagemap, w->after + i, n * 8, (off_t)(at * 8)) != (ssize_t)(n * 8))
			memset(w->after + i, 0, n * 8);
		i += n;
	}
}

static void judge(struct process_wiper *w, struct wiper_batch *b, size_t i, uint64_t at)
{
	struct scrub_result *r = result_of(w, b);

	if (b->bad[i])
		failed(w, r, at, PAGE, "a page could not be written or read");
	else if (b->residue && !scrub_is_zero(w->readback + i * PAGE, PAGE, NULL))
		failed(w, r, at, PAGE, "a page did not read back as zero");
	else if (!b->shared && !same_frame(w, b->before[i], w->after[i]))
		failed(w, r, at, PAGE,
		       b->before[i] & ENTRY_SWAPPED
			       ? "a page had been swapped out: the device keeps its bytes"
			       : "the kernel copied a page when it was written: the old one "
				 "keeps "
				 "its bytes");
	else
		r->bytes += PAGE;
}

static void flush(struct process_wiper *w, struct wiper_batch *b)
{
	if (b->pages == 0)
		return;
	/* Twice: the kernel may mark the futexes of a thread that is on its way out. */
	for (int i = 0; i < 2; i++) {
		overwrite(w, b);
		read_back(w, b);
		b->residue = !scrub_is_zero(w->readback, b->pages * PAGE, NULL);
		if (!b->residue)
			break;
	}
	if (w->frames)
		look_up(w, b);
	each_page(w, b, judge);
	b->n = b->pages = 0;
}

static void add_page(struct process_wiper *w, struct wiper_batch *b, uint64_t at,
		     uint64_t entry)
{
	struct iovec *last = b->n ? &b->ranges[b->n - 1] : NULL;

	if (last && (uint64_t)(uintptr_t)last->iov_base + last->iov_len == at) {
		last->iov_len += PAGE;
	} else {
		b->ranges[b->n].iov_base = (void *)(uintptr_t)at;
		b->ranges[b->n++].iov_len = PAGE;
	}
	b->before[b->pages++] = entry;
	if (b->pages == WIPER_BATCH)
		flush(w, b);
}

/* ---- private pages --------------------------------------------------------------- */

/* A zombie has given its memory back; so has one that is not there. */
static bool gone(pid_t pid)
{
	char path[32], text[512];
	const char *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return n < 0 && errno == ESRCH;
	text[n] = '\0';
	end = strrchr(text, ')');
	return end && end[1] == ' ' && (end[2] == 'Z' || end[2] == 'X');
}

/*
 * A process that was told to go on has its pages a moment longer: two that end together
 * must not each take the other for the one who keeps a page. And a page that only this one
 * maps is copied all the same when it is written while a reference is left: the other's,
 * or that of a CPU's list of pages on their way to the LRU. Migration empties those lists.
 */
static void settle(struct process_wiper *w)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 };
	uint64_t end = now_ns() + SETTLE_MS * 1000000ull;
	void *page = w->readback;
	int node = 0, status;

	for (size_t i = 0; i < w->peers->n_leaving; i++) {
		while (!gone(w->peers->leaving[i]) && now_ns() < end)
			nanosleep(&pause, NULL);
		w->unsettled |= !gone(w->peers->leaving[i]);
	}
	(void)syscall(SYS_move_pages, 0, 1, &page, &node, &status, 0);
}

/* Mapped elsewhere too: writing would only copy it. */
static void not_ours_alone(struct process_wiper *w, uint64_t at)
{
	struct scrub_result *r = &w->result->private_memory;

	if (w->unsettled)
		failed(w, r, at, PAGE, "a process that ended does not give its memory back");
	else if (w->peers->n_live > 0)
		w->result->left += PAGE;
	/* The kernel's page of zeroes is everybody's. */
	else if (pread(w->mem, w->readback, PAGE, (off_t)at) != PAGE ||
		 !scrub_is_zero(w->readback, PAGE, NULL))
		failed(w, r, at, PAGE, "a page is mapped by a process outside the session");
}

static void add_private(struct process_wiper *w, struct wiper_batch *b, uint64_t base, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t e = w->entries[i], at = base + i * PAGE;

		if (!(e & (ENTRY_PRESENT | ENTRY_SWAPPED)) || (e & (ENTRY_FILE | ENTRY_GUARD)))
			continue;
		if ((e & ENTRY_PRESENT) && !(e & ENTRY_EXCLUSIVE)) {
			not_ours_alone(w, at);
			continue;
		}
		add_page(w, b, at, e);
	}
}

static bool read_entries(struct process_wiper *w, uint64_t at, size_t n)
{
	return pread(w->pagemap, w->entries, n * 8, (off_t)(at / PAGE * 8)) == (ssize_t)(n * 8);
}

static void private_pages(struct process_wiper *w, const struct mapping *m, uint64_t from,
			  uint64_t to)
{
	struct wiper_batch *b = m->write ? &w->usual : &w->forced;
	size_t n;

	for (; from < to; from += n * PAGE) {
		n = (to - from) / PAGE < WIPER_WINDOW ? (size_t)((to - from) / PAGE)
						      : WIPER_WINDOW;
		if (!read_entries(w, from, n))
			failed(w, &w->result->private_memory, from, n * PAGE,
			       "pagemap cannot be read");
		else
			add_private(w, b, from, n);
	}
}

/* The populated parts of [from, to) in w->regions, and how far that reached; false where
 * the kernel cannot say. */
static bool scan(struct process_wiper *w, uint64_t *from, uint64_t to, size_t *ret_n)
{
	struct scan_arg a = {
		.size = sizeof(a),
		.start = *from,
		.end = to,
		.vec = (uint64_t)(uintptr_t)w->regions,
		.vec_len = sizeof(w->regions) / sizeof(w->regions[0]),
		.category_inverted = SCAN_FILE | SCAN_PFNZERO,
		.category_mask = SCAN_FILE | SCAN_PFNZERO,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT | SCAN_SWAPPED,
	};
	int n = ioctl(w->pagemap, SCAN_IOCTL, &a);

	if (n < 0 || a.walk_end <= *from)
		return false;
	*from = a.walk_end;
	*ret_n = (size_t)n;
	return true;
}

static void private_mapping(struct process_wiper *w, const struct mapping *m)
{
	uint64_t from = m->start;
	size_t n;

	while (w->scan && from < m->end && scan(w, &from, m->end, &n))
		for (size_t i = 0; i < n; i++)
			private_pages(w, m, w->regions[i].start, w->regions[i].end);
	if (from < m->end)
		private_pages(w, m, from, m->end);
}

/* ---- shared objects -------------------------------------------------------------- */

/* Does another process map it? Where that cannot be seen, it may. */
static bool mapped_elsewhere(struct process_wiper *w, const struct mapping *m)
{
	struct mapping other;

	for (size_t i = 0; i < w->peers->n_live; i++) {
		bool found = false;

		if (!maps_open(&w->peer_maps, w->peers->live[i])) {
			if (gone(w->peers->live[i]))
				continue;
			return true;
		}
		while (!found && maps_next(&w->peer_maps, &other))
			found = shared_same_object(&other, m);
		maps_close(&w->peer_maps);
		if (found || w->peer_maps.bad)
			return true;
	}
	return false;
}

static void shared_window(struct process_wiper *w, const struct mapping *m, uint64_t at,
			  size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool there = w->entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED);

		if (!there && w->budget < PAGE) {
			failed(w, &w->result->shared, at + i * PAGE, PAGE,
			       "too much of a shared mapping was not touched by its last user");
			continue;
		}
		w->budget -= there ? 0 : PAGE;
		add_page(w, &w->shared, at + i * PAGE, w->entries[i]);
	}
	w->shared.force = !m->write;
	flush(w, &w->shared);
}

/* Without a descriptor: through the mapping, when no other process can still want it. */
static void in_place(struct process_wiper *w, const struct mapping *m)
{
	uint64_t size = m->end - m->start;
	size_t n;

	if (shared_is_held(w->set, m))
		return;
	if (mapped_elsewhere(w, m)) {
		shared_owe(w->set, m);
		return;
	}
	if (!m->shared) {
		failed(w, &w->result->shared, m->start, size,
		       "an object was mapped privately, its descriptors closed");
		return;
	}
	for (uint64_t at = m->start; at < m->end; at += n * PAGE) {
		n = (m->end - at) / PAGE < WIPER_BATCH ? (size_t)((m->end - at) / PAGE)
						       : WIPER_BATCH;
		w->walked += w->budget < PAGE ? n * PAGE : 0;
		if (w->walked > WALK_BUDGET) {
			failed(w, &w->result->shared, at, m->end - at,
			       "shared mappings are too large to go through");
			break;
		}
		if (read_entries(w, at, n))
			shared_window(w, m, at, n);
		else
			failed(w, &w->result->shared, at, n * PAGE, "pagemap cannot be read");
	}
	w->result->shared.parts++;
	shared_settled(w->set, m);
}

static void object_mapping(struct process_wiper *w, const struct mapping *m)
{
	if (!shared_take_mapping(w->set, w->pid, m))
		in_place(w, m);
}

/* ---- the whole ------------------------------------------------------------------- */

/* Not memory of the process's own. [vdso] can be: it may be made writable, and is then copied
 * page by page. */
static bool kernels_own(const struct mapping *m)
{
	static const char *const names[] = { "[vvar]", "[vvar_vclock]", "[vsyscall]",
					     "[uprobes]" };

	for (size_t i = 0; m->inode == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(m->name, names[i]) == 0)
			return true;
	return false;
}

/* MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB: the pages are private, the object holds none. */
static bool private_huge(const struct mapping *m)
{
	return !m->shared && strcmp(m->name, "/anon_hugepage (deleted)") == 0;
}

static void mapping(struct process_wiper *w, const struct mapping *m)
{
	uint64_t before = w->result->private_memory.bytes;

	if (kernels_own(m))
		return;
	if (w->set && shared_lives_on(w->set, m->dev) && !private_huge(m))
		object_mapping(w, m);
	else if (w->set && shared_is_nameless(w->set, m) &&
		 !shared_take_mapping(w->set, w->pid, m))
		shared_lose(
			w->set, m->end - m->start,
			"a removed file of the session that is only mapped cannot be opened");
	if (m->shared)
		return;
	private_mapping(w, m);
	w->result->private_memory.parts += w->result->private_memory.bytes != before;
}

static bool attach(struct process_wiper *w)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", w->pid);
	w->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/mem", w->pid);
	w->mem = open(path, O_RDWR | O_CLOEXEC);
	return maps_open(&w->maps, w->pid) && w->pagemap >= 0 && w->mem >= 0;
}

static void detach(struct process_wiper *w)
{
	maps_close(&w->maps);
	if (w->pagemap >= 0)
		close(w->pagemap);
	if (w->mem >= 0)
		close(w->mem);
}

static void wipe_all(struct process_wiper *w)
{
	struct mapping m;

	while (maps_next(&w->maps, &m))
		mapping(w, &m);
	flush(w, &w->usual);
	flush(w, &w->forced);
}

enum memscrub_status process_wipe(struct process_wiper *w, pid_t pid,
				  const struct process_peers *peers, struct shared_set *set,
				  struct process_result *add, struct memscrub_error *reterr)
{
	enum memscrub_status s = MEMSCRUB_OK;
	uint64_t begun = now_ns();

	w->pid = pid;
	w->peers = peers;
	w->set = set;
	w->result = add;
	w->error = reterr;
	w->failed = w->unsettled = false;
	w->budget = ABSENT_BUDGET;
	w->walked = 0;
	if (peers->copied)
		settle(w);
	if (set)
		shared_take_program(set, pid);
	if (attach(w))
		wipe_all(w);
	else
		s = memscrub_fail(reterr, MEMSCRUB_SYSTEM, "process", "",
				  "cannot open the memory of process %d: %s", pid,
				  strerror(errno));
	if (s == MEMSCRUB_OK && w->maps.bad)
		s = memscrub_fail(reterr, MEMSCRUB_SYSTEM, "process", "",
				  "cannot read the mappings of process %d", pid);
	if (s == MEMSCRUB_OK && w->failed)
		s = MEMSCRUB_RESIDUE;
	if (s == MEMSCRUB_SYSTEM) /* of unknown size */
		add->private_memory.failed++;
	detach(w);
	add->private_memory.ns += now_ns() - begun;
	return s;
}

void process_wiper_init(struct process_wiper *w)
{
	static uint8_t page[PAGE] __attribute__((aligned(PAGE))) = { 1 };
	uint64_t entry = 0, from = (uint64_t)(uintptr_t)page;
	size_t n;

	memset(w, 0, sizeof(*w));
	w->forced.force = true;
	w->shared.shared = true;
	page[0] = 0; /* there, and not a file's any more */
	w->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (w->pagemap < 0)
		return;
	w->frames = pread(w->pagemap, &entry, 8, (off_t)(from / PAGE * 8)) == 8 &&
		    (entry & ENTRY_FRAME) != 0;
	w->scan = scan(w, &from, from + PAGE, &n) && n == 1;
	close(w->pagemap);
}
