/* attest/evidence_files.c - endorsements, policies and times as somebody names them. */
#include "attest/evidence_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "policy/attestation.h"
#include "policy/policy.h"

#define FILES_MAX 1024 /* of one folder */

/* ---- files ------------------------------------------------------------------------- */

static enum attest_status unreadable(struct attest_error *e, const char *path)
{
	return attest_fail(e, ATTEST_MALFORMED, path, "name a file that can be read", "%m");
}

/* Reads to the end, or one byte more than is allowed. */
static ssize_t read_all(int fd, char *to, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, to + have, size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

enum attest_status evidence_read_file(const char *path, size_t max, char **ret, size_t *ret_len,
				      struct attest_error *reterr)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : malloc(max + 2);
	ssize_t n;

	if (fd < 0)
		return unreadable(reterr, path);
	if (!text) {
		close(fd);
		return attest_fail(reterr, ATTEST_SYSTEM, path, "", "no memory");
	}
	n = read_all(fd, text, max + 1);
	close(fd);
	if (n < 0 || (size_t)n > max) {
		free(text);
		return n < 0 ? unreadable(reterr, path)
			     : attest_fail(reterr, ATTEST_MALFORMED, path, "",
					   "it is larger than %zu bytes", max);
	}
	text[n] = '\0';
	*ret = text;
	*ret_len = (size_t)n;
	return ATTEST_OK;
}

/* ---- endorsements ------------------------------------------------------------------ */

static enum attest_status load_file(struct endorsements *en, enum endorsement_role role,
				    const char *path, struct attest_error *e)
{
	char *bytes;
	size_t len;
	enum attest_status s = evidence_read_file(path, ENDORSEMENT_MAX, &bytes, &len, e);

	if (s != ATTEST_OK)
		return s;
	s = endorsements_add(en, role, path, bytes, len, e);
	free(bytes);
	return s;
}

static int is_visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* In the order of their names, so that the same folder gives the same finding. */
static enum attest_status load_folder(struct endorsements *en, enum endorsement_role role,
				      const char *path, struct attest_error *e)
{
	enum attest_status s = ATTEST_OK;
	struct dirent **names;
	char file[4096];
	struct stat st;
	int n = scandir(path, &names, is_visible, alphasort), files = 0;

	if (n < 0)
		return unreadable(e, path);
	for (int i = 0; i < n; i++) {
		int len = snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);

		free(names[i]);
		if (s != ATTEST_OK)
			continue;
		if (len < 0 || (size_t)len >= sizeof(file) || stat(file, &st) < 0)
			s = unreadable(e, path);
		else if (!S_ISDIR(st.st_mode) && ++files <= FILES_MAX)
			s = load_file(en, role, file, e);
	}
	free(names);
	if (s == ATTEST_OK && (files == 0 || files > FILES_MAX))
		s = attest_fail(e, ATTEST_MALFORMED, path, "", "this folder has %s",
				files ? "too many files" : "no files");
	return s;
}

enum attest_status endorsements_load(struct endorsements *en, enum endorsement_role role,
				     const char *path, struct attest_error *reterr)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return unreadable(reterr, path);
	return S_ISDIR(st.st_mode) ? load_folder(en, role, path, reterr)
				   : load_file(en, role, path, reterr);
}

/* ---- a policy ---------------------------------------------------------------------- */

/* A finding of policy/ in our words; it says its place itself. */
static enum attest_status policy_failed(enum policy_status s, const struct policy_error *from,
					struct attest_error *e)
{
	char where[sizeof(e->where)];

	if (from->line)
		snprintf(where, sizeof(where), "%.120s:%u:%u", from->file, from->line,
			 from->column);
	else
		snprintf(where, sizeof(where), "%.120s", from->file);
	return attest_fail(e, s == POLICY_SYSTEM ? ATTEST_SYSTEM : ATTEST_MALFORMED, where,
			   from->hint, "%s%s%s", from->key, from->key[0] ? ": " : "",
			   from->what);
}

enum attest_status evidence_load_policy(const char *path, struct policy_attestation **ret,
					struct attest_error *reterr)
{
	struct policy_error why = { .what = "" };
	struct policy *policy;
	const char *block;
	enum policy_status s = policy_load(path, &policy, &why);

	if (s != POLICY_OK)
		return policy_failed(s, &why, reterr);
	block = policy_attestation_text(policy);
	if (block[0] == '\0') {
		policy_free(policy);
		return attest_fail(reterr, ATTEST_MALFORMED, path,
				   "write attestation: what evidence must prove",
				   "this policy demands nothing of evidence");
	}
	s = policy_attestation_parse(path, block, strlen(block), ret, &why);
	policy_free(policy);
	return s == POLICY_OK ? ATTEST_OK : policy_failed(s, &why, reterr);
}

/* ---- times ------------------------------------------------------------------------- */

/* Exactly `n` digits, and moves behind them. */
static bool take_digits(const char **s, size_t n, int *ret)
{
	*ret = 0;
	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		*ret = *ret * 10 + (**s - '0');
	}
	return true;
}

static bool take_char(const char **s, const char *set)
{
	if (**s == '\0' || !strchr(set, **s))
		return false;
	(*s)++;
	return true;
}

/* "Z" or +HH:MM: seconds to subtract. */
static bool take_zone(const char **s, int64_t *ret)
{
	bool west = **s == '-';
	int hours, minutes;

	*ret = 0;
	if (take_char(s, "Zz"))
		return **s == '\0';
	if (!take_char(s, "+-") || !take_digits(s, 2, &hours) || !take_char(s, ":") ||
	    !take_digits(s, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret = (west ? -1 : 1) * ((int64_t)hours * 3600 + minutes * 60);
	return **s == '\0';
}

bool evidence_time_parse(const char *text, int64_t *ret)
{
	struct tm tm = { 0 }, again;
	const char *s = text;
	int64_t zone;
	time_t t;

	if (!take_digits(&s, 4, &tm.tm_year) || !take_char(&s, "-") ||
	    !take_digits(&s, 2, &tm.tm_mon) || !take_char(&s, "-") ||
	    !take_digits(&s, 2, &tm.tm_mday) || !take_char(&s, "Tt") ||
	    !take_digits(&s, 2, &tm.tm_hour) || !take_char(&s, ":") ||
	    !take_digits(&s, 2, &tm.tm_min) || !take_char(&s, ":") ||
	    !take_digits(&s, 2, &tm.tm_sec))
		return false;
	if (take_char(&s, ".")) {
		size_t n = strspn(s, "0123456789");

		if (n == 0)
			return false;
		s += n;
	}
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	again = tm;
	t = timegm(&again);
	/* timegm takes the 31st of June for the 1st of July */
	if (!take_zone(&s, &zone) || again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday ||
	    again.tm_hour != tm.tm_hour || again.tm_min != tm.tm_min ||
	    again.tm_sec != tm.tm_sec)
		return false;
	*ret = (int64_t)t - zone;
	return true;
}
