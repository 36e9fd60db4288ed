#include <inttypes.h>
#include <string.h>

#include "libcommon/base/buf_json.h"
#include "libcommon/base/log.h"
#include "libcommon/io/trace.h"
#include "services/sync/app.h"

// What is kept of a client whose connection ended, so that it can go on where it stopped: where it
// was in its view's stream. The view itself lives on for a while at a seat without clients.
//
// A token names the process and a trail of it: 16 and 32 hexadecimal digits. It is a secret of the
// player's, but lets nobody in: whoever presents it has shown a JWT, and is looked up among the
// trails of that player's own seat.

enum { INSTANCE_DIGITS = 2 * SYNC_INSTANCE_BYTES, SECRET_DIGITS = 2 * SYNC_SECRET_BYTES };
static_assert(INSTANCE_DIGITS + SECRET_DIGITS + 1 == SYNC_RESUME_TEXT_BYTES, "a token's text");

const char *const sync_resume_words[SYNC_RESUME_RESULTS] = {
    "resumed", "off", "other_instance", "unknown", "encoding", "too_old", "longer",
};

static const struct sync_app *lobby_of(const struct sync_app *app)
{
    return app->lobby ? app->lobby : app;
}

static bool read_hex(const char *text, size_t bytes, uint8_t *out)
{
    for (size_t i = 0; i < 2 * bytes; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (digit - digits));
    }
    return true;
}

// Takes as long however much of it is right.
static bool same_secret(const uint8_t *a, const uint8_t *b)
{
    unsigned difference = 0;
    for (size_t i = 0; i < SYNC_SECRET_BYTES; i++)
        difference |= (unsigned)(a[i] ^ b[i]);
    return difference == 0;
}

void sync_trail_write_token(const struct sync_client *client, struct mm_buf *out)
{
    MM_BUF_LIT(out, ",\"resume\":\"");
    mm_buf_hex(out, lobby_of(client->app)->instance, SYNC_INSTANCE_BYTES);
    mm_buf_hex(out, client->trail.secret, SYNC_SECRET_BYTES);
    mm_buf_byte(out, '"');
}

// --- keeping ------------------------------------------------------------------------------------

void sync_trail_told_all(struct sync_client *client)
{
    const struct sync_view *view = client->seat->view;
    uint64_t tick = client->app->core.mirror.tick;
    // Who knows this tick from before may have received nothing of all that is told in it anew.
    bool known = client->updated_tick >= tick || client->tick_min >= tick;
    client->trail.first_tick = known ? tick + 1 : tick;
    client->trail.generation = view->generation;
    client->trail.names_epoch = view->names_epoch;
    client->trail.aligned = false;
}

static uint64_t keep_ns(const struct sync_app *app)
{
    return (uint64_t)app->settings.resume_ticks * sync_tick_ns(app);
}

bool sync_trail_keep(struct sync_client *client)
{
    struct sync_app *app = client->app;
    struct sync_seat *seat = client->seat;
    struct sync_trail *trail = &client->trail;
    if (app->settings.resume_ticks == 0 || trail->first_tick == 0 || app->draining ||
        seat->view->state != SYNC_VIEW_LIVE)
        return false;
    trail->encoding = client->encoding;
    trail->map_version = client->map_version;
    trail->told_tick = client->updated_tick;
    // It became live again under the client: what it was told meanwhile it followed.
    trail->generation = seat->view->generation;
    trail->until_ns = mm_loop_now_ns(app->loop) + keep_ns(app);
    if (seat->trails.count == SYNC_TRAILS_MAX)
        memmove(seat->trails.items, seat->trails.items + 1,
                --seat->trails.count * sizeof *seat->trails.items);
    return mm_vec_push(&seat->trails, *trail);
}

bool sync_trails_may_wait(const struct sync_app *app)
{
    return app->seats_kept < (size_t)app->settings.resume_views_max;
}

// --- coming back ---------------------------------------------------------------------------------

static struct sync_trail *find(struct sync_seat *seat, const uint8_t *secret)
{
    for (size_t i = 0; i < seat->trails.count; i++) {
        if (same_secret(seat->trails.items[i].secret, secret))
            return &seat->trails.items[i];
    }
    return NULL;
}

static bool read_token(const struct sync_client *client, uint8_t *instance, uint8_t *secret)
{
    return strlen(client->resume) == INSTANCE_DIGITS + SECRET_DIGITS &&
           read_hex(client->resume, SYNC_INSTANCE_BYTES, instance) &&
           read_hex(client->resume + INSTANCE_DIGITS, SYNC_SECRET_BYTES, secret);
}

bool sync_trail_goes_on(const struct sync_client *client, const struct sync_client *other)
{
    uint8_t instance[SYNC_INSTANCE_BYTES] = {0}, secret[SYNC_SECRET_BYTES] = {0};
    return client != other && other->trail.first_tick != 0 &&
           read_token(client, instance, secret) && same_secret(other->trail.secret, secret);
}

// Its old connection may not have ended for us yet: it ends now.
static void end_older(const struct sync_client *client)
{
    for (struct sync_client *c = client->seat->clients; c; c = c->beside) {
        if (sync_trail_goes_on(client, c)) {
            sync_client_close(c, 4409, "replaced", "You connected again.");
            return;
        }
    }
}

