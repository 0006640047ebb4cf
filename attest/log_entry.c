/* attest/log_entry.c - the members of an entry, in the order of their names. */
#include "attest/log_entry.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "attest/json_writer.h"

#define SALT 16u
#define NS_PER_S INT64_C(1000000000)

static const char *const outcomes[] = {
	[LOG_OK] = "ok",
	[LOG_DENIED] = "denied",
	[LOG_ERROR] = "error",
};

static void put_text(struct json_writer *w, const char *name, const char *text)
{
	if (!text)
		return;
	jw_key(w, name);
	jw_string(w, text);
}

static void put_integer(struct json_writer *w, const char *name, int64_t v)
{
	jw_key(w, name);
	jw_integer(w, v);
}

static void put_actor(struct json_writer *w, const struct log_entry *e)
{
	jw_key(w, "actor");
	jw_object(w);
	if (e->actor) {
		put_text(w, "type", e->actor);
	} else {
		put_integer(w, "pid", e->pid);
		put_integer(w, "uid", e->uid);
	}
	jw_object_end(w);
}

/* By insertion: there are few. Equal names stay side by side, and jw_key refuses them. */
static void sort(const struct log_datum *sorted[], const struct log_entry *e)
{
	for (size_t i = 0; i < e->n_data; i++) {
		size_t at = i;

		for (; at > 0 && strcmp(sorted[at - 1]->name, e->data[i].name) > 0; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = &e->data[i];
	}
}

static void put_data(struct json_writer *w, const struct log_entry *e)
{
	const struct log_datum *sorted[LOG_ENTRY_DATA];

	if (e->data_json) {
		jw_key(w, "data");
		jw_raw(w, e->data_json, e->data_json_len);
		return;
	}
	if (e->n_data == 0)
		return;
	sort(sorted, e);
	jw_key(w, "data");
	jw_object(w);
	for (size_t i = 0; i < e->n_data; i++) {
		if (sorted[i]->text)
			put_text(w, sorted[i]->name, sorted[i]->text);
		else
			put_integer(w, sorted[i]->name, sorted[i]->number);
	}
	jw_object_end(w);
}

static void put_time(struct json_writer *w, int64_t ns)
{
	time_t seconds = (time_t)(ns / NS_PER_S);
	char date[32] = "", text[48];
	struct tm utc;

	w->bad |= !gmtime_r(&seconds, &utc) ||
		  strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc) != 19;
	snprintf(text, sizeof(text), "%s.%06" PRId64 "Z", date, ns % NS_PER_S / 1000);
	put_text(w, "t", text);
}

static void put_nanoseconds(struct json_writer *w, const char *name, int64_t ns)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, ns);
	put_text(w, name, text);
}

static bool kind_clean(const char *kind)
{
	return kind && kind[0] &&
	       kind[strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789.-")] == '\0';
}

static bool possible(const struct log_entry *e)
{
	return e->seq <= INT64_MAX && e->t >= 0 && e->mono >= 0 && kind_clean(e->kind) &&
	       e->outcome >= LOG_OK && e->outcome <= LOG_ERROR && e->n_data <= LOG_ENTRY_DATA;
}

enum attest_status log_entry_print(const struct log_entry *e,
				   char ret[static LOG_ENTRY_MAX + 1], size_t *ret_len,
				   struct attest_error *reterr)
{
	uint8_t salt[SALT];
	struct json_writer w;

	if (!possible(e))
		return attest_fail(reterr, ATTEST_REFUSED, "entry", NULL,
				   "a member has a value that no entry can have");
	if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
		return attest_fail(reterr, ATTEST_SYSTEM, "entry", NULL, "no random bytes: %m");
	jw_begin(&w, ret, LOG_ENTRY_MAX + 1);
	jw_object(&w);
	put_actor(&w, e);
	put_text(&w, "boot", e->boot);
	put_data(&w, e);
	put_text(&w, "host", e->host);
	put_text(&w, "kind", e->kind);
	put_nanoseconds(&w, "mono", e->mono);
	put_text(&w, "object", e->object);
	put_text(&w, "outcome", outcomes[e->outcome]);
	put_text(&w, "reason", e->reason);
	jw_key(&w, "salt");
	jw_base64(&w, salt, sizeof(salt));
	put_integer(&w, "seq", (int64_t)e->seq);
	put_time(&w, e->t);
	put_text(&w, "tenant", e->tenant);
	put_integer(&w, "v", 1);
	jw_object_end(&w);
	if (!jw_end(&w, ret_len))
		return attest_fail(reterr, ATTEST_REFUSED, "entry", NULL,
				   "the entry is larger than %u bytes, or names a member twice",
				   LOG_ENTRY_MAX);
	return ATTEST_OK;
}
