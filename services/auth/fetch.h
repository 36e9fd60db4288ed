#ifndef AUTH_FETCH_H
#define AUTH_FETCH_H

#include "libcommon/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct mm_loop;
struct auth_fetch;

// A small HTTP GET by libcurl, driven by the loop (names are resolved on a thread of libcurl's).
// Loop thread.

// err MM_OK: status 200, and the body (borrowed, NUL-terminated). Otherwise UNAVAILABLE (no or a
// bad answer), DEADLINE_EXCEEDED or RESOURCE_EXHAUSTED (longer than bytes_max); `problem` is for
// the log. The fetch is freed after the call.
typedef void (*auth_fetch_fn)(void *arg, enum mm_err err, const char *problem, const char *body,
                              size_t body_bytes);

// Begins. http and https only, no redirects. fn is never called from within this function.
// RESOURCE_EXHAUSTED: no memory.
enum mm_err auth_fetch_start(struct mm_loop *loop, const char *url, int64_t timeout_ms,
                             size_t bytes_max, auth_fetch_fn fn, void *arg,
                             struct auth_fetch **out) MM_MUST_USE;

// Ends it; fn is not called.
void auth_fetch_cancel(struct auth_fetch *fetch);

#endif