static struct sync_place_in_stream place_of(const struct sync_trail *trail,
                                            struct sync_position position)
{
    // Of a tick in which several clients of a view were led to the same one, it may have been told
    // the number alone.
    if (trail->aligned && position.settled == position.tick && position.settled > 0)
        position.settled--;
    return (struct sync_place_in_stream){position, trail->generation, trail->names_epoch};
}

// Puts what is to be told into app->resumed_buf and app->news.
static enum sync_resume_result prepare(struct sync_client *client, const struct sync_trail *trail,
                                       struct sync_position position)
{
    struct sync_app *app = client->app;
    struct sync_place_in_stream place = place_of(trail, position);
    if (!sync_resume_possible(&app->core, client->seat->view, &place))
        return SYNC_RESUME_TOO_OLD;
    mm_buf_reset(&app->resumed_buf);
    return sync_resume_begin(&app->core, client->seat->view, client->encoding, &place,
                             &app->resumed_buf, &app->news)
               ? SYNC_RESUMED
               : SYNC_RESUME_LONGER;
}

static enum sync_resume_result return_to(struct sync_client *client)
{
    const struct sync_app *app = client->app;
    uint8_t instance[SYNC_INSTANCE_BYTES] = {0}, secret[SYNC_SECRET_BYTES] = {0};
    if (app->settings.resume_ticks == 0)
        return SYNC_RESUME_OFF;
    if (!read_token(client, instance, secret))
        return SYNC_RESUME_UNKNOWN;
    if (memcmp(instance, lobby_of(app)->instance, sizeof instance) != 0)
        return SYNC_RESUME_OTHER_INSTANCE;
    end_older(client);
    struct sync_seat *seat = client->seat;
    struct sync_trail *trail = find(seat, secret);
    struct sync_position position = client->position;
    if (!trail || position.tick > trail->told_tick)
        return SYNC_RESUME_UNKNOWN;
    if (trail->encoding != client->encoding)
        return SYNC_RESUME_ENCODING;
    if (position.tick < trail->first_tick)
        return SYNC_RESUME_TOO_OLD;
    enum sync_resume_result result = prepare(client, trail, position);
    if (result != SYNC_RESUMED)
        return result;
    // It goes on as what it was, under the same token: should this connection end before the token
    // is known at the other end, the old one is still good.
    client->trail = *trail;
    client->settled_tick = position.settled;
    client->map_version = trail->map_version;
    client->updated_tick = position.tick;
    size_t at = (size_t)(trail - seat->trails.items);
    memmove(trail, trail + 1, (--seat->trails.count - at) * sizeof *trail);
    return SYNC_RESUMED;
}

static void count(struct sync_app *app, enum sync_resume_result result)
{
    mm_counter_add(app->metrics.resumes[result], 1);
}

enum sync_resume_result sync_trail_resume(struct sync_client *client)
{
    enum sync_resume_result result = return_to(client);
    count(client->app, result);
    if (result != SYNC_RESUMED)
        MM_LOG_DEBUG("not resumed", "player=%" PRIu64 " reason=%s", client->player_id,
                     sync_resume_words[result]);
    return result;
}

bool sync_trail_catch_up(struct sync_client *client)
{
    struct sync_app *app = client->app;
    if (app->settings.resume_ticks == 0 || client->trail.first_tick == 0)
        return false;
    // While the client is connected, what happens to its view happens to it.
    client->trail.generation = client->seat->view->generation;
    struct sync_position position = {client->settled_tick, client->updated_tick};
    bool caught_up = prepare(client, &client->trail, position) == SYNC_RESUMED;
    mm_counter_add(caught_up ? app->metrics.caught_up : app->metrics.not_caught_up, 1);
    return caught_up;
}

void sync_trail_new(struct sync_client *client)
{
    memset(&client->trail, 0, sizeof client->trail);
    mm_random_bytes(client->trail.secret, sizeof client->trail.secret);
}

// --- forgetting ----------------------------------------------------------------------------------

void sync_trails_expire(struct sync_seat *seat, uint64_t now_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < seat->trails.count; i++) {
        if (seat->trails.items[i].until_ns > now_ns)
            seat->trails.items[kept++] = seat->trails.items[i];
    }
    seat->trails.count = kept;
}

void sync_trails_trim(struct sync_app *app)
{
    uint64_t tick = app->core.mirror.tick, every = (uint64_t)app->settings.resume_reconcile_ticks;
    if (app->settings.resume_ticks == 0 || app->core.views.count == 0 || tick <= app->trimmed_tick)
        return;
    // So many of the views that each has its turn once in the interval.
    uint64_t due = app->core.views.count * (tick - app->trimmed_tick) / every + 1;
    app->trimmed_tick = tick;
    for (; due > 0; due--) {
        app->trimmed_view = (app->trimmed_view + 1) % app->core.views.count;
        struct sync_view *view = app->core.views.items[app->trimmed_view];
        if (view)
            sync_history_trim(&view->history, tick, app->core.history_ticks);
    }
}
