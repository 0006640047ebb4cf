/*
 * runtime/dirty.h - the host's durable mark that some tenant's bytes went back to free
 * memory unwiped. It stands until free memory was swept or the host was restarted with
 * init_on_free=1; meanwhile plans of other tenants that ask for more than `kernel: none`
 * are refused.
 *
 * STATE/dirty: a line for each tenant's session, "BOOT SESSION TENANT", appended and
 * flushed. What cannot be read counts as standing, for everybody.
 */
#pragma once

#include "runtime/runtime.h"

/* `sessions_fd` is STATE/sessions. */
__attribute__((warn_unused_result)) enum runtime_status
dirty_mark(int sessions_fd, const uint8_t id[static SESSION_ID_BYTES], const char *tenant,
	   struct runtime_error *reterr);
/* Does it stand against a plan of `tenant`? One that a restart with init_on_free has
 * cleared (`zeroing`: that is in force) is removed. *ret_by is a line's session and tenant. */
#define DIRTY_BY 128u
__attribute__((warn_unused_result)) enum runtime_status
dirty_stands(int sessions_fd, const char *tenant, bool zeroing, bool *ret,
	     char ret_by[static DIRTY_BY], struct runtime_error *reterr);
/* After a sweep, what stood before it began: marks that came meanwhile stay. */
__attribute__((warn_unused_result)) enum runtime_status
dirty_seen(int sessions_fd, int64_t *ret, struct runtime_error *reterr);
__attribute__((warn_unused_result)) enum runtime_status
dirty_clear(int sessions_fd, int64_t seen, struct runtime_error *reterr);
