#include <inttypes.h>

#include "libcommon/base/log.h"
#include "services/sync/app.h"

// The session's state, as clients are told it.

static bool is_stalled(const struct sync_app *app)
{
    return mm_loop_now_ns(app->loop) - app->stepped_ns >= MM_LOOP_MS(SYNC_STALL_MS);
}

static uint32_t state_now(const struct sync_app *app)
{
    uint32_t state = app->core.mirror.state;
    // Without ticks nothing moves, whoever is to blame.
    if (state == MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING && is_stalled(app))
        return MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED;
    return state;
}

static const char *state_name(uint32_t state)
{
    switch (state) {
    case MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING:
        return "running";
    case MMORTS__FRAME__SESSION_STATE__SESSION_STATE_STOPPING:
        return "stopping";
    default:
        return "paused";
    }
}

void sync_status_write(struct sync_app *app, struct mm_buf *out)
{
    size_t players = sync_roster_count(app);
    uint64_t tick = app->core.mirror.tick;
    uint32_t rate = app->core.mirror.catalogue.tick_rate_hz;
    mm_buf_printf(out,
                  "{\"state\":\"%s\",\"player_count\":%zu,\"max_players\":%" PRId64
                  ",\"server_tick\":%" PRIu64 ",\"uptime\":%" PRIu64 "}",
                  state_name(state_now(app)), players, app->settings.clients_max, tick,
                  rate ? tick / rate : 0);
}

static void write_message(struct sync_app *app)
{
    mm_buf_reset(&app->scratch);
    MM_BUF_LIT(&app->scratch, "{\"type\":\"session_status\",\"payload\":");
    sync_status_write(app, &app->scratch);
    mm_buf_byte(&app->scratch, '}');
}

void sync_status_send(struct sync_client *client)
{
    write_message(client->app);
    sync_client_send(client, &client->app->scratch);
}

void sync_status_tell(struct sync_app *app)
{
    uint32_t state = state_now(app);
    if (state == app->session_state)
        return;
    app->session_state = state;
    write_message(app);
    sync_talk_broadcast(app, &app->scratch);
    MM_LOG_INFO("session state", "state=%s tick=%" PRIu64, state_name(state),
                app->core.mirror.tick);
}
