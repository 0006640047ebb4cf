/* runtime/observe.c - see observe.h. */
#include "runtime/observe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/clerk.h"

/* ---- facts to state -------------------------------------------------------------- */

#define BIT(x) (1u << (x))
#define ANY (~0u)
#define READABLE (BIT(OBSERVE_WHOLE) | BIT(OBSERVE_TORN))
#define ENDED (BIT(SESSION_CLEAN) | BIT(SESSION_QUARANTINED) | BIT(SESSION_LOST))
#define THIS_BOOT BIT(true)
#define OLD_BOOT BIT(false)

/* The first rule that fits is the answer. Every set has a bit per value that fits. */
static const struct rule {
	unsigned journal, states, boot, keeper, held;
	enum session_state shown;   /* SESSION_STATES: as journalled */
	const char *before, *after; /* the note; the journalled state stands between */
} rules[] = {
	/* clang-format off */
	{ BIT(OBSERVE_BAD), ANY, ANY, ANY, ANY, SESSION_LOST,
	  "its journal cannot be read and is left as it is", NULL },
	{ BIT(OBSERVE_UNBORN), ANY, ANY, ANY, ANY, SESSION_NONE,
	  "nothing was held yet; `cordon recover` removes it", NULL },
	{ READABLE, ENDED, ANY, ANY, ANY, SESSION_STATES,
	  "", NULL },
	{ READABLE, ANY, OLD_BOOT, ANY, ANY, SESSION_LOST,
	  "the host was restarted while it was ", "; `cordon recover` closes it" },
	{ READABLE, ANY, THIS_BOOT, BIT(OBSERVE_KEEPER_ALIVE), ANY, SESSION_STATES,
	  "", NULL },
	{ READABLE, ANY, THIS_BOOT, BIT(OBSERVE_KEEPER_UNKNOWN), ANY, SESSION_STATES,
	  "could not tell whether its keeper lives", NULL },
	{ READABLE, BIT(SESSION_NONE), THIS_BOOT, ANY, ANY, SESSION_STOPPING,
	  "keeper died first; nothing of the tenant ran; `cordon recover` cleans up", NULL },
	{ READABLE, ANY, THIS_BOOT, ANY, BIT(OBSERVE_HELD_SOME), SESSION_STOPPING,
	  "keeper died while ", "; the kernel killed the workload; `cordon recover` cleans up" },
	{ READABLE, ANY, THIS_BOOT, ANY, BIT(OBSERVE_HELD_UNKNOWN), SESSION_STOPPING,
	  "keeper died while ", "; the clerk does not say what it holds" },
	{ READABLE, ANY, THIS_BOOT, ANY, BIT(OBSERVE_HELD_NONE), SESSION_LOST,
	  "keeper died while ", " and the holder died too; `cordon recover` closes it" },
	/* clang-format on */
};

enum session_state observe_judge(const struct observe_facts *f,
				 char ret_note[static OBSERVE_NOTE])
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		const struct rule *r = &rules[i];

		if (!(r->journal & BIT(f->journal)) || !(r->states & BIT(f->state)) ||
		    !(r->boot & BIT(f->same_boot)) || !(r->keeper & BIT(f->keeper)) ||
		    !(r->held & BIT(f->held)))
			continue;
		snprintf(ret_note, OBSERVE_NOTE, "%s%s%s", r->before,
			 r->after ? session_state_str(f->state) : "", r->after ? r->after : "");
		return r->shown == SESSION_STATES ? f->state : r->shown;
	}
	/* The table is total, and a test walks it; an answer for what is not: the worst. */
	snprintf(ret_note, OBSERVE_NOTE, "its facts fit no rule");
	return SESSION_LOST;
}

bool observe_ended(const struct observed *o)
{
	return o->facts.journal <= OBSERVE_TORN && session_final(o->facts.state);
}

/* ---- looking --------------------------------------------------------------------- */

void observe_open(const struct paths *p, struct observer *ret)
{
	enum runtime_status s = RUNTIME_REFUSED;

	*ret = (struct observer){ .paths = p, .clerk = -1, .without = OBSERVE_HELD_NONE };
	if (p->run_fd >= 0)
		s = clerk_connect(p, NULL, &ret->clerk, NULL);
	if (s == RUNTIME_OK)
		return;
	ret->clerk = -1;
	ret->without = s == RUNTIME_REFUSED ? OBSERVE_HELD_NONE : OBSERVE_HELD_UNKNOWN;
}

