#ifndef WORLD_DIRECTORY_H
#define WORLD_DIRECTORY_H

#include "gen/world.pb-c.h"
#include "libcommon/base/err.h"
#include "services/world/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The directory of sessions in MariaDB, as blocking functions for the pool's worker threads.

enum {
    WORLD_SESSION_NAME_MAX = 32,
    WORLD_CREATE_KEY_BYTES_MAX = 64,
    WORLD_SESSIONS_LISTED_MAX = 256,
    WORLD_ADDRESSES_BYTES_MAX = 2048,
};

struct world_entry {
    char session[WORLD_SESSION_BYTES];
    uint64_t seed;
    uint32_t max_players;
    bool wanted;
    bool seen; // a process has run it
    uint64_t seen_ms;
    uint32_t state; // Mmorts__Frame__SessionState, as its process said
    uint64_t tick;
    uint32_t empires;
    size_t addresses_len;
    uint8_t addresses[WORLD_ADDRESSES_BYTES_MAX]; // packed FindSessionReply
};

// What a process says of its session.
struct world_presence {
    const char *session;
    uint64_t epoch;
    uint32_t state;
    uint64_t tick;
    uint32_t empires;
    const uint8_t *addresses;
    size_t addresses_len;
};

// Whether a session may have that name.
bool world_session_name_ok(const char *name);

// NOT_FOUND.
enum mm_err MM_MUST_USE world_directory_find(struct mm_db_conn *conn, const char *session,
                                             struct world_entry *out);

// All there are by name, at most `max`.
enum mm_err MM_MUST_USE world_directory_list(struct mm_db_conn *conn, struct world_entry *out,
                                             size_t max, size_t *count);

// ALREADY_EXISTS: the session is there under another key (or none), or the key has made another.
// RESOURCE_EXHAUSTED: `wanted_max` sessions are wanted. OK, and nothing changes, if the same was
// created with the key before.
enum mm_err MM_MUST_USE world_directory_create(struct mm_db_conn *conn, const char *session,
                                               const void *key, size_t key_len, uint64_t seed,
                                               uint32_t max_players, uint32_t wanted_max);

// NOT_FOUND.
enum mm_err MM_MUST_USE world_directory_end(struct mm_db_conn *conn, const char *session);

// Enters the session if it is not there. What a process of a later epoch said stays.
enum mm_err MM_MUST_USE world_directory_tell(struct mm_db_conn *conn,
                                             const struct world_presence *presence);

#endif
