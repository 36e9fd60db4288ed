#include "services/world/directory.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/db.h"
#include "libcommon/io/pb.h"
#include "services/world/shell.h"
#include <string.h>

// The directory as this process knows it: read again with every sign of life that it gives, and
// after every change asked of it. Calls are answered from that copy, so that nobody who lists
// sessions keeps MariaDB busy.

enum { LANE_DIRECTORY = 3, DIRECTORY_DEADLINE_MS = 5000 };

struct world_directory {
    struct world_entry *entries; // WORLD_SESSIONS_LISTED_MAX
    size_t count;
    uint64_t read_ns; // when
    bool telling;
    struct mm_loop_timer timer;
    uint8_t addresses[WORLD_ADDRESSES_BYTES_MAX]; // our own, packed
    size_t addresses_len;
};

// A visit to the database: says that we live, or makes or ends a session; then reads them all.
struct visit {
    struct world_shell *shell;
    struct mm_rpc_call *call; // NULL: of our own accord
    char session[WORLD_SESSION_BYTES];
    enum { VISIT_TELL, VISIT_CREATE, VISIT_END } kind;
    struct world_presence presence;
    uint8_t key[WORLD_CREATE_KEY_BYTES_MAX];
    size_t key_len;
    uint64_t seed;
    uint32_t max_players;
    struct world_entry *entries; // WORLD_SESSIONS_LISTED_MAX
    size_t count;
};

// --- what it says -------------------------------------------------------------------------------

static const struct world_entry *find(const struct world_shell *shell, const char *session)
{
    const struct world_directory *directory = shell->directory;
    for (size_t i = 0; i < directory->count; i++)
        if (mm_str_equal(directory->entries[i].session, session))
            return &directory->entries[i];
    return NULL;
}

static void entry_info(const struct world_shell *shell, const struct world_entry *entry,
                       Mmorts__World__SessionInfo *info)
{
    if (mm_str_equal(entry->session, mm_service_session(shell->service))) {
        world_session_info(shell, info);
        return;
    }
    mmorts__world__session_info__init(info);
    info->session = (char *)(uintptr_t)entry->session;
    info->tick = entry->tick;
    info->empires = entry->empires;
    info->max_players = entry->max_players;
    uint64_t age_ms = (mm_clock_ns() - shell->directory->read_ns) / 1000000;
    info->seen_ms = entry->seen ? entry->seen_ms + age_ms : 0;
    if (!entry->wanted)
        info->state = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_ENDED;
    else if (!entry->seen)
        info->state = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_WANTED;
    else if (info->seen_ms > (uint64_t)shell->settings.directory_away_ms)
        info->state = MMORTS__FRAME__SESSION_STATE__SESSION_STATE_AWAY;
    else
        info->state = (Mmorts__Frame__SessionState)entry->state;
}

// --- visits -------------------------------------------------------------------------------------

static enum mm_err visit_work(struct mm_db_conn *conn, void *arg)
{
    struct visit *visit = arg;
    enum mm_err err = MM_OK;
    if (visit->kind == VISIT_TELL)
        err = world_directory_tell(conn, &visit->presence);
    else if (visit->kind == VISIT_CREATE)
        err = world_directory_create(conn, visit->session, visit->key, visit->key_len, visit->seed,
                                     visit->max_players,
                                     (uint32_t)visit->shell->settings.sessions_max);
    else
        err = world_directory_end(conn, visit->session);
    return err == MM_OK ? world_directory_list(conn, visit->entries, WORLD_SESSIONS_LISTED_MAX,
                                               &visit->count)
                        : err;
}

static void answer(struct visit *visit, enum mm_err err)
{
    const struct world_entry *entry = find(visit->shell, visit->session);
    Mmorts__World__SessionInfo info;
    if (err == MM_OK && entry) {
        entry_info(visit->shell, entry, &info);
        mm_rpc_reply(visit->call, &info.base);
    } else if (err == MM_ALREADY_EXISTS) {
        mm_rpc_fail(visit->call, err, "the session is there already, or the key was used before");
    } else if (err == MM_RESOURCE_EXHAUSTED) {
        mm_rpc_fail(visit->call, err, "no more than %d sessions may be wanted",
                    (int)visit->shell->settings.sessions_max);
    } else if (err == MM_NOT_FOUND || err == MM_OK) {
        mm_rpc_fail(visit->call, MM_NOT_FOUND, "there is no such session");
    } else {
        mm_rpc_fail(visit->call, MM_UNAVAILABLE, "the database is away");
    }
}

static void visit_done(enum mm_err err, void *arg)
{
    struct visit *visit = arg;
    struct world_directory *directory = visit->shell->directory;
    if (err == MM_OK) {
        struct world_entry *old = directory->entries;
        directory->entries = visit->entries;
        directory->count = visit->count;
        directory->read_ns = mm_clock_ns();
        visit->entries = old;
    }
    if (visit->kind == VISIT_TELL)
        directory->telling = false;
    if (visit->call)
        answer(visit, err);
    mm_free(visit->entries);
    mm_free(visit);
}

