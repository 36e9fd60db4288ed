#ifndef MM_SERVICE_AUTHORIZE_H
#define MM_SERVICE_AUTHORIZE_H

#include "libcommon/base/err.h"

#include <stddef.h>
#include <stdint.h>

// Who may call a method over HTTP. RPC between services is not asked: it is guarded by mutual TLS
// or a private network. A method without a rule needs the OPERATE permission.

enum mm_access {
    MM_ACCESS_PERMISSION = 0, // a valid token with all bits of `permissions`
    MM_ACCESS_TOKEN,          // any valid token
    MM_ACCESS_PUBLIC,         // anybody
    MM_ACCESS_NEVER,          // not over HTTP at all
};

struct mm_access_rule {
    const char *method; // "mmorts.world.World/GetStatus", or "mmorts.world.World/*"
    enum mm_access access;
    uint64_t permissions; // bits of mmorts.auth.Permission
};

// Who a valid token speaks for.
struct mm_identity {
    uint64_t player_id;
    uint64_t permissions;
    char username[33];
};

// The rule for that method: the exact one, else its service's "/*", else the default above.
struct mm_access_rule mm_access_find(const struct mm_access_rule *rules, size_t rule_count,
                                     const char *method);

// OK, UNAUTHENTICATED (a token is needed, none came) or PERMISSION_DENIED. `identity` is NULL
// without a token.
enum mm_err mm_access_decide(const struct mm_access_rule *rule,
                             const struct mm_identity *identity) MM_MUST_USE;

#endif
