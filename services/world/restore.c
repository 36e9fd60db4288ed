#include "services/world/store.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/db_conn.h"
#include "libcommon/io/trace.h"
#include "services/world/core/save.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SNAPSHOTS_TRIED = 10,
    ROWS_AT_ONCE = 500,
    SNAPSHOTS_KEPT_AT_START = 3,
};
#define ARENA_BYTES_MAX ((size_t)1 << 30)
#define RULES_BYTES_MAX ((size_t)16 << 20)

struct restore {
    const char *session;
    const struct world_rules *rules;
    struct mm_arena *arena; // of one tick
    struct mm_progress *progress;
    struct world_restored *out;
    char *problem;
    size_t problem_bytes;
    bool existed;
};

static enum mm_err lost(struct restore *restore, const char *what, uint64_t tick)
{
    snprintf(restore->problem, restore->problem_bytes, "%s (tick %" PRIu64 ")", what, tick);
    return MM_DATA_LOSS;
}

// --- taking over --------------------------------------------------------------------------------

static enum mm_err take_over(struct mm_db_conn *conn, void *arg)
{
    struct restore *restore = arg;
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(
        conn, "SELECT epoch, tick_reserved FROM sessions WHERE session = ? FOR UPDATE",
        MM_DB_ARGS(mm_db_str(restore->session)), &rows);
    restore->existed = err == MM_OK;
    if (err == MM_NOT_FOUND) {
        restore->out->epoch = 1;
        restore->out->tick_reserved = 0;
        return mm_db_exec(conn,
                          "INSERT INTO sessions (session, epoch, tick_reserved) VALUES (?, 1, 0)",
                          MM_DB_ARGS(mm_db_str(restore->session)), NULL);
    }
    if (err != MM_OK)
        return err;
    restore->out->epoch = mm_db_get_u64(rows, 0) + 1;
    restore->out->tick_reserved = mm_db_get_u64(rows, 1);
    err = mm_db_end(rows);
    if (err == MM_OK)
        err = mm_db_exec(conn, "UPDATE sessions SET epoch = ? WHERE session = ?",
                         MM_DB_ARGS(mm_db_u64(restore->out->epoch), mm_db_str(restore->session)),
                         NULL);
    return err;
}

// --- the snapshot -------------------------------------------------------------------------------

static enum mm_err load_snapshot(struct mm_db_conn *conn, const struct restore *restore,
                                 const struct world_stored_snapshot *stored, struct world **out)
{
    uint8_t *data;
    enum mm_err err = world_store_snapshot_bytes(conn, restore->session, stored, &data);
    if (err != MM_OK)
        return err;
    mm_progress_wait(restore->progress, false);
    err = world_stored_load(stored, data, stored->stored_bytes, restore->progress, out);
    mm_progress_wait(restore->progress, true);
    mm_free(data);
    return err;
}

// Ticks of the journal behind a snapshot, and reserved behind it: what its version played on.
static enum mm_err played_behind(struct mm_db_conn *conn, const struct restore *restore,
                                 uint64_t tick, bool *played)
{
    struct mm_db_rows *rows;
    *played = restore->out->tick_reserved > tick;
    enum mm_err err =
        mm_db_query_one(conn, "SELECT COUNT(*) FROM journal WHERE session = ? AND tick > ?",
                        MM_DB_ARGS(mm_db_str(restore->session), mm_db_u64(tick)), &rows);
    if (err != MM_OK)
        return err;
    *played = *played || mm_db_get_u64(rows, 0) > 0;
    return mm_db_end(rows);
}

