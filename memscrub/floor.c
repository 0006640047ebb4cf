/*
 * memscrub/floor.c - what the running kernel does with freed memory, and where else it may
 * put copies.
 *
 * No file says whether init_on_free is in force: the command line decides, else the default
 * that the kernel was built with (Documentation/admin-guide/kernel-parameters.txt).
 */
#include "memscrub/memscrub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct fact {
	const char *name, *title;
} facts[FLOOR_FACTS] = {
	[FLOOR_INIT_ON_FREE] = { "init_on_free", "memory is zeroed when it is freed" },
	[FLOOR_INIT_ON_ALLOC] = { "init_on_alloc", "memory is zeroed when it is allocated" },
	[FLOOR_SWAP] = { "swap", "memory may be written to swap" },
	[FLOOR_ZSWAP] = { "zswap", "swapped pages are kept compressed in memory" },
	[FLOOR_ZRAM] = { "zram", "compressed memory serves as a disk" },
	[FLOOR_KSM] = { "ksm", "equal pages of several processes are merged" },
	[FLOOR_THP] = { "thp", "pages are copied into huge ones, the old left behind" },
	[FLOOR_CRASH_KERNEL] = { "crash_kernel", "a crash writes memory to a file" },
	[FLOOR_HIBERNATION] = { "hibernation", "memory can be written to disk as a whole" },
	[FLOOR_CORE_PIPE] = { "core_pipe", "core dumps go to a program, whatever their limit" },
	[FLOOR_HUGETLB] = { "hugetlb", "there is a pool of huge pages, which init_on_free "
				       "does not reach" },
};

const char *scrub_floor_name(enum scrub_floor_fact f)
{
	return facts[f].name;
}

const char *scrub_floor_title(enum scrub_floor_fact f)
{
	return facts[f].title;
}

const char *scrub_answer_str(enum scrub_answer a)
{
	static const char *const words[] = { "unknown", "no", "yes" };

	return words[a];
}

/* ---- reading --------------------------------------------------------------------- */

struct source {
	const char *root;
	struct scrub_floor *floor;
	char text[8192]; /* of the last file, ends in a zero */
};

static void set(struct source *s, enum scrub_floor_fact f, enum scrub_answer a, const char *why)
{
	s->floor->facts[f].answer = a;
	snprintf(s->floor->facts[f].why, sizeof(s->floor->facts[f].why), "%s", why);
}

