#ifndef WORLD_STORE_H
#define WORLD_STORE_H

#include "libcommon/base/buf.h"
#include "libcommon/base/err.h"
#include "services/world/core/world.h"
#include "services/world/stored.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mm_db_conn;

// What world keeps in MariaDB, as blocking functions for the pool's worker threads. Every
// write is guarded by the session's epoch: FAILED_PRECONDITION means that another process has
// taken the session over, and this one must end.

enum { WORLD_SESSION_BYTES = 65 };

struct world_journal_row {
    uint64_t tick;
    uint64_t state_hash;
    const uint8_t *inputs; // packed JournalEntry
    size_t inputs_len;
};

// Rows in tick order and, unless 0, a new high-water mark, in one transaction. Safe to repeat.
enum mm_err MM_MUST_USE world_store_commit(struct mm_db_conn *conn, const char *session,
                                           uint64_t epoch, const struct world_journal_row *rows,
                                           size_t row_count, uint64_t tick_reserved);

// Writes a saved state, compressed, and forgets states older than the newest `keep` with the
// journal behind them. `final`: nothing will be simulated behind it, so the high-water mark is set
// to its very tick. *stored_bytes may be NULL.
enum mm_err MM_MUST_USE world_store_save(struct mm_db_conn *conn, const char *session,
                                         uint64_t epoch, uint64_t tick, uint64_t state_hash,
                                         const uint8_t *data, size_t len, unsigned keep, bool final,
                                         uint64_t *stored_bytes);

// The newest snapshots of a session, newest first, at most `max`. *count may be 0.
enum mm_err MM_MUST_USE world_store_snapshots(struct mm_db_conn *conn, const char *session,
                                              struct world_stored_snapshot *out, size_t max,
                                              size_t *count);

// The stored bytes of a snapshot put together: *out is mm_malloc'ed. DATA_LOSS: parts are missing
// or of another length.
enum mm_err MM_MUST_USE world_store_snapshot_bytes(struct mm_db_conn *conn, const char *session,
                                                   const struct world_stored_snapshot *snapshot,
                                                   uint8_t **out);

struct world_restored {
    struct world *world; // the caller's
    uint64_t epoch;      // ours from now on
    uint64_t tick_reserved;
    bool created;
    uint64_t snapshot_tick;
    uint32_t snapshots_refused; // newer ones that were not sound
    uint64_t rows_replayed;
    uint64_t ticks_forwarded;
    uint64_t replay_ns;     // the ticks behind the snapshot took so long to make again
    bool rules_changed;     // they were others than the session's
    uint32_t upgraded_from; // the version of the simulation that wrote the snapshot; 0: this one
};

// Takes the session over and brings its state back: newest sound snapshot, journal checked by
// its hashes, forward to the high-water mark; rules other than the state's take its place, which
// takes a tick and a row of the journal, and `reserve` further ticks are reserved. A session that
// is not there is made, with `seed` (0: a random one). DATA_LOSS: what there is cannot be made into
// the state that was acknowledged; problem says why. FAILED_PRECONDITION: the rules do not fit the
// session. `progress` may be NULL; CANCELLED: it was given up.
enum mm_err MM_MUST_USE world_store_restore(struct mm_db_conn *conn, const char *session,
                                            const struct world_rules *rules, uint64_t seed,
                                            uint64_t reserve, struct mm_progress *progress,
                                            struct world_restored *out, char *problem,
                                            size_t problem_bytes);

#endif
