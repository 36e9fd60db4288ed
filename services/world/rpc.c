#include "services/world/shell.h"

#include "gen/auth.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include <string.h>

#define OPERATE MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE

struct world_shell *world_rpc_shell(struct mm_rpc_call *call, const char *session)
{
    struct world_shell *shell = mm_rpc_call_context(call);
    if (!mm_str_equal(session, mm_service_session(shell->service))) {
        mm_rpc_fail(call, MM_NOT_FOUND, "there is no such session");
        return NULL;
    }
    if (!shell->world) {
        mm_rpc_fail(call, MM_UNAVAILABLE, "the session is being restored");
        return NULL;
    }
    return shell;
}

// --- GetEntity, GetChunks -----------------------------------------------------------------------

static void tell_entity(struct world_shell *shell, struct world_waiter *waiter, uint64_t seq)
{
    const struct world_entity_view *view = waiter->content;
    if (seq == 0 && shell->pending_count > 0) {
        mm_rpc_fail(waiter->subject, MM_UNAVAILABLE, "the session is ending");
        return;
    }
    Mmorts__World__Hex place = MMORTS__WORLD__HEX__INIT;
    place.q = view->at.q;
    place.r = view->at.r;
    const struct world_type *type = &world_rules_of(shell->world)->types[view->type];
    Mmorts__World__GetEntityReply reply = MMORTS__WORLD__GET_ENTITY_REPLY__INIT;
    reply.id = view->id;
    reply.type = (char *)(uintptr_t)type->name;
    reply.kind = (Mmorts__Frame__Kind)type->kind;
    reply.owner = view->owner;
    reply.place = &place;
    reply.health = view->health;
    reply.activity = (Mmorts__Frame__Activity)view->activity;
    reply.tick = waiter->tick;
    reply.progress = view->progress;
    mm_rpc_reply(waiter->subject, &reply.base);
}

static void get_entity(Mmorts__World__World_Service *service,
                       const Mmorts__World__GetEntityRequest *input,
                       Mmorts__World__GetEntityReply_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = world_rpc_shell(data, input->session);
    if (!shell)
        return;
    struct world_entity_view view;
    if (!world_find_entity(shell->world, input->entity, &view)) {
        mm_rpc_fail(data, MM_NOT_FOUND, "there is no such entity");
        return;
    }
    struct world_waiter waiter = {.tell = tell_entity, .subject = data};
    waiter.content = mm_malloc(sizeof view);
    MM_CHECK(waiter.content);
    memcpy(waiter.content, &view, sizeof view);
    world_publish_wait(shell, &waiter);
}

static void get_chunks(Mmorts__World__World_Service *service,
                       const Mmorts__World__GetChunksRequest *input,
                       Mmorts__World__GetChunksReply_Closure closure, void *data)
{
    (void)service;
    struct world_shell *shell = world_rpc_shell(data, input->session);
    if (!shell)
        return;
    if (input->n_chunks > WORLD_CHUNKS_PER_CALL) {
        mm_rpc_fail(data, MM_INVALID_ARGUMENT, "more than %d chunks", WORLD_CHUNKS_PER_CALL);
        return;
    }
    if (input->n_known != 0 && input->n_known != input->n_chunks) {
        mm_rpc_fail(data, MM_INVALID_ARGUMENT, "known must be as many as chunks, or none");
        return;
    }
    // Chunks are a function of the seed: telling of one before its tick is durable betrays nothing
    // that could be taken back.
    Mmorts__World__GetChunksReply reply = MMORTS__WORLD__GET_CHUNKS_REPLY__INIT;
    struct world_chunk_wish wishes[WORLD_CHUNKS_PER_CALL];
    uint32_t unchanged[WORLD_CHUNKS_PER_CALL];
    for (size_t i = 0; i < input->n_chunks; i++)
        wishes[i] = (struct world_chunk_wish){{input->chunks[i]->q, input->chunks[i]->r},
                                              input->n_known != 0 ? input->known[i] : 0};
    mm_arena_reset(shell->tick_arena);
    reply.unchanged = unchanged;
    reply.chunks = world_chunk_columns(shell->world, wishes, input->n_chunks, shell->tick_arena,
                                       unchanged, &reply.n_unchanged);
    reply.catalogue_version = world_catalogue_version(shell->world);
    bool wants_catalogue = input->known_catalogue != reply.catalogue_version;
    if (wants_catalogue)
        reply.catalogue = world_catalogue(shell->world, shell->tick_arena);
    if (reply.chunks && (reply.catalogue || !wants_catalogue))
        closure(&reply, data);
    else
        mm_rpc_fail(data, MM_RESOURCE_EXHAUSTED, "out of memory");
}