// Takes the visit.
static void go(struct visit *visit)
{
    struct mm_db_job job = {
        .work = visit_work,
        .done = visit_done,
        .arg = visit,
        .lane = LANE_DIRECTORY,
        .deadline_ms = DIRECTORY_DEADLINE_MS,
    };
    enum mm_err err = mm_db_submit(mm_service_db(visit->shell->service), &job);
    if (err == MM_OK)
        return;
    if (visit->kind == VISIT_TELL)
        visit->shell->directory->telling = false;
    if (visit->call)
        mm_rpc_fail(visit->call, MM_UNAVAILABLE, "the database is busy");
    mm_free(visit->entries);
    mm_free(visit);
}

static struct visit *make_visit(struct world_shell *shell, struct mm_rpc_call *call,
                                const char *session)
{
    struct visit *visit = mm_calloc(1, sizeof *visit);
    if (visit)
        visit->entries = mm_calloc(WORLD_SESSIONS_LISTED_MAX, sizeof *visit->entries);
    if (!visit || !visit->entries || !mm_str_copy(visit->session, sizeof visit->session, session)) {
        if (call)
            mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "out of memory");
        if (visit)
            mm_free(visit->entries);
        mm_free(visit);
        return NULL;
    }
    visit->shell = shell;
    visit->call = call;
    return visit;
}

static void tell(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    struct world_shell *shell = arg;
    struct world_directory *directory = shell->directory;
    if (directory->telling || shell->fenced)
        return;
    struct visit *visit = make_visit(shell, NULL, mm_service_session(shell->service));
    if (!visit)
        return; // the next one says it
    Mmorts__World__SessionInfo info;
    world_session_info(shell, &info);
    visit->kind = VISIT_TELL;
    visit->presence = (struct world_presence){
        .session = visit->session,
        .epoch = shell->epoch,
        .state = info.state,
        .tick = info.tick,
        .empires = info.empires,
        .addresses = directory->addresses,
        .addresses_len = directory->addresses_len,
    };
    directory->telling = true;
    go(visit);
}

// --- life ---------------------------------------------------------------------------------------

static Mmorts__World__FindSessionReply own_addresses(const struct world_shell *shell)
{
    const struct world_settings *settings = &shell->settings;
    Mmorts__World__FindSessionReply reply = MMORTS__WORLD__FIND_SESSION_REPLY__INIT;
    reply.world_rpc = (char *)(uintptr_t)settings->reach_world_rpc;
    reply.world_stream = (char *)(uintptr_t)settings->reach_world_stream;
    reply.vision_rpc = (char *)(uintptr_t)settings->reach_vision_rpc;
    reply.vision_stream = (char *)(uintptr_t)settings->reach_vision_stream;
    reply.production_rpc = (char *)(uintptr_t)settings->reach_production_rpc;
    reply.production_stream = (char *)(uintptr_t)settings->reach_production_stream;
    reply.social_rpc = (char *)(uintptr_t)settings->reach_social_rpc;
    return reply;
}

bool world_directory_open(struct world_shell *shell)
{
    struct world_directory *directory = mm_calloc(1, sizeof *directory);
    if (!directory)
        return false;
    shell->directory = directory;
    directory->entries = mm_calloc(WORLD_SESSIONS_LISTED_MAX, sizeof *directory->entries);
    Mmorts__World__FindSessionReply own = own_addresses(shell);
    size_t len = mmorts__world__find_session_reply__get_packed_size(&own);
    if (!directory->entries || len > sizeof directory->addresses)
        return false;
    directory->addresses_len = mmorts__world__find_session_reply__pack(&own, directory->addresses);
    mm_loop_timer_init(&directory->timer, tell, shell);
    return true;
}

void world_directory_start(struct world_shell *shell)
{
    mm_loop_timer_start(shell->loop, &shell->directory->timer, 0,
                        MM_LOOP_MS(shell->settings.directory_interval_ms));
}

void world_directory_stop(struct world_shell *shell)
{
    if (shell->directory)
        mm_loop_timer_stop(shell->loop, &shell->directory->timer);
}

void world_directory_close(struct world_shell *shell)
{
    if (!shell->directory)
        return;
    world_directory_stop(shell);
    mm_free(shell->directory->entries);
    mm_free(shell->directory);
    shell->directory = NULL;
}

// --- calls --------------------------------------------------------------------------------------

