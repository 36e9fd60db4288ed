#ifndef TOOLS_REPLAY_SOURCE_H
#define TOOLS_REPLAY_SOURCE_H

#include "libcommon/base/err.h"
#include "services/world/stored.h"
#include <stddef.h>
#include <stdint.h>

// What a session has stored: snapshots and journal, from MariaDB (source_db.c) or from a directory
// of exported files (source_dir.c). Only ever read. One thread.

enum { REPLAY_SESSION_BYTES = 65, REPLAY_PROBLEM_BYTES = 512, REPLAY_SNAPSHOTS_MAX = 1000 };

struct replay_row {
    uint64_t tick, epoch, state_hash;
    const uint8_t *inputs; // packed JournalEntry; valid until the next call
    size_t inputs_len;
};

struct replay_source {
    char session[REPLAY_SESSION_BYTES];
    uint64_t epoch;         // processes that have run the session
    uint64_t tick_reserved; // no later tick was ever published
    uint64_t row_count;
    uint64_t last_row_tick;                  // 0: there is none
    struct world_stored_snapshot *snapshots; // by tick, then epoch
    size_t snapshot_count;
    char problem[REPLAY_PROBLEM_BYTES]; // says more of the last error

    // The stored bytes of a snapshot, mm_malloc'ed. DATA_LOSS: they are not all there.
    enum mm_err (*read_snapshot)(struct replay_source *source, size_t index, uint8_t **out);
    // The next row after `cursor`; NOT_FOUND at the end. DATA_LOSS: a file is damaged.
    enum mm_err (*read_row)(struct replay_source *source, struct replay_row *out);
    enum mm_err (*seek)(struct replay_source *source, uint64_t after_tick);
    void (*close)(struct replay_source *source);
};

// Where MariaDB and the session are.
struct replay_settings {
    char host[256], user[128], password[256], database[65];
    uint16_t port;
    char session[REPLAY_SESSION_BYTES];
};

// Reads the settings of the world service: `session` and the section `mariadb`. Errors are printed
// to stderr with file and line; then INVALID_ARGUMENT.
enum mm_err MM_MUST_USE replay_settings_load(const char *path, struct replay_settings *out);

// All that is read is of one moment, whatever the session's process does meanwhile. *out is NULL
// on an error, which `problem` (REPLAY_PROBLEM_BYTES) explains. NOT_FOUND: no such database or
// session. UNAVAILABLE: no server.
enum mm_err MM_MUST_USE replay_source_db(const struct replay_settings *settings,
                                         struct replay_source **out, char *problem);

// NOT_FOUND: no export is there. DATA_LOSS: its index is damaged. UNIMPLEMENTED: another format.
enum mm_err MM_MUST_USE replay_source_dir(const char *directory, struct replay_source **out,
                                          char *problem);

void replay_source_close(struct replay_source *source); // NULL is allowed

// Writes all of a source into a directory, which is made and must not hold anything yet
// (ALREADY_EXISTS). Snapshots whose bytes are not all there are exported as they are.
enum mm_err MM_MUST_USE replay_export(struct replay_source *source, const char *directory,
                                      char *problem);

// The state of a snapshot.
enum mm_err MM_MUST_USE replay_source_load(struct replay_source *source, size_t index,
                                           struct world **out);

#endif
