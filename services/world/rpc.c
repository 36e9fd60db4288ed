#include "services/world/shell.h"

#include "gen/auth.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/str.h"
#include <string.h>

#define OPERATE MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE

// --- what all handlers need ---------------------------------------------------------------------

void world_call_free(struct world_call *call)
{
    mm_free(call->entities);
    mm_free(call);
}

void world_call_refuse(struct world_call *call, enum mm_err err, const char *message)
{
    if (call->call)
        mm_rpc_fail(call->call, err, "%s", message);
    world_call_free(call);
}

// The shell, if the session is the one asked for and runs; else the call has been failed.
static struct world_shell *shell_of(struct mm_rpc_call *call, const char *session)
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

static struct world_call *make_call(struct mm_rpc_call *rpc, size_t asked_count,
                                    void (*answer)(struct world_shell *, struct world_call *))
{
    struct world_call *call = mm_calloc(1, sizeof *call + asked_count * sizeof call->asked[0]);
    if (!call) {
        mm_rpc_fail(rpc, MM_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    call->call = rpc;
    call->answer = answer;
    call->asked_count = asked_count;
    for (size_t i = 0; i < asked_count; i++)
        mmorts__world__input__init(&call->asked[i].input);
    return call;
}

// An input borrows the request, which lives until the answer.
#define BORROW(type, request) ((type *)(uintptr_t)(request))

static bool failed(const struct world_call *call)
{
    const struct world_result *result = &call->asked[0].result;
    if (result->err == MM_OK)
        return false;
    mm_rpc_fail(call->call, result->err, "%s", result->message);
    return true;
}

// --- Join, Leave --------------------------------------------------------------------------------

static void answer_join(struct world_shell *shell, struct world_call *call)
{
    (void)shell;
    const struct world_result *result = &call->asked[0].result;
    if (failed(call))
        return;
    Mmorts__World__JoinReply reply = MMORTS__WORLD__JOIN_REPLY__INIT;
    reply.empire = result->empire;
    reply.empire_id = result->empire_id;
    reply.tick = result->tick;
    reply.home_q = result->home.q;
    reply.home_r = result->home.r;
    reply.founded = result->founded;
    reply.last_client_seq = result->last_client_seq;
    mm_rpc_reply(call->call, &reply.base);
}

// Whether one more player may found an empire, those whose joins wait for their tick included.
static bool is_full(const struct world_shell *shell, uint64_t player_id)
{
    struct world_empire_view view;
    if (shell->max_players == 0 || world_empire_of_player(shell->world, player_id, &view))
        return false;
    uint64_t count = world_empire_count(shell->world);
    for (const struct world_call *call = shell->calls; call; call = call->next) {
        const world_input *input = &call->asked[0].input;
        if (input->input_case == MMORTS__WORLD__INPUT__INPUT_JOIN &&
            !world_empire_of_player(shell->world, input->join->player_id, &view))
            count++;
    }
    return count >= shell->max_players;
}

static void join(Mmorts__World__World_Service *service, const Mmorts__World__JoinRequest *input,
                 Mmorts__World__JoinReply_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = shell_of(data, input->session);
    if (shell && is_full(shell, input->player_id)) {
        mm_rpc_fail(data, MM_FAILED_PRECONDITION, "the session is full");
        return;
    }
    struct world_call *call = shell ? make_call(data, 1, answer_join) : NULL;
    if (!call)
        return;
    call->asked[0].input.input_case = MMORTS__WORLD__INPUT__INPUT_JOIN;
    call->asked[0].input.join = BORROW(Mmorts__World__JoinRequest, input);
    world_ticker_take(shell, call);
}

// An empire and its units stay when their player goes; there is nothing to be done in the world.
static void leave(Mmorts__World__World_Service *service, const Mmorts__World__LeaveRequest *input,
                  Mmorts__World__LeaveReply_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = shell_of(data, input->session);
    if (!shell)
        return;
    struct world_empire_view view;
    if (!world_empire_of_player(shell->world, input->player_id, &view)) {
        mm_rpc_fail(data, MM_NOT_FOUND, "the player has not joined");
        return;
    }
    Mmorts__World__LeaveReply reply = MMORTS__WORLD__LEAVE_REPLY__INIT;
    mm_rpc_reply(data, &reply.base);
}

// --- SubmitCommands -----------------------------------------------------------------------------

static void answer_commands(struct world_shell *shell, struct world_call *call)
{
    (void)shell;
    size_t count = call->asked_count;
    Mmorts__World__CommandResult *results = mm_calloc(count + 1, sizeof *results);
    Mmorts__World__CommandResult **list = mm_calloc(count + 1, sizeof *list);
    MM_CHECK(results && list);
    for (size_t i = 0; i < count; i++) {
        const struct world_result *result = &call->asked[i].result;
        mmorts__world__command_result__init(&results[i]);
        results[i].reason = (Mmorts__World__CommandReason)result->reason;
        results[i].message = (char *)(uintptr_t)result->message;
        results[i].tick = result->tick;
        list[i] = &results[i];
    }
    Mmorts__World__SubmitCommandsReply reply = MMORTS__WORLD__SUBMIT_COMMANDS_REPLY__INIT;
    reply.n_results = count;
    reply.results = list;
    mm_rpc_reply(call->call, &reply.base);
    mm_free(list);
    mm_free(results);
}

static void submit_commands(Mmorts__World__World_Service *service,
                            const Mmorts__World__SubmitCommandsRequest *input,
                            Mmorts__World__SubmitCommandsReply_Closure closure, void *data)
{
    (void)service;
    struct world_shell *shell = shell_of(data, input->session);
    if (!shell)
        return;
    if (input->n_commands > WORLD_COMMANDS_PER_CALL) {
        mm_rpc_fail(data, MM_INVALID_ARGUMENT, "more than %d commands", WORLD_COMMANDS_PER_CALL);
        return;
    }
    if (input->n_commands == 0) {
        Mmorts__World__SubmitCommandsReply reply = MMORTS__WORLD__SUBMIT_COMMANDS_REPLY__INIT;
        closure(&reply, data);
        return;
    }
    struct world_call *call = make_call(data, input->n_commands, answer_commands);
    if (!call)
        return;
    for (size_t i = 0; i < input->n_commands; i++) {
        call->asked[i].input.input_case = MMORTS__WORLD__INPUT__INPUT_COMMAND;
        call->asked[i].input.command = input->commands[i];
    }
    world_ticker_take(shell, call);
}

// --- Spawn, Despawn -----------------------------------------------------------------------------

static void answer_spawn(struct world_shell *shell, struct world_call *call)
{
    (void)shell;
    const struct world_result *result = &call->asked[0].result;
    if (failed(call))
        return;
    Mmorts__World__SpawnReply reply = MMORTS__WORLD__SPAWN_REPLY__INIT;
    reply.n_entities = result->entity_count;
    reply.entities = result->entities;
    reply.tick = result->tick;
    reply.repeated_key = result->repeated_key;
    mm_rpc_reply(call->call, &reply.base);
}

static void spawn(Mmorts__World__World_Service *service, const Mmorts__World__SpawnRequest *input,
                  Mmorts__World__SpawnReply_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = shell_of(data, input->session);
    struct world_call *call = shell ? make_call(data, 1, answer_spawn) : NULL;
    if (!call)
        return;
    call->asked[0].input.input_case = MMORTS__WORLD__INPUT__INPUT_SPAWN;
    call->asked[0].input.spawn = BORROW(Mmorts__World__SpawnRequest, input);
    world_ticker_take(shell, call);
}

static void answer_despawn(struct world_shell *shell, struct world_call *call)
{
    (void)shell;
    if (failed(call))
        return;
    Mmorts__World__DespawnReply reply = MMORTS__WORLD__DESPAWN_REPLY__INIT;
    reply.tick = call->asked[0].result.tick;
    mm_rpc_reply(call->call, &reply.base);
}

static void despawn(Mmorts__World__World_Service *service,
                    const Mmorts__World__DespawnRequest *input,
                    Mmorts__World__DespawnReply_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = shell_of(data, input->session);
    struct world_call *call = shell ? make_call(data, 1, answer_despawn) : NULL;
    if (!call)
        return;
    call->asked[0].input.input_case = MMORTS__WORLD__INPUT__INPUT_DESPAWN;
    call->asked[0].input.despawn = BORROW(Mmorts__World__DespawnRequest, input);
    world_ticker_take(shell, call);
}

// --- SetEntity, Announce ------------------------------------------------------------------------

static void answer_set_entity(struct world_shell *shell, struct world_call *call)
{
    (void)shell;
    if (failed(call))
        return;
    Mmorts__World__SetEntityReply reply = MMORTS__WORLD__SET_ENTITY_REPLY__INIT;
    reply.tick = call->asked[0].result.tick;
    reply.repeated_key = call->asked[0].result.repeated_key;
    mm_rpc_reply(call->call, &reply.base);
}

static void set_entity(Mmorts__World__World_Service *service,
                       const Mmorts__World__SetEntityRequest *input,
                       Mmorts__World__SetEntityReply_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = shell_of(data, input->session);
    struct world_call *call = shell ? make_call(data, 1, answer_set_entity) : NULL;
    if (!call)
        return;
    call->asked[0].input.input_case = MMORTS__WORLD__INPUT__INPUT_SET_ENTITY;
    call->asked[0].input.set_entity = BORROW(Mmorts__World__SetEntityRequest, input);
    world_ticker_take(shell, call);
}

static void answer_announce(struct world_shell *shell, struct world_call *call)
{
    (void)shell;
    if (failed(call))
        return;
    Mmorts__World__AnnounceReply reply = MMORTS__WORLD__ANNOUNCE_REPLY__INIT;
    reply.tick = call->asked[0].result.tick;
    reply.repeated_key = call->asked[0].result.repeated_key;
    mm_rpc_reply(call->call, &reply.base);
}

static void announce(Mmorts__World__World_Service *service,
                     const Mmorts__World__AnnounceRequest *input,
                     Mmorts__World__AnnounceReply_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = shell_of(data, input->session);
    struct world_call *call = shell ? make_call(data, 1, answer_announce) : NULL;
    if (!call)
        return;
    call->asked[0].input.input_case = MMORTS__WORLD__INPUT__INPUT_ANNOUNCE;
    call->asked[0].input.announce = BORROW(Mmorts__World__AnnounceRequest, input);
    world_ticker_take(shell, call);
}

static void answer_alliances(struct world_shell *shell, struct world_call *call)
{
    (void)shell;
    if (failed(call))
        return;
    Mmorts__World__SetAlliancesReply reply = MMORTS__WORLD__SET_ALLIANCES_REPLY__INIT;
    reply.tick = call->asked[0].result.tick;
    mm_rpc_reply(call->call, &reply.base);
}

static void set_alliances(Mmorts__World__World_Service *service,
                          const Mmorts__World__SetAlliancesRequest *input,
                          Mmorts__World__SetAlliancesReply_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = shell_of(data, input->session);
    struct world_call *call = shell ? make_call(data, 1, answer_alliances) : NULL;
    if (!call)
        return;
    call->asked[0].input.input_case = MMORTS__WORLD__INPUT__INPUT_SET_ALLIANCES;
    call->asked[0].input.set_alliances = BORROW(Mmorts__World__SetAlliancesRequest, input);
    world_ticker_take(shell, call);
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
    struct world_shell *shell = shell_of(data, input->session);
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
    struct world_shell *shell = shell_of(data, input->session);
    if (!shell)
        return;
    if (input->n_chunks > WORLD_CHUNKS_PER_CALL) {
        mm_rpc_fail(data, MM_INVALID_ARGUMENT, "more than %d chunks", WORLD_CHUNKS_PER_CALL);
        return;
    }
    Mmorts__World__GetChunksReply reply = MMORTS__WORLD__GET_CHUNKS_REPLY__INIT;
    if (input->known_version == world_map_version(shell->world)) {
        reply.unchanged = true;
        closure(&reply, data);
        return;
    }
    // Chunks are a function of the seed: telling of one before its tick is durable betrays nothing
    // that could be taken back.
    struct hex_axial hexes[WORLD_CHUNKS_PER_CALL];
    for (size_t i = 0; i < input->n_chunks; i++)
        hexes[i] = (struct hex_axial){input->chunks[i]->q, input->chunks[i]->r};
    mm_arena_reset(shell->tick_arena);
    reply.chunks = world_chunk_columns(shell->world, hexes, input->n_chunks, shell->tick_arena);
    reply.catalogue = world_catalogue(shell->world, shell->tick_arena);
    if (reply.chunks && reply.catalogue)
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

static void answer_session(struct world_shell *shell, struct world_call *call)
{
    Mmorts__World__SessionInfo info;
    world_session_info(shell, &info);
    mm_rpc_reply(call->call, &info.base);
}

static void pause_or_resume(struct mm_rpc_call *rpc, const char *session, bool pause)
{
    struct world_shell *shell = shell_of(rpc, session);
    struct world_call *call = shell ? make_call(rpc, 1, answer_session) : NULL;
    if (!call)
        return;
    world_input *input = &call->asked[0].input;
    input->input_case =
        pause ? MMORTS__WORLD__INPUT__INPUT_PAUSE : MMORTS__WORLD__INPUT__INPUT_RESUME;
    input->pause = true; // one member of a union with resume
    world_ticker_take(shell, call);
}

static void pause_session(Mmorts__World__World_Service *service,
                          const Mmorts__World__PauseSessionRequest *input,
                          Mmorts__World__SessionInfo_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    pause_or_resume(data, input->session, true);
}

static void resume_session(Mmorts__World__World_Service *service,
                           const Mmorts__World__ResumeSessionRequest *input,
                           Mmorts__World__SessionInfo_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    pause_or_resume(data, input->session, false);
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
    .join = join,
    .leave = leave,
    .submit_commands = submit_commands,
    .spawn = spawn,
    .despawn = despawn,
    .set_entity = set_entity,
    .announce = announce,
    .set_alliances = set_alliances,
    .get_entity = get_entity,
    .get_chunks = get_chunks,
    .get_session = get_session,
    .list_sessions = world_list_sessions,
    .create_session = world_create_session,
    .end_session = world_end_session,
    .find_session = world_find_session,
    .pause_session = pause_session,
    .resume_session = resume_session,
};

void world_rpc_register(struct world_shell *shell)
{
    mm_rpc_server_register(mm_service_rpc_server(shell->service), &service.base, shell, policies,
                           sizeof policies / sizeof policies[0]);
}
