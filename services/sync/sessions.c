#include "services/sync/sessions.h"

#include <inttypes.h>

#include "gen/world.pb-c.h"
#include "libcommon/base/buf_json.h"
#include "libcommon/base/str.h"

// What a page shows its player to choose from. World's list is asked for every now and then, and
// told from memory: whoever looks costs the game nothing.

enum { ASK_EVERY_MS = 2000, CALL_MS = 3000 };

// NULL: nothing that could be joined.
static const char *state_word(Mmorts__Frame__SessionState state)
{
    switch (state) {
    case MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING:
        return "running";
    case MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED:
        return "paused";
    case MMORTS__FRAME__SESSION_STATE__SESSION_STATE_ENDED:
        return NULL;
    default:
        return "away";
    }
}

static void on_list(void *arg, const struct mm_rpc_result *result)
{
    struct sync_app *app = arg;
    app->sessions_call = 0;
    if (result->code != MM_OK)
        return; // the last one holds until there is another
    const Mmorts__World__ListSessionsReply *reply = (const void *)result->reply;
    struct mm_buf *out = &app->sessions_json;
    mm_buf_reset(out);
    MM_BUF_LIT(out, "{\"sessions\":[");
    for (size_t i = 0, told = 0; i < reply->n_sessions; i++) {
        const Mmorts__World__SessionInfo *info = reply->sessions[i];
        const char *state = state_word(info->state);
        if (!state)
            continue;
        if (told++ > 0)
            mm_buf_byte(out, ',');
        MM_BUF_LIT(out, "{\"session\":");
        mm_buf_json_cstr(out, info->session);
        mm_buf_printf(out, ",\"state\":\"%s\",\"empires\":%" PRIu32 ",\"max_players\":%" PRIu32,
                      state, info->empires, info->max_players);
        mm_buf_byte(out, '}');
    }
    MM_BUF_LIT(out, "]}");
}

void sync_sessions_ask(struct sync_app *app)
{
    uint64_t now_ns = mm_loop_now_ns(app->loop);
    if (app->lobby || app->sessions_call || now_ns < app->sessions_due_ns)
        return;
    app->sessions_due_ns = now_ns + MM_LOOP_MS(ASK_EVERY_MS);
    Mmorts__World__ListSessionsRequest request = MMORTS__WORLD__LIST_SESSIONS_REQUEST__INIT;
    struct mm_rpc_call_options options = {.deadline_ms = CALL_MS, .idempotent = true};
    if (mm_rpc_call(app->world, &mmorts__world__world__descriptor, "ListSessions", &request.base,
                    &options, on_list, app, &app->sessions_call) != MM_OK)
        app->sessions_call = 0;
}

void sync_sessions_serve(struct mm_http_request *request, void *arg)
{
    struct sync_app *app = arg;
    const struct mm_buf *list = &app->sessions_json;
    if (list->len == 0 || list->err != MM_OK) {
        mm_http_reply_error(request, MM_UNAVAILABLE, "the sessions are not known yet");
        return;
    }
    mm_http_add_header(request, "Cache-Control", "no-store");
    mm_http_reply(request, 200, "application/json", list->data, list->len);
}