static int open_below(const struct source *s, const char *path)
{
	char full[PATH_MAX];

	if ((size_t)snprintf(full, sizeof(full), "%s%s", s->root, path) >= sizeof(full)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* The beginning of a file; false with errno. */
static bool load(struct source *s, const char *path)
{
	int fd = open_below(s, path), saved;
	size_t have = 0;
	ssize_t n = 0;

	s->text[0] = '\0';
	if (fd < 0)
		return false;
	while (have < sizeof(s->text) - 1 &&
	       (n = read(fd, s->text + have, sizeof(s->text) - 1 - have)) > 0)
		have += (size_t)n;
	saved = errno;
	s->text[have] = '\0';
	close(fd);
	errno = saved;
	return n >= 0;
}

/* A file that is not there means that the kernel lacks the thing, if what it lies in is
 * there at all. */
static bool load_fact(struct source *s, enum scrub_floor_fact f, const char *path)
{
	const char *anchor = strncmp(path, "/proc/", 6) == 0 ? "/proc/cmdline" : "/sys/kernel";
	char why[96];
	int fd;

	if (load(s, path))
		return true;
	snprintf(why, sizeof(why), "%s: %m", path);
	if (errno == ENOENT && (fd = open_below(s, anchor)) >= 0) {
		close(fd);
		snprintf(why, sizeof(why), "no %s", path);
		set(s, f, SCRUB_NO, why);
	} else {
		set(s, f, SCRUB_UNKNOWN, why);
	}
	return false;
}

static void set_if(struct source *s, enum scrub_floor_fact f, bool yes, const char *why)
{
	set(s, f, yes ? SCRUB_YES : SCRUB_NO, why);
}

/* ---- init_on_free, init_on_alloc -------------------------------------------------- */

/* A parameter's name as the kernel compares it; its value, or NULL. */
static const char *value_of(const char *word, const char *name)
{
	for (; *name; word++, name++)
		if (*word != *name && !(*word == '-' && *name == '_'))
			return NULL;
	if (*word != '=')
		return NULL;
	return word[1] == '"' ? word + 2 : word + 1;
}

/* kstrtobool(); anything else leaves the parameter as it was. */
static enum scrub_answer truth(const char *value, enum scrub_answer before)
{
	char first = value[0];

	if (first == 'o' || first == 'O') {
		if (value[1] == 'n' || value[1] == 'N')
			return SCRUB_YES;
		return value[1] == 'f' || value[1] == 'F' ? SCRUB_NO : before;
	}
	if (first && strchr("1yYtT", first))
		return SCRUB_YES;
	if (first && strchr("0nNfF", first))
		return SCRUB_NO;
	return before;
}

/* The last one on the command line holds. Quotes keep blanks together, "--" ends what is
 * the kernel's. */
static enum scrub_answer parameter(const char *cmdline, const char *name)
{
	enum scrub_answer a = SCRUB_UNKNOWN;
	const char *at = cmdline, *end, *value;
	bool quoted;

	for (;; at = end) {
		at += strspn(at, " \t\n");
		quoted = false;
		for (end = at; *end && (quoted || !strchr(" \t\n", *end)); end++)
			quoted ^= *end == '"';
		if (end == at || (end == at + 2 && memcmp(at, "--", 2) == 0))
			return a;
		value = value_of(*at == '"' ? at + 1 : at, name);
		if (value)
			a = truth(value, a);
	}
}

/* Whether `option`=y stands in a configuration file: unknown if it is not mentioned. */
static enum scrub_answer configured(const struct source *s, const char *path,
				    const char *option)
{
	enum scrub_answer a = SCRUB_UNKNOWN;
	size_t len = strlen(option);
	int fd = open_below(s, path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[256];

	while (f && a == SCRUB_UNKNOWN && fgets(line, sizeof(line), f)) {
		if (strncmp(line, option, len) == 0 && line[len] == '=')
			a = line[len + 1] == 'y' ? SCRUB_YES : SCRUB_NO;
		else if (strncmp(line, "# ", 2) == 0 && strncmp(line + 2, option, len) == 0 &&
			 strcmp(line + 2 + len, " is not set\n") == 0)
			a = SCRUB_NO;
	}
	if (f)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	return a;
}

/* What the kernel was built to do, from the configuration beside it. */
static void read_default(struct source *s, enum scrub_floor_fact f, const char *option,
			 const char *release)
{
	static const struct {
		const char *before, *behind;
	} places[] = { { "/boot/config-", "" }, { "/lib/modules/", "/config" } };
	char path[128], why[96];

	set(s, f, SCRUB_UNKNOWN,
	    "not on the command line, and no configuration of this kernel");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		enum scrub_answer a;

		snprintf(path, sizeof(path), "%s%s%s", places[i].before, release,
			 places[i].behind);
		a = configured(s, path, option);
		snprintf(why, sizeof(why), "default of %.78s", path);
		if (a != SCRUB_UNKNOWN) {
			set(s, f, a, why);
			return;
		}
	}
}

static void read_release(struct source *s, char ret[static 72])
{
	bool ok = load(s, "/proc/sys/kernel/osrelease");

	snprintf(ret, 72, "%.*s", (int)strcspn(s->text, "\n/"), ok ? s->text : "");
}

/* The parameters came with 5.3. */
static bool too_old(const char *release)
{
	char *dot;
	unsigned long major = strtoul(release, &dot, 10);

	return dot != release && *dot == '.' &&
	       (major < 5 || (major == 5 && strtoul(dot + 1, NULL, 10) < 3));
}

static void read_init(struct source *s, enum scrub_floor_fact f, const char *option)
{
	enum scrub_answer a;
	char release[72], why[96];

	read_release(s, release);
	if (!load(s, "/proc/cmdline")) {
		set(s, f, SCRUB_UNKNOWN, "/proc/cmdline cannot be read");
		return;
	}
	a = parameter(s->text, facts[f].name);
	if (too_old(release))
		set(s, f, SCRUB_NO, "a kernel before 5.3 does not know it");
	else if (parameter(s->text, "page_poison") == SCRUB_YES)
		set(s, f, SCRUB_NO, "page_poison on the command line switches it off");
	else if (a == SCRUB_UNKNOWN)
		read_default(s, f, option, release);
	else {
		snprintf(why, sizeof(why), "%s=%d on the command line", facts[f].name,
			 a == SCRUB_YES);
		set(s, f, a, why);
	}
}

/* ---- the others ------------------------------------------------------------------- */

static void read_swap(struct source *s)
{
	const char *line;
	char why[96];

	if (!load_fact(s, FLOOR_SWAP, "/proc/swaps"))
		return;
	line = strchr(s->text, '\n'); /* behind the title */
	line = line ? line + 1 : "";
	snprintf(why, sizeof(why), "/proc/swaps: %.*s", (int)strcspn(line, " \t\n"), line);
	set_if(s, FLOOR_SWAP, *line, *line ? why : "/proc/swaps is empty");
}

static void read_zswap(struct source *s)
{
	const char *path = "/sys/module/zswap/parameters/enabled";

	if (load_fact(s, FLOOR_ZSWAP, path))
		set_if(s, FLOOR_ZSWAP, s->text[0] != 'N' && s->text[0] != '0', path);
}

/* Any entry of the folder whose name begins with `prefix` and whose `file` holds a number
 * other than 0. */
static void read_folder(struct source *s, enum scrub_floor_fact f, const char *folder,
			const char *prefix, const char *file)
{
	int fd = open_below(s, folder);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	char path[PATH_MAX], why[96];

	if (!d) {
		if (fd >= 0)
			close(fd);
		load_fact(s, f, folder);
		return;
	}
	set(s, f, SCRUB_NO, folder);
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", folder, e->d_name, file);
		snprintf(why, sizeof(why), "%.80s", path);
		if (!load(s, path)) {
			set(s, f, SCRUB_UNKNOWN, why);
		} else if (strtoull(s->text, NULL, 10) > 0) {
			set(s, f, SCRUB_YES, why);
			break;
		}
	}
	closedir(d);
}

/* Stopped, it leaves merged what is merged. */
static void read_ksm(struct source *s)
{
	const char *run = "/sys/kernel/mm/ksm/run", *pages = "/sys/kernel/mm/ksm/pages_shared";

	if (!load_fact(s, FLOOR_KSM, run))
		return;
	if (s->text[0] == '1')
		set(s, FLOOR_KSM, SCRUB_YES, run);
	else if (load_fact(s, FLOOR_KSM, pages))
		set_if(s, FLOOR_KSM, strtoull(s->text, NULL, 10) > 0, pages);
}

static void read_thp(struct source *s)
{
	const char *path = "/sys/kernel/mm/transparent_hugepage/enabled";
	const char *word;
	char why[96];

	if (!load_fact(s, FLOOR_THP, path))
		return;
	word = strchr(s->text, '[');
	word = word ? word + 1 : "";
	snprintf(why, sizeof(why), "%s: %.*s", path, (int)strcspn(word, "]"), word);
	set_if(s, FLOOR_THP, strncmp(word, "never]", 6) != 0, why);
}

static void read_crash_kernel(struct source *s)
{
	const char *path = "/sys/kernel/kexec_crash_loaded";

	if (load_fact(s, FLOOR_CRASH_KERNEL, path))
		set_if(s, FLOOR_CRASH_KERNEL, s->text[0] != '0', path);
}

static void read_hibernation(struct source *s)
{
	const char *path = "/sys/power/state";
	bool can;

	if (!load_fact(s, FLOOR_HIBERNATION, path))
		return;
	can = strstr(s->text, "disk");
	/* nohibernate on the command line, or a kernel that is locked down */
	if (can && load(s, "/sys/power/disk"))
		can = !strstr(s->text, "[disabled]");
	set_if(s, FLOOR_HIBERNATION, can, path);
}

static void read_core_pipe(struct source *s)
{
	const char *path = "/proc/sys/kernel/core_pattern";

	if (load_fact(s, FLOOR_CORE_PIPE, path))
		set_if(s, FLOOR_CORE_PIPE, s->text[0] == '|', path);
}

void scrub_floor_read(const char *root, struct scrub_floor *ret)
{
	struct source s = { .root = root, .floor = ret };

	*ret = (struct scrub_floor){ 0 };
	read_init(&s, FLOOR_INIT_ON_FREE, "CONFIG_INIT_ON_FREE_DEFAULT_ON");
	read_init(&s, FLOOR_INIT_ON_ALLOC, "CONFIG_INIT_ON_ALLOC_DEFAULT_ON");
	read_swap(&s);
	read_zswap(&s);
	read_folder(&s, FLOOR_ZRAM, "/sys/block", "zram", "disksize");
	read_ksm(&s);
	read_thp(&s);
	read_crash_kernel(&s);
	read_hibernation(&s);
	read_core_pipe(&s);
	read_folder(&s, FLOOR_HUGETLB, "/sys/kernel/mm/hugepages", "hugepages-",
		    "nr_hugepages");
}

bool scrub_floor_kernel(const struct scrub_floor *f, char ret_why[static 256])
{
	const char *why = f->facts[FLOOR_INIT_ON_FREE].why;
	bool swap = f->facts[FLOOR_SWAP].answer != SCRUB_NO;
	bool pool = f->facts[FLOOR_HUGETLB].answer != SCRUB_NO;

	switch (f->facts[FLOOR_INIT_ON_FREE].answer) {
	case SCRUB_YES:
		snprintf(ret_why, 256, "the kernel zeroes what is freed (%s)%s%s", why,
			 swap ? "; not what was swapped" : "",
			 pool ? "; not the pool of huge pages" : "");
		return true;
	case SCRUB_NO:
		snprintf(ret_why, 256, "the kernel does not zero what is freed (%s)", why);
		return false;
	case SCRUB_UNKNOWN:
		break;
	}
	snprintf(ret_why, 256, "whether the kernel zeroes what is freed is not known (%s)",
		 why);
	return false;
}
