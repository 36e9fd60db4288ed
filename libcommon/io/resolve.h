#ifndef MM_IO_RESOLVE_H
#define MM_IO_RESOLVE_H

#include "libcommon/base/err.h"
#include "libcommon/io/loop.h"

#include <netdb.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

// Host names become addresses without blocking the loop: a literal address at once, a name on a
// thread that lives for this one look-up. All functions and the callback: loop thread.

#define MM_RESOLVE_ADDRESSES_MAX 8

struct mm_resolve_result {
    size_t count; // at least 1
    struct {
        struct sockaddr_storage address;
        socklen_t size;
    } addresses[MM_RESOLVE_ADDRESSES_MAX];
};

// result is NULL unless err is MM_OK. NOT_FOUND: there is no such name. UNAVAILABLE: the name
// servers did not answer.
typedef void (*mm_resolve_fn)(enum mm_err err, const struct mm_resolve_result *result, void *arg);

struct mm_resolve;

// Calls fn once, never before this returns, unless it is cancelled. RESOURCE_EXHAUSTED: no memory
// or no thread; fn is then never called.
MM_MUST_USE enum mm_err mm_resolve_start(struct mm_loop *loop, const char *host, uint16_t port,
                                         mm_resolve_fn fn, void *arg, struct mm_resolve **out);

// fn is not called any more. Only while it has not been; NULL is ignored.
void mm_resolve_cancel(struct mm_resolve *resolve);

#endif