void observe_close(struct observer *ob)
{
	closep(&ob->clerk);
	ob->clerk = -1;
}

int observe_keeper_open(const struct journal_begin *b)
{
	AUTO(closep) int fd = process_open(b->keeper, b->keeper_start);
	struct pollfd exited = { .fd = fd, .events = POLLIN };
	int ret = fd;

	if (fd < 0)
		return -1;
	/* A process that ended and was not waited for still has its number. */
	if (poll(&exited, 1, 0) != 0) {
		errno = ESRCH;
		return -1;
	}
	fd = -1;
	return ret;
}

static enum observe_keeper look_for_keeper(const struct journal_begin *b)
{
	AUTO(closep) int fd = observe_keeper_open(b);

	if (fd >= 0)
		return OBSERVE_KEEPER_ALIVE;
	return errno == ESRCH ? OBSERVE_KEEPER_GONE : OBSERVE_KEEPER_UNKNOWN;
}

static enum observe_held ask_clerk(const struct observer *ob, struct observed *o)
{
	if (ob->clerk < 0)
		return ob->without;
	if (clerk_ask(ob->clerk, o->id, &o->held, &o->error) != RUNTIME_OK)
		return OBSERVE_HELD_UNKNOWN;
	return o->held ? OBSERVE_HELD_SOME : OBSERVE_HELD_NONE;
}

static void file_name(const struct observed *o, char ret[static SESSION_ID_HEX + 8])
{
	memcpy(ret, o->hex, SESSION_ID_HEX - 1);
	memcpy(ret + SESSION_ID_HEX - 1, ".journal", 9);
}

