#include <stdlib.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/base/vec.h"
#include "libcommon/io/db_conn.h"
#include "services/social/app.h"

// Whom the session has seen: who can be written to, and what they are called. Connections that
// come up and heartbeats tell of players again and again; a row is written when it says something
// new. Nobody waits for it. What MariaDB did not take comes again with the next heartbeat.

enum {
    KNOWN_MAX = 100000, // remembered as written; then all is forgotten, and written once more
    WAITING_MAX = 1000, // to be written; whoever finds no room comes with the next heartbeat
    BATCH_MAX = 200,    // rows in one job
};

struct seen {
    struct social_group_player player;
    uint64_t hash; // of the names
};

struct social_players {
    struct mm_idmap *known; // player -> hash of the names that are written
    struct {
        MM_VEC(struct seen);
    } waiting;
    bool busy;
};

struct batch {
    struct social_app *app;
    int64_t now_ms;
    struct {
        MM_VEC(struct seen);
    } rows;
};

static uint64_t hash_of(const Mmorts__Social__Member *member)
{
    return mm_hash64(member->display_id, strlen(member->display_id),
                     mm_hash64(member->username, strlen(member->username), 0));
}

static enum mm_err write_batch(struct mm_db_conn *conn, void *arg)
{
    enum { COLUMNS = 5 };
    const struct batch *batch = arg;
    struct mm_db_arg *args = mm_calloc(batch->rows.count * COLUMNS, sizeof *args);
    if (!args)
        return MM_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < batch->rows.count; i++) {
        const struct social_group_player *player = &batch->rows.items[i].player;
        struct mm_db_arg *row = &args[i * COLUMNS];
        row[0] = mm_db_str(batch->app->session);
        row[1] = mm_db_u64(player->id);
        row[2] = mm_db_str(player->username);
        row[3] = mm_db_str(player->display_id);
        row[4] = mm_db_i64(batch->now_ms);
    }
    enum mm_err err = mm_db_insert_rows(
        conn, "INSERT INTO players (session, player_id, username, display_id, seen_ms)",
        "ON DUPLICATE KEY UPDATE username = VALUES(username), display_id = VALUES(display_id), "
        "seen_ms = VALUES(seen_ms)",
        COLUMNS, args, batch->rows.count);
    mm_free(args);
    return err;
}

static void batch_free(struct batch *batch)
{
    mm_vec_free(&batch->rows);
    mm_free(batch);
}

static void flush(struct social_app *app);

static void batch_done(enum mm_err err, void *arg)
{
    struct batch *batch = arg;
    struct social_app *app = batch->app;
    struct social_players *players = app->players; // NULL: the service stops
    if (err != MM_OK && err != MM_CANCELLED)
        MM_LOG_WARN("who is here is written down later", "error=%s players=%zu", mm_err_name(err),
                    batch->rows.count);
    for (size_t i = 0; players && err == MM_OK && i < batch->rows.count; i++) {
        if (mm_idmap_count(players->known) >= KNOWN_MAX)
            mm_idmap_clear(players->known);
        const struct seen *seen = &batch->rows.items[i];
        (void)!mm_idmap_set(players->known, seen->player.id, seen->hash);
    }
    batch_free(batch);
    if (!players)
        return;
    players->busy = false;
    if (err == MM_OK)
        flush(app);
    else
        mm_vec_clear(&players->waiting);
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct seen *)a)->player.id, y = ((const struct seen *)b)->player.id;
    return x < y ? -1 : x > y;
}

static void flush(struct social_app *app)
{
    struct social_players *players = app->players;
    if (players->busy || players->waiting.count == 0)
        return;
    struct batch *batch = mm_calloc(1, sizeof *batch);
    if (!batch)
        return;
    *batch = (struct batch){.app = app, .now_ms = mm_clock_wall_ms()};
    mm_vec_init(&batch->rows, BATCH_MAX);
    while (players->waiting.count > 0 && batch->rows.count < BATCH_MAX &&
           mm_vec_push(&batch->rows, players->waiting.items[players->waiting.count - 1]))
        players->waiting.count--;
    // In one order, so that two instances do not wait for each other's rows.
    if (batch->rows.count > 1)
        qsort(batch->rows.items, batch->rows.count, sizeof *batch->rows.items, by_id);
    struct mm_db_job job = {.work = write_batch, .done = batch_done, .arg = batch};
    players->busy = batch->rows.count > 0 && mm_db_submit(app->db, &job) == MM_OK;
    if (!players->busy)
        batch_free(batch);
}

void social_players_see(struct social_app *app, Mmorts__Social__Member *const *members,
                        size_t count)
{
    struct social_players *players = app->players;
    for (size_t i = 0; mm_db_is_up(app->db) && i < count; i++) {
        uint64_t known = 0;
        struct seen seen = {.player.id = members[i]->player_id, .hash = hash_of(members[i])};
        if ((mm_idmap_get(players->known, seen.player.id, &known) && known == seen.hash) ||
            !mm_str_copy(seen.player.username, sizeof seen.player.username, members[i]->username) ||
            !mm_str_copy(seen.player.display_id, sizeof seen.player.display_id,
                         members[i]->display_id))
            continue;
        if (!mm_vec_push(&players->waiting, seen))
            break;
    }
    flush(app);
}

enum mm_err social_players_open(struct social_app *app)
{
    app->players = mm_calloc(1, sizeof *app->players);
    if (!app->players)
        return MM_RESOURCE_EXHAUSTED;
    mm_vec_init(&app->players->waiting, WAITING_MAX);
    app->players->known = mm_idmap_new(KNOWN_MAX);
    return app->players->known ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

void social_players_close(struct social_app *app)
{
    if (!app->players)
        return;
    mm_vec_free(&app->players->waiting);
    mm_idmap_free(app->players->known);
    mm_free(app->players);
    app->players = NULL;
}