// A snapshot of another version of the simulation. It is taken over if it is of a version that can
// be read and nothing was played behind it: no version can replay what another one recorded.
// FAILED_PRECONDITION: it cannot; the problem tells the operator what can be done.
static enum mm_err load_other_version(struct mm_db_conn *conn, struct restore *restore,
                                      const struct world_stored_snapshot *stored)
{
    uint8_t *data;
    uint32_t version;
    bool played = true;
    enum mm_err err = world_store_snapshot_bytes(conn, restore->session, stored, &data);
    if (err != MM_OK)
        return err;
    err =
        world_stored_load_older(stored, data, stored->stored_bytes, &restore->out->world, &version);
    mm_free(data);
    const char *advice = version > WORLD_SAVE_VERSION
                             ? "start the newer program that wrote it"
                             : "start an older program that still reads it, and end it with "
                               "SIGTERM before this one is started";
    if (err == MM_OK)
        err = played_behind(conn, restore, stored->tick, &played);
    if (err == MM_OK && !played) {
        MM_LOG_INFO("a state of an older version is taken over",
                    "session=%s tick=%" PRIu64 " version=%" PRIu32, restore->session, stored->tick,
                    version);
        restore->out->upgraded_from = version;
        return MM_OK;
    }
    if (err == MM_OK) {
        advice = "its session was not ended cleanly: start the program of that version once more "
                 "and end it with SIGTERM, then start this one";
        err = MM_UNIMPLEMENTED;
    }
    world_free(restore->out->world);
    restore->out->world = NULL;
    if (err != MM_UNIMPLEMENTED)
        return err;
    snprintf(restore->problem, restore->problem_bytes,
             "the state of tick %" PRIu64 " was written by version %" PRIu32
             " of the simulation, this program is version %" PRIu32 " and reads %" PRIu32
             " and later: %s",
             stored->tick, version, WORLD_SAVE_VERSION, WORLD_SAVE_OLDEST, advice);
    return MM_FAILED_PRECONDITION;
}

// The newest sound snapshot. NOT_FOUND if there is none at all.
static enum mm_err find_snapshot(struct mm_db_conn *conn, struct restore *restore)
{
    struct world_stored_snapshot list[SNAPSHOTS_TRIED];
    size_t count = 0;
    enum mm_err err = world_store_snapshots(conn, restore->session, list, SNAPSHOTS_TRIED, &count);
    if (err != MM_OK)
        return err;
    for (size_t i = 0; i < count; i++) {
        err = load_snapshot(conn, restore, &list[i], &restore->out->world);
        // One before it would not do instead: the journal leads on in the other version.
        if (err == MM_UNIMPLEMENTED)
            err = load_other_version(conn, restore, &list[i]);
        if (err == MM_OK) {
            restore->out->snapshot_tick = list[i].tick;
            return MM_OK;
        }
        if (err != MM_DATA_LOSS)
            return err;
        MM_LOG_ERROR("a snapshot is not sound; trying the one before", "tick=%" PRIu64 " err=%s",
                     list[i].tick, mm_err_name(err));
        restore->out->snapshots_refused++;
    }
    return count == 0 ? MM_NOT_FOUND : lost(restore, "no snapshot is sound", list[0].tick);
}

// --- the journal --------------------------------------------------------------------------------

// Ticks without inputs, until that one is reached.
static enum mm_err forward(struct restore *restore, uint64_t tick)
{
    struct world *world = restore->out->world;
    while (world_tick(world) < tick) {
        if (!mm_progress_step(restore->progress))
            return MM_CANCELLED;
        world_stored_step_empty(world, restore->arena);
    }
    return MM_OK;
}

static enum mm_err play_row(struct restore *restore, uint64_t tick, uint64_t state_hash,
                            struct mm_db_bytes inputs)
{
    struct world *world = restore->out->world;
    enum mm_err err = forward(restore, tick - 1);
    if (err != MM_OK)
        return err;
    mm_arena_reset(restore->arena);
    const Mmorts__World__JournalEntry *entry;
    err = world_stored_inputs(inputs.data, inputs.size, restore->arena, &entry);
    if (err == MM_OK)
        err = world_stored_step(world, entry, restore->arena, NULL);
    if (err == MM_DATA_LOSS)
        return lost(restore, "a journal row cannot be read", tick);
    if (err != MM_OK)
        return err;
    if (world_state_hash(world) != state_hash)
        return lost(restore, "the journal does not lead to the state it was written for", tick);
    restore->out->rows_replayed++;
    return MM_OK;
}