// --- sessions -----------------------------------------------------------------------------------

void world_session_info(const struct world_shell *shell, Mmorts__World__SessionInfo *info)
{
    mmorts__world__session_info__init(info);
    info->session = (char *)(uintptr_t)mm_service_session(shell->service);
    info->uptime_ms = (mm_clock_ns() - shell->started_ns) / 1000000;
    info->reason = "";
    info->max_players = shell->max_players;
    if (!shell->world) {
        info->state = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_UNKNOWN;
        info->reason = "restoring";
        return;
    }
    info->reason = (char *)(uintptr_t)world_ticker_waits(shell);
    if (*info->reason == '\0' && !world_journal_available(shell))
        info->reason = "database";
    info->state = *info->reason ? MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED
                                : MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING;
    if (shell->stopping)
        info->state = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_STOPPING;
    info->tick = shell->published_tick;
    info->state_hash = shell->published_hash;
    info->empires = world_empire_count(shell->world);
    info->entities = world_entity_count(shell->world);
    info->chunks = world_chunk_count(shell->world);
}

static void get_session(Mmorts__World__World_Service *service,
                        const Mmorts__World__GetSessionRequest *input,
                        Mmorts__World__SessionInfo_Closure closure, void *data)
{
    (void)service;
    struct world_shell *shell = mm_rpc_call_context(data);
    if (!mm_str_equal(input->session, mm_service_session(shell->service))) {
        mm_rpc_fail(data, MM_NOT_FOUND, "there is no such session");
        return;
    }
    Mmorts__World__SessionInfo info;
    world_session_info(shell, &info);
    closure(&info, data);
}

// --- registration -------------------------------------------------------------------------------

// Over HTTP everything but the session's state is the operator's: players reach the world through
// sync alone, which knows who they are. All calls bear repetition: joins, commands and spawns are
// recognised, the rest says the same again.
static const struct mm_rpc_policy policies[] = {
    {.method = "Join", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "Leave", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "SubmitCommands", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "Spawn", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "Despawn", .permission = OPERATE, .mutating = true, .idempotent = false},
    {.method = "SetEntity", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "Announce", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "SetAlliances", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "SetSharing", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "GetEntity", .permission = OPERATE, .idempotent = true},
    {.method = "GetChunks", .permission = OPERATE, .idempotent = true},
    {.method = "GetSession", .permission = MM_RPC_PUBLIC, .idempotent = true},
    {.method = "ListSessions", .permission = MM_RPC_PUBLIC, .idempotent = true},
    {.method = "CreateSession", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "EndSession", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "FindSession", .permission = OPERATE, .idempotent = true},
    {.method = "PauseSession", .permission = OPERATE, .mutating = true, .idempotent = true},
    {.method = "ResumeSession", .permission = OPERATE, .mutating = true, .idempotent = true},
};

static Mmorts__World__World_Service service = {
    .base = MMORTS__WORLD__WORLD__BASE_INIT,
    .get_entity = get_entity,
    .get_chunks = get_chunks,
    .get_session = get_session,
    .list_sessions = world_list_sessions,
    .create_session = world_create_session,
    .end_session = world_end_session,
    .find_session = world_find_session,
};

void world_rpc_register(struct world_shell *shell)
{
    world_rpc_inputs(&service);
    mm_rpc_server_register(mm_service_rpc_server(shell->service), &service.base, shell, policies,
                           sizeof policies / sizeof policies[0]);
}