/* Not one byte was written: the journal was allocated, or not even that. */
static bool unborn(const struct paths *p, const struct observed *o)
{
	uint8_t bytes[JOURNAL_BYTES + 1];
	char name[SESSION_ID_HEX + 8];
	AUTO(closep) int fd = -1;
	ssize_t n;

	file_name(o, name);
	fd = openat(p->sessions_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	n = fd >= 0 ? pread(fd, bytes, sizeof(bytes), 0) : -1;
	for (ssize_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return n >= 0 && n <= (ssize_t)JOURNAL_BYTES;
}

/* Removed since its name was read: by a recovery, or by a keeper that could not make it. */
static bool removed(const struct paths *p, const struct observed *o)
{
	char name[SESSION_ID_HEX + 8];

	file_name(o, name);
	return faccessat(p->sessions_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
	       errno == ENOENT;
}

/* A finding about one of many journals says whose it is. */
static void name_session(struct observed *o)
{
	char where[sizeof(o->error.where)];

	memcpy(where, o->error.where, sizeof(where));
	snprintf(o->error.where, sizeof(o->error.where), "%s: %.*s", o->hex,
		 (int)(sizeof(where) - SESSION_ID_HEX - 2), where);
}

static void read_journal(const struct observer *ob, struct journal *j, struct observed *o)
{
	bool torn = false;
	enum runtime_status s =
		journal_read(ob->paths->sessions_fd, o->id, j, &torn, &o->error);

	if (s == RUNTIME_OK)
		o->facts.journal = OBSERVE_WHOLE;
	else if (s == RUNTIME_MALFORMED && torn && j->slots_used > 0)
		o->facts.journal = OBSERVE_TORN;
	else
		o->facts.journal = unborn(ob->paths, o) ? OBSERVE_UNBORN : OBSERVE_BAD;
	name_session(o);
	if (o->facts.journal <= OBSERVE_TORN) {
		o->begin = j->begin;
		o->facts.state = journal_state(j);
	}
}

/* The fact is written "held/kernel". */
static void read_assurance(const struct journal *j, struct observed *o)
{
	const char *words = journal_fact(j, "assurance");
	size_t first = words ? strcspn(words, "/") : 0;

	if (!words || words[first] != '/' || first >= sizeof(o->assurance[0]))
		return;
	memcpy(o->assurance[0], words, first);
	o->assurance[0][first] = '\0';
	snprintf(o->assurance[1], sizeof(o->assurance[1]), "%.15s", words + first + 1);
}

static void read_history(const struct journal *j, struct observed *o)
{
	for (size_t i = 0; i < j->n_states; i++) {
		o->attested |= j->states[i].event == EV_AFFIRMED;
		o->ran |= j->states[i].state == SESSION_RUNNING;
	}
	for (const char *name = o->attested ? journal_fact(j, "keys") : NULL; name;) {
		o->keys++;
		name = strchr(name, ' ');
		name += name != NULL;
	}
	if (observe_ended(o) && !o->note[0])
		snprintf(o->note, sizeof(o->note), "%s", j->states[j->n_states - 1].why);
}

static void look(const struct observer *ob, struct journal *j, struct observed *o)
{
	uint8_t boot[16];

	read_journal(ob, j, o);
	if (o->facts.journal > OBSERVE_TORN || session_final(o->facts.state))
		return;
	o->facts.same_boot = boot_id(boot) && memcmp(boot, o->begin.boot, sizeof(boot)) == 0;
	if (!o->facts.same_boot)
		return;
	o->facts.keeper = look_for_keeper(&o->begin);
	/* A keeper that is gone now may have written after the first look: what is read
	 * after its end is its last word. */
	if (o->facts.keeper == OBSERVE_KEEPER_GONE)
		read_journal(ob, j, o);
	o->facts.held = ask_clerk(ob, o);
}

void observe_session(const struct observer *ob, const uint8_t id[static SESSION_ID_BYTES],
		     struct observed *ret, struct journal *ret_journal)
{
	struct observed o = { .facts.journal = OBSERVE_BAD, .assurance = { "-", "-" } };
	AUTO(freep) struct journal *own = NULL;
	struct journal *j = ret_journal;

	memcpy(o.id, id, sizeof(o.id));
	session_id_hex(id, o.hex);
	if (!j)
		j = own = calloc(1, sizeof(*own));
	if (j)
		look(ob, j, &o);
	else
		(void)runtime_fail(&o.error, RUNTIME_SYSTEM, o.hex, "", "no memory");
	o.shown = observe_judge(&o.facts, o.note);
	if (o.facts.journal <= OBSERVE_TORN) {
		read_assurance(j, &o);
		read_history(j, &o);
	}
	*ret = o;
}

/* ---- listing and finding --------------------------------------------------------- */

static bool journal_name(const char *name, uint8_t ret_id[static SESSION_ID_BYTES])
{
	char hex[SESSION_ID_HEX];

	if (strlen(name) != SESSION_ID_HEX - 1 + 8 ||
	    strcmp(name + SESSION_ID_HEX - 1, ".journal") != 0)
		return false;
	memcpy(hex, name, SESSION_ID_HEX - 1);
	hex[SESSION_ID_HEX - 1] = '\0';
	return session_id_parse(hex, ret_id);
}

static enum runtime_status read_ids(DIR *dir, const struct paths *p,
				    uint8_t (**ret)[SESSION_ID_BYTES], size_t *ret_n,
				    struct runtime_error *reterr)
{
	AUTO(freep) uint8_t(*ids)[SESSION_ID_BYTES] = NULL;
	size_t n = 0, room = 0;
	const struct dirent *entry;

	while ((errno = 0, entry = readdir(dir))) {
		uint8_t id[SESSION_ID_BYTES];

		if (!journal_name(entry->d_name, id))
			continue;
		if (n == OBSERVE_MAX)
			return runtime_fail(reterr, RUNTIME_REFUSED, p->state,
					    "move journals of ended sessions elsewhere",
					    "more than %u journals", OBSERVE_MAX);
		if (n == room) {
			void *more = reallocarray(ids, room ? 2 * room : 64, sizeof(*ids));

			if (!more)
				return runtime_fail(reterr, RUNTIME_SYSTEM, p->state, "",
						    "no memory for the list of sessions");
			ids = more;
			room = room ? 2 * room : 64;
		}
		memcpy(ids[n++], id, SESSION_ID_BYTES);
	}
	if (errno)
		return runtime_fail(reterr, RUNTIME_SYSTEM, p->state, "",
				    "the sessions folder cannot be read: %s", strerror(errno));
	*ret = ids;
	*ret_n = n;
	ids = NULL;
	return RUNTIME_OK;
}

enum runtime_status observe_ids(const struct paths *p, uint8_t (**ret)[SESSION_ID_BYTES],
				size_t *ret_n, struct runtime_error *reterr)
{
	enum runtime_status s;
	DIR *dir;
	int fd;

	*ret = NULL;
	*ret_n = 0;
	if (p->sessions_fd < 0)
		return RUNTIME_OK; /* nothing was ever started under this root */
	fd = openat(p->sessions_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		s = runtime_fail(reterr, RUNTIME_SYSTEM, p->state, "",
				 "the sessions folder cannot be opened: %s", strerror(errno));
		closep(&fd);
		return s;
	}
	s = read_ids(dir, p, ret, ret_n, reterr);
	closedir(dir);
	return s;
}

static int by_age(const void *a, const void *b)
{
	const struct observed *x = a, *y = b;

	if (x->begin.created != y->begin.created)
		return x->begin.created < y->begin.created ? -1 : 1;
	return memcmp(x->id, y->id, sizeof(x->id));
}

enum runtime_status observe_all(const struct observer *ob, struct observed **ret, size_t *ret_n,
				struct runtime_error *reterr)
{
	AUTO(freep) uint8_t(*ids)[SESSION_ID_BYTES] = NULL;
	AUTO(freep) struct journal *j = calloc(1, sizeof(*j));
	AUTO(freep) struct observed *all = NULL;
	size_t n, seen = 0;
	enum runtime_status s = observe_ids(ob->paths, &ids, &n, reterr);

	if (s != RUNTIME_OK)
		return s;
	all = calloc(n ? n : 1, sizeof(*all));
	if (!j || !all)
		return runtime_fail(reterr, RUNTIME_SYSTEM, ob->paths->state, "",
				    "no memory for the list of sessions");
	for (size_t i = 0; i < n; i++) {
		observe_session(ob, ids[i], &all[seen], j);
		seen += !removed(ob->paths, &all[seen]);
	}
	qsort(all, seen, sizeof(*all), by_age);
	*ret = all;
	*ret_n = seen;
	all = NULL;
	return RUNTIME_OK;
}

/* Whether the name is the beginning of the id. */
static bool prefix_of(const char *text, const char *hex)
{
	size_t n = strlen(text);

	return n >= OBSERVE_PREFIX && strncmp(text, hex, n) == 0;
}

/* Live sessions have each their own label; an attempt that was refused, for that label or
 * for anything else, does not take it from one that ran. */
static unsigned rank(const struct observed *o)
{
	return (observe_ended(o) ? 0 : 2) + o->ran;
}

/* Of those with that label the newest one of the highest rank. */
static const struct observed *labelled(const struct observed *all, size_t n, const char *text)
{
	const struct observed *found = NULL;

	for (size_t i = 0; text[0] && i < n; i++) {
		if (strcmp(all[i].begin.name, text) != 0)
			continue;
		if (!found || rank(&all[i]) >= rank(found))
			found = &all[i];
	}
	return found;
}

/* Adds one more id, or dots where no more fit. */
static void add_candidate(char *hint, size_t size, const char *hex)
{
	size_t len = strlen(hint);

	if (len + 1 + strlen(hex) + strlen(" ...") < size)
		snprintf(hint + len, size - len, " %s", hex);
	else if (hint[len - 1] != '.')
		snprintf(hint + len, size - len, " ...");
}

static enum runtime_status choose(const struct observed *all, size_t n, const char *text,
				  struct observed *ret, struct runtime_error *reterr)
{
	const struct observed *label = labelled(all, n, text), *found = NULL;
	char hint[sizeof(reterr->hint)] = "it may be";
	size_t several = 0;

	for (size_t i = 0; i < n; i++) {
		if (&all[i] != label && !prefix_of(text, all[i].hex))
			continue;
		found = &all[i];
		several++;
		add_candidate(hint, sizeof(hint), found->hex);
	}
	if (several > 1)
		return runtime_fail(reterr, RUNTIME_MALFORMED, "", hint,
				    "%.80s names %zu sessions", text, several);
	if (!found)
		return runtime_fail(
			reterr, RUNTIME_REFUSED, "",
			"`cordon status` lists them; an id may be cut to 4 digits or more",
			"no session is called %.80s", text);
	*ret = *found;
	return RUNTIME_OK;
}

enum runtime_status observe_find(const struct observer *ob, const char *text,
				 struct observed *ret, struct runtime_error *reterr)
{
	AUTO(freep) struct observed *all = NULL;
	size_t n = 0;
	enum runtime_status s = observe_all(ob, &all, &n, reterr);

	return s == RUNTIME_OK ? choose(all, n, text, ret, reterr) : s;
}