static enum mm_err replay_row(struct restore *restore, uint64_t tick, uint64_t state_hash,
                              struct mm_db_bytes inputs)
{
    mm_progress_wait(restore->progress, false);
    enum mm_err err = mm_progress_step(restore->progress)
                          ? play_row(restore, tick, state_hash, inputs)
                          : MM_CANCELLED;
    mm_progress_wait(restore->progress, true);
    return err;
}

static enum mm_err replay(struct mm_db_conn *conn, struct restore *restore)
{
    struct world *world = restore->out->world;
    size_t count = ROWS_AT_ONCE;
    while (count == ROWS_AT_ONCE) {
        struct mm_db_rows *rows;
        enum mm_err err = mm_db_query(
            conn,
            "SELECT tick, state_hash, inputs FROM journal WHERE session = ? AND "
            "tick > ? ORDER BY tick LIMIT 500",
            MM_DB_ARGS(mm_db_str(restore->session), mm_db_u64(world_tick(world))), &rows);
        if (err != MM_OK)
            return err;
        count = 0;
        enum mm_err replayed = MM_OK;
        for (; replayed == MM_OK && mm_db_next(rows); count++)
            replayed = replay_row(restore, mm_db_get_u64(rows, 0), mm_db_get_u64(rows, 1),
                                  mm_db_get_bytes(rows, 2));
        err = mm_db_end(rows);
        if (replayed != MM_OK || err != MM_OK)
            return replayed != MM_OK ? replayed : err;
    }
    return MM_OK;
}

// --- the whole ----------------------------------------------------------------------------------

static enum mm_err save_now(struct mm_db_conn *conn, struct restore *restore)
{
    struct mm_buf bytes;
    mm_buf_init(&bytes, WORLD_SAVE_BYTES_MAX);
    const struct world *world = restore->out->world;
    world_save(world, &bytes);
    enum mm_err err = bytes.err;
    if (err == MM_OK)
        err = world_store_save(conn, restore->session, restore->out->epoch, world_tick(world),
                               world_state_hash(world), bytes.data, bytes.len,
                               SNAPSHOTS_KEPT_AT_START, false, NULL);
    mm_buf_free(&bytes);
    return err;
}

static enum mm_err journal_is_empty(struct mm_db_conn *conn, const char *session)
{
    struct mm_db_rows *rows;
    enum mm_err err = mm_db_query_one(conn, "SELECT tick FROM journal WHERE session = ? LIMIT 1",
                                      MM_DB_ARGS(mm_db_str(session)), &rows);
    if (err == MM_OK)
        err = mm_db_end(rows) == MM_OK ? MM_ALREADY_EXISTS : MM_UNAVAILABLE;
    return err == MM_NOT_FOUND ? MM_OK : err;
}

static enum mm_err create(struct mm_db_conn *conn, struct restore *restore, uint64_t seed)
{
    // A session that has ever run has a snapshot; if that is gone, beginning anew would be a lie.
    enum mm_err err = journal_is_empty(conn, restore->session);
    if (err == MM_ALREADY_EXISTS || restore->out->tick_reserved > 0)
        return lost(restore, "the session has run, but has no snapshot",
                    restore->out->tick_reserved);
    if (err != MM_OK)
        return err;
    struct world_params params = {.rules = restore->rules, .seed = seed};
    if (seed == 0)
        mm_random_bytes(&params.seed, sizeof params.seed);
    mm_random_bytes(params.secret, sizeof params.secret);
    err = world_create(&params, &restore->out->world);
    restore->out->created = true;
    return err == MM_OK ? save_now(conn, restore) : err;
}

static bool pack_rules(const struct world_rules *rules, struct mm_buf *out)
{
    Mmorts__World__JournalEntry entry = MMORTS__WORLD__JOURNAL_ENTRY__INIT;
    struct mm_buf encoded;
    mm_buf_init(&encoded, RULES_BYTES_MAX);
    world_rules_encode(rules, &encoded);
    entry.rules = (ProtobufCBinaryData){encoded.len, encoded.data};
    bool packed = encoded.err == MM_OK;
    if (packed && mm_buf_reserve(out, mmorts__world__journal_entry__get_packed_size(&entry)))
        out->len += mmorts__world__journal_entry__pack(&entry, out->data + out->len);
    mm_buf_free(&encoded);
    return packed && out->err == MM_OK;
}