void world_list_sessions(Mmorts__World__World_Service *service,
                         const Mmorts__World__ListSessionsRequest *input,
                         Mmorts__World__ListSessionsReply_Closure closure, void *data)
{
    (void)service;
    (void)input;
    struct world_shell *shell = mm_rpc_call_context(data);
    const struct world_directory *directory = shell->directory;
    // Before the first visit nobody is known but ourselves.
    size_t count = directory->count > 0 ? directory->count : 1;
    Mmorts__World__SessionInfo *infos = mm_calloc(count, sizeof *infos);
    Mmorts__World__SessionInfo **list = mm_calloc(count, sizeof *list);
    MM_CHECK(infos && list);
    for (size_t i = 0; i < directory->count; i++)
        entry_info(shell, &directory->entries[i], &infos[i]);
    if (directory->count == 0)
        world_session_info(shell, &infos[0]);
    for (size_t i = 0; i < count; i++)
        list[i] = &infos[i];
    Mmorts__World__ListSessionsReply reply = MMORTS__WORLD__LIST_SESSIONS_REPLY__INIT;
    reply.n_sessions = count;
    reply.sessions = list;
    closure(&reply, data);
    mm_free(list);
    mm_free(infos);
}

void world_create_session(Mmorts__World__World_Service *service,
                          const Mmorts__World__CreateSessionRequest *input,
                          Mmorts__World__SessionInfo_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = mm_rpc_call_context(data);
    if (!world_session_name_ok(input->session)) {
        mm_rpc_fail(data, MM_INVALID_ARGUMENT,
                    "a session's name is 1 to %d of a-z, 0-9 and -, and does not begin with -",
                    WORLD_SESSION_NAME_MAX);
        return;
    }
    if (input->key.len < 1 || input->key.len > WORLD_CREATE_KEY_BYTES_MAX) {
        mm_rpc_fail(data, MM_INVALID_ARGUMENT, "a key has 1 to %d bytes",
                    WORLD_CREATE_KEY_BYTES_MAX);
        return;
    }
    if (input->max_players > WORLD_EMPIRES_MAX) {
        mm_rpc_fail(data, MM_INVALID_ARGUMENT, "max_players is beyond %d", WORLD_EMPIRES_MAX);
        return;
    }
    struct visit *visit = make_visit(shell, data, input->session);
    if (!visit)
        return;
    visit->kind = VISIT_CREATE;
    memcpy(visit->key, input->key.data, input->key.len);
    visit->key_len = input->key.len;
    visit->seed = input->seed;
    visit->max_players = input->max_players;
    go(visit);
}

void world_end_session(Mmorts__World__World_Service *service,
                       const Mmorts__World__EndSessionRequest *input,
                       Mmorts__World__SessionInfo_Closure closure, void *data)
{
    (void)service;
    (void)closure;
    struct world_shell *shell = mm_rpc_call_context(data);
    if (mm_str_equal(input->session, "main")) {
        mm_rpc_fail(data, MM_FAILED_PRECONDITION, "the session main is always there");
        return;
    }
    if (!world_session_name_ok(input->session)) {
        mm_rpc_fail(data, MM_NOT_FOUND, "there is no such session");
        return;
    }
    struct visit *visit = make_visit(shell, data, input->session);
    if (!visit)
        return;
    visit->kind = VISIT_END;
    go(visit);
}

void world_find_session(Mmorts__World__World_Service *service,
                        const Mmorts__World__FindSessionRequest *input,
                        Mmorts__World__FindSessionReply_Closure closure, void *data)
{
    (void)service;
    struct world_shell *shell = mm_rpc_call_context(data);
    if (mm_str_equal(input->session, mm_service_session(shell->service))) {
        Mmorts__World__FindSessionReply own = own_addresses(shell);
        closure(&own, data);
        return;
    }
    // A process that has just begun has not been there: what it does not know may well exist.
    if (shell->directory->read_ns == 0) {
        mm_rpc_fail(data, MM_UNAVAILABLE, "the directory has not been read yet");
        return;
    }
    const struct world_entry *entry = find(shell, input->session);
    Mmorts__World__SessionInfo info;
    if (entry)
        entry_info(shell, entry, &info);
    if (!entry || info.state == MMORTS__FRAME__SESSION_STATE__SESSION_STATE_ENDED) {
        mm_rpc_fail(data, MM_NOT_FOUND, "there is no such session");
        return;
    }
    if (info.state == MMORTS__FRAME__SESSION_STATE__SESSION_STATE_WANTED ||
        info.state == MMORTS__FRAME__SESSION_STATE__SESSION_STATE_AWAY) {
        mm_rpc_fail(data, MM_FAILED_PRECONDITION, "no process runs the session now");
        return;
    }
    ProtobufCMessage *reply;
    enum mm_err err =
        mm_pb_unpack(&mmorts__world__find_session_reply__descriptor, NULL, entry->addresses,
                     entry->addresses_len, WORLD_ADDRESSES_BYTES_MAX, &reply);
    if (err != MM_OK) {
        mm_rpc_fail(data, MM_DATA_LOSS, "the session's addresses cannot be read");
        return;
    }
    mm_rpc_reply(data, reply);
    protobuf_c_message_free_unpacked(reply, NULL);
}
