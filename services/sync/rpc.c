#include "gen/sync.pb-c.h"
#include "libcommon/base/log.h"
#include "services/sync/app.h"
#include "services/sync/rooms.h"

#include <inttypes.h>

// The service's own RPC methods, for operators and other services.

static void sync_rpc_get_stats(Mmorts__Sync__Sync_Service *service,
                               const Mmorts__Sync__GetStatsRequest *input,
                               Mmorts__Sync__GetStatsReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)input;
    struct sync_app *app = mm_rpc_call_context(closure_data);
    Mmorts__Sync__GetStatsReply reply = MMORTS__SYNC__GET_STATS_REPLY__INIT;
    reply.connections = (uint32_t)sync_rooms_clients(app);
    reply.tick = app->core.mirror.tick;
    reply.tick_received = app->core.world_newest;
    size_t cursor = 0;
    for (struct sync_app *each; (each = sync_rooms_next(app, &cursor)) != NULL;) {
        reply.bytes_sent += each->bytes_out;
        reply.messages_sent += each->messages_out;
        for (size_t i = 0; i < each->clients.count; i++) {
            const struct sync_client *client = each->clients.items[i];
            reply.players += client->state == SYNC_CLIENT_PLAYING;
            reply.behind += client->behind;
            reply.bytes_sent += client->outbox.bytes_total;
            reply.messages_sent += client->outbox.frames_total;
        }
    }
    closure(&reply, closure_data);
}

static void sync_rpc_disconnect(Mmorts__Sync__Sync_Service *service,
                                const Mmorts__Sync__DisconnectRequest *input,
                                Mmorts__Sync__DisconnectReply_Closure closure, void *closure_data)
{
    (void)service;
    struct sync_app *app = mm_rpc_call_context(closure_data);
    Mmorts__Sync__DisconnectReply reply = MMORTS__SYNC__DISCONNECT_REPLY__INIT;
    size_t cursor = 0;
    for (struct sync_app *each; (each = sync_rooms_next(app, &cursor)) != NULL;) {
        struct sync_client *client = sync_clients_of_player(each, input->player_id);
        if (!client)
            continue;
        const char *reason = input->reason[0] ? input->reason : "Disconnected by an operator.";
        for (; client; client = client->beside) {
            sync_client_close(client, SYNC_WS_POLICY, "disconnected", reason);
            reply.closed++;
        }
        MM_LOG_INFO("player disconnected by an operator", "player=%" PRIu64, input->player_id);
    }
    closure(&reply, closure_data);
}

static void sync_rpc_drain(Mmorts__Sync__Sync_Service *service,
                           const Mmorts__Sync__DrainRequest *input,
                           Mmorts__Sync__DrainReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)input;
    struct sync_app *app = mm_rpc_call_context(closure_data);
    Mmorts__Sync__DrainReply reply = MMORTS__SYNC__DRAIN_REPLY__INIT;
    reply.closing = sync_drain(app);
    closure(&reply, closure_data);
}

static Mmorts__Sync__Sync_Service sync_service = MMORTS__SYNC__SYNC__INIT(sync_rpc_);

static const struct mm_rpc_policy sync_policies[] = {
    {.method = "GetStats",
     .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
     .idempotent = true},
    {.method = "Disconnect",
     .permission = MMORTS__AUTH__PERMISSION__PERMISSION_MODERATE,
     .mutating = true,
     .idempotent = true},
    {.method = "Drain",
     .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
     .mutating = true,
     .idempotent = true},
};

void sync_rpc_register(struct sync_app *app)
{
    mm_rpc_server_register(mm_service_rpc_server(app->service), &sync_service.base, app,
                           sync_policies, sizeof sync_policies / sizeof *sync_policies);
}
