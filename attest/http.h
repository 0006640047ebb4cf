/*
 * attest/http.h - HTTP/1.1 (RFC 9110, RFC 9112), the strict part of it that a key service
 * needs: requests as its listeners read them, responses as the agent reads them, and the
 * heads of both as they are written. It does no I/O, has no clock, and prints nothing.
 *
 * A reader is fed with bytes as they come. What it makes of them does not depend on where
 * they were cut, each byte is looked at a bounded number of times, and memory grows with
 * what came, never with what was announced. Whatever two readers of the same bytes could
 * understand differently is refused:
 *   - lines end in CR LF; no bare CR or LF, no control byte, nothing beyond ASCII in a head;
 *   - no folded lines, no space before the colon or in front of the first field, no empty
 *     line in front of the request;
 *   - HTTP/1.1 only; target in origin-form only: no %, no segment "." or "..", no #;
 *   - at most one field of each name that decides something, exactly one Host;
 *   - Content-Length of plain digits; a body needs one (411), GET and DELETE have none;
 *   - Transfer-Encoding is refused: with Content-Length 400, "chunked" alone 411 (RFC 9112,
 *     section 6.3, lets a server ask for a length), any other 501. No trailers, therefore;
 *   - Expect: only "100-continue"; the caller answers it, see http_read_head.
 * After HTTP_BAD nobody knows where the next message would begin: answer and close.
 *
 * Memory of a reader is zeroed before it is given back; `secret` puts it into guarded memory
 * (memscrub/guard.h) as well. Thread-safe as long as each reader has one user.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/span.h"

#define HTTP_FIELDS_MAX 64u
#define HTTP_GUEST_HEAD (128u << 10) /* a bearer token carries the evidence's claims */
#define HTTP_ADMIN_HEAD (16u << 10)

enum http_method {
	HTTP_NO_METHOD = 0, /* of a response */
	HTTP_GET,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
};

struct http_limits {
	size_t head;   /* bytes, with the empty line behind it */
	size_t target; /* bytes of a request's target */
	size_t fields; /* at most HTTP_FIELDS_MAX */
	size_t body;   /* bytes */
	bool secret; /* a body may be a key: guarded memory, count it against RLIMIT_MEMLOCK */
};

struct http_field {
	struct span name, value; /* the value without the spaces around it */
};

/* All spans are borrowed from the reader. */
struct http_head {
	enum http_method method;
	struct span path;  /* of a request: begins with "/" */
	struct span query; /* what stands behind "?"; empty and NULL where there is none */
	unsigned status;   /* of a response: 200..599 */
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t n_fields;
	size_t length;        /* bytes of the body */
	bool has_length;      /* there was a Content-Length */
	bool keep_alive;      /* the peer wants to go on */
	bool expect_continue; /* the peer waits for HTTP_CONTINUE before it sends the body */
};

/* ---- reading ----------------------------------------------------------------------- */

enum http_kind {
	HTTP_REQUESTS = 0,
	HTTP_RESPONSES, /* status 1xx is refused: nobody here asks for one */
};

enum http_progress {
	HTTP_MORE = 0, /* so far, so good */
	HTTP_DONE,     /* head and body are whole; http_next goes on */
	HTTP_BAD,      /* refused for good; http_fault says why */
};

struct http_fault {
	unsigned
		status; /* what a server answers: 400, 411, 413, 414, 417, 431, 501, 503, 505 */
	const char *what; /* static text */
};

struct http_reader;

/* NULL: no memory. */
__attribute__((warn_unused_result)) struct http_reader *
http_reader_new(enum http_kind kind, const struct http_limits *limits);
void http_reader_free(struct http_reader *r); /* NULL is allowed */
void http_reader_freep(struct http_reader **r);

/* Takes at most the rest of the message that is being read: *ret_used of `len` bytes. Bytes
 * behind it are of the next message and stay with the caller. */
__attribute__((warn_unused_result)) enum http_progress
http_feed(struct http_reader *r, const void *bytes, size_t len, size_t *ret_used);
/*
 * NULL until the head is whole, which is before the body is: a server that sees it at
 * HTTP_MORE may refuse at once by path or length, and answers `expect_continue` with
 * HTTP_CONTINUE, once; at HTTP_DONE the body is there and the expectation void (RFC 9110,
 * section 10.1.1).
 */
const struct http_head *http_read_head(const struct http_reader *r);
/* What there is of the body: all of it at HTTP_DONE. */
struct span http_read_body(const struct http_reader *r);
/* NULL but at HTTP_BAD. */
const struct http_fault *http_fault(const struct http_reader *r);
/* Forgets (and zeroes) the message, for the next one of the same connection. */
void http_next(struct http_reader *r);

#define HTTP_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

/* ---- looking into a head ----------------------------------------------------------- */

enum http_found {
	HTTP_ABSENT = 0,
	HTTP_FOUND,
	HTTP_AMBIGUOUS, /* there, but more than once or not in its form: refuse */
};

/* The value of the one field of this name, in any case. */
enum http_found http_field(const struct http_head *h, const char *name, struct span *ret);
/* The value of the one cookie of this name (RFC 6265, section 4.2); Cookie of a request. */
enum http_found http_cookie(const struct http_head *h, const char *name, struct span *ret);
/* The same of a response's Set-Cookie fields, without what follows the first ";". */
enum http_found http_set_cookie(const struct http_head *h, const char *name, struct span *ret);
/* The token of "Authorization: Bearer TOKEN" (RFC 6750, section 2.1); any other scheme is
 * ambiguous. */
enum http_found http_bearer(const struct http_head *h, struct span *ret);

/*
 * The segments of a path: "/a/b" has two. An empty one ("//", a "/" at the end) is given as
 * it is, and matches no name of a route. False: more than `max`.
 */
bool http_segments(struct span path, struct span *ret, size_t max, size_t *ret_n);

/* ---- writing ----------------------------------------------------------------------- */

struct http_line {
	const char *name, *value;
};

struct http_answer {
	unsigned status;
	const char *type;              /* Content-Type; NULL: none */
	size_t length;                 /* of the body, which the caller sends behind the head */
	bool close;                    /* this is the connection's last answer */
	int64_t date;                  /* seconds since 1970; 0: no Date */
	const struct http_line *lines; /* further fields */
	size_t n_lines;
};

struct http_call {
	enum http_method method;
	const char *host;   /* HOST[:PORT] */
	const char *target; /* origin-form */
	const char *type;   /* Content-Type; NULL: no body and no length */
	size_t length;
	const struct http_line *lines;
	size_t n_lines;
};

/* The head, *ret_len bytes and a final zero; answers say "Cache-Control: no-store". False: it
 * does not fit, or a name or value would not be read back as the one that was given. */
bool http_write_answer(const struct http_answer *a, char *buf, size_t size, size_t *ret_len);
bool http_write_call(const struct http_call *c, char *buf, size_t size, size_t *ret_len);
/* "Not Found"; NULL for a status that no one here answers. */
const char *http_reason(unsigned status);
