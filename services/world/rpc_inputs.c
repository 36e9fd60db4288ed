#include "services/world/shell.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/seq.h"
#include <string.h>

// The calls that change something: each becomes inputs of a tick and is answered when that tick is
// durable.

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

// A range of numbers that the player was not given before: later than all that were used, and than
// those given since the process began; those given before that lie behind by the clock.
static uint64_t next_seq(struct world_shell *shell, uint64_t player_id, uint64_t last_seq)
{
    uint64_t range = (uint64_t)mm_clock_wall_ms() / 1000, given = 0;
    if (range < shell->seq_range_min)
        range = shell->seq_range_min;
    if (last_seq != 0 && range <= mm_seq_range(last_seq))
        range = mm_seq_range(last_seq) + 1;
    if (mm_idmap_get(shell->seq_ranges, player_id, &given) && range <= given)
        range = given + 1;
    MM_CHECK(mm_idmap_set(shell->seq_ranges, player_id, range) == MM_OK);
    return mm_seq_range_begin(range);
}

static void answer_join(struct world_shell *shell, struct world_call *call)
{
    const struct world_result *result = &call->asked[0].result;
    uint64_t player_id = call->asked[0].input.join->player_id;
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
    reply.next_client_seq = next_seq(shell, player_id, result->last_client_seq);
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
    struct world_shell *shell = world_rpc_shell(data, input->session);
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
    struct world_shell *shell = world_rpc_shell(data, input->session);
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
        results[i].retry_after_ms = result->retry_after_ticks * (1000 / WORLD_TICK_RATE_HZ);
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
    struct world_shell *shell = world_rpc_shell(data, input->session);
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
    struct world_shell *shell = world_rpc_shell(data, input->session);
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
    struct world_shell *shell = world_rpc_shell(data, input->session);
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
    struct world_shell *shell = world_rpc_shell(data, input->session);
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
    struct world_shell *shell = world_rpc_shell(data, input->session);
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
    struct world_shell *shell = world_rpc_shell(data, input->session);
    struct world_call *call = shell ? make_call(data, 1, answer_alliances) : NULL;
    if (!call)
        return;
    call->asked[0].input.input_case = MMORTS__WORLD__INPUT__INPUT_SET_ALLIANCES;
    call->asked[0].input.set_alliances = BORROW(Mmorts__World__SetAlliancesRequest, input);
    world_ticker_take(shell, call);
}

static void answer_sharing(struct world_shell *shell, struct world_call *call)
{
    (void)shell;
    if (failed(call))
        return;
    Mmorts__World__SetSharingReply reply = MMORTS__WORLD__SET_SHARING_REPLY__INIT;
    reply.tick = call->asked[0].result.tick;
    mm_rpc_reply(call->call, &reply.base);
}

static void set_sharing(Mmorts__World__World_Service *service,
                        const Mmorts__World__SetSharingRequest *input,
                        Mmorts__World__SetSharingReply_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = world_rpc_shell(data, input->session);
    struct world_call *call = shell ? make_call(data, 1, answer_sharing) : NULL;
    if (!call)
        return;
    call->asked[0].input.input_case = MMORTS__WORLD__INPUT__INPUT_SET_SHARING;
    call->asked[0].input.set_sharing = BORROW(Mmorts__World__SetSharingRequest, input);
    world_ticker_take(shell, call);
}

// --- PauseSession, ResumeSession ----------------------------------------------------------------

static void answer_session(struct world_shell *shell, struct world_call *call)
{
    Mmorts__World__SessionInfo info;
    world_session_info(shell, &info);
    mm_rpc_reply(call->call, &info.base);
}

static void pause_or_resume(struct mm_rpc_call *rpc, const char *session, bool pause)
{
    struct world_shell *shell = world_rpc_shell(rpc, session);
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

void world_rpc_inputs(Mmorts__World__World_Service *service)
{
    service->join = join;
    service->leave = leave;
    service->submit_commands = submit_commands;
    service->spawn = spawn;
    service->despawn = despawn;
    service->set_entity = set_entity;
    service->announce = announce;
    service->set_alliances = set_alliances;
    service->set_sharing = set_sharing;
    service->pause_session = pause_session;
    service->resume_session = resume_session;
}