// The rules come in with a tick of their own, and a row: so recovery from any snapshot, also from
// one before, leads through the change.
static enum mm_err adopt_rules(struct mm_db_conn *conn, struct restore *restore, uint64_t reserve)
{
    struct world *world = restore->out->world;
    restore->out->tick_reserved = world_tick(world) + reserve;
    if (world_rules_hash(world_rules_of(world)) == world_rules_hash(restore->rules))
        return world_store_commit(conn, restore->session, restore->out->epoch, NULL, 0,
                                  restore->out->tick_reserved);
    enum mm_err err =
        world_change_rules(world, restore->rules, restore->problem, restore->problem_bytes);
    if (err != MM_OK)
        return err;
    world_stored_step_empty(world, restore->arena);
    struct mm_buf packed;
    mm_buf_init(&packed, RULES_BYTES_MAX);
    err = MM_RESOURCE_EXHAUSTED;
    if (pack_rules(restore->rules, &packed)) {
        struct world_journal_row row = {world_tick(world), world_state_hash(world), packed.data,
                                        packed.len};
        err = world_store_commit(conn, restore->session, restore->out->epoch, &row, 1,
                                 ++restore->out->tick_reserved);
    }
    mm_buf_free(&packed);
    if (err == MM_OK) {
        restore->out->rules_changed = true;
        MM_LOG_INFO("the rules of the game have changed", "session=%s tick=%" PRIu64,
                    restore->session, world_tick(world));
    }
    return err;
}

static enum mm_err restore_all(struct mm_db_conn *conn, struct restore *restore, uint64_t seed,
                               uint64_t reserve)
{
    enum mm_err err = mm_db_transaction(conn, take_over, restore);
    if (err != MM_OK)
        return err;
    err = find_snapshot(conn, restore);
    uint64_t began = mm_clock_ns();
    if (err == MM_NOT_FOUND)
        err = create(conn, restore, seed);
    else if (err == MM_OK && restore->out->upgraded_from != 0)
        err = save_now(conn, restore); // from here on the journal is of this version
    else if (err == MM_OK)
        err = replay(conn, restore);
    if (err != MM_OK)
        return err;
    struct world *world = restore->out->world;
    uint64_t from = world_tick(world);
    mm_progress_wait(restore->progress, false);
    err = forward(restore, restore->out->tick_reserved);
    if (err == MM_OK)
        world_warm(world);
    mm_progress_wait(restore->progress, true);
    restore->out->ticks_forwarded = world_tick(world) - from;
    restore->out->replay_ns = mm_clock_ns() - began;
    return err == MM_OK ? adopt_rules(conn, restore, reserve) : err;
}

enum mm_err world_store_restore(struct mm_db_conn *conn, const char *session,
                                const struct world_rules *rules, uint64_t seed, uint64_t reserve,
                                struct mm_progress *progress, struct world_restored *out,
                                char *problem, size_t problem_bytes)
{
    memset(out, 0, sizeof *out);
    problem[0] = '\0';
    struct restore restore = {
        .session = session,
        .rules = rules,
        .arena = mm_arena_new(1 << 16, ARENA_BYTES_MAX),
        .progress = progress,
        .out = out,
        .problem = problem,
        .problem_bytes = problem_bytes,
    };
    if (!restore.arena)
        return MM_RESOURCE_EXHAUSTED;
    mm_progress_wait(progress, true);
    enum mm_err err = restore_all(conn, &restore, seed, reserve);
    mm_arena_free(restore.arena);
    if (err != MM_OK) {
        world_free(out->world);
        out->world = NULL;
        if (problem[0] == '\0')
            snprintf(problem, problem_bytes, "%s", mm_db_error_text(conn));
    }
    return err;
}
