#include "services/sync/rooms.h"

#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/redis.h"

// A room is a sync_app of its own for one further session: mirror, streams, clients, roster. What
// it shares with the lobby (the service's own sync_app, in which every connection begins) is the
// listener, auth, the settings, the metrics and the counts of connections per address.

enum { ROOM_NAME_BYTES = 33 };

struct sync_room {
    struct sync_app app;
    char session[ROOM_NAME_BYTES];
    // Their own connections, and where they lead.
    Mmorts__World__FindSessionReply *place;
    uint64_t empty_ns; // since when nobody is here; 0: somebody is
};

// --- opening ------------------------------------------------------------------------------------

static enum mm_err connect_to(const struct sync_room *room, const char *url,
                              struct mm_rpc_client **out)
{
    struct mm_service *service = room->app.service;
    struct mm_rpc_client_options options = {
        .service = "sync",
        .instance = mm_service_instance(service),
        .tls = mm_service_tls(service),
    };
    return mm_rpc_client_open(room->app.loop, url, &options, out);
}

static void room_close(struct sync_room *room)
{
    struct sync_app *app = &room->app;
    app->lobby->bytes_out += app->bytes_out;
    app->lobby->messages_out += app->messages_out;
    sync_app_close(app);
    struct mm_rpc_client *own[] = {app->world, app->vision, app->production, app->social};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i])
            mm_rpc_client_close(own[i]);
    if (room->place)
        mmorts__world__find_session_reply__free_unpacked(room->place, NULL);
    mm_free(room);
}

static Mmorts__World__FindSessionReply *copy_place(const Mmorts__World__FindSessionReply *place)
{
    size_t size = mmorts__world__find_session_reply__get_packed_size(place);
    uint8_t *bytes = mm_malloc(size + 1);
    if (!bytes)
        return NULL;
    mmorts__world__find_session_reply__pack(place, bytes);
    Mmorts__World__FindSessionReply *copy =
        mmorts__world__find_session_reply__unpack(NULL, size, bytes);
    mm_free(bytes);
    return copy;
}

static enum mm_err room_connect(struct sync_room *room)
{
    struct sync_app *app = &room->app;
    enum mm_err err = connect_to(room, room->place->world_rpc, &app->world);
    if (err == MM_OK)
        err = connect_to(room, room->place->vision_rpc, &app->vision);
    if (err == MM_OK)
        err = connect_to(room, room->place->production_rpc, &app->production);
    if (err == MM_OK)
        err = connect_to(room, room->place->social_rpc, &app->social);
    app->world_url = room->place->world_stream;
    app->vision_url = room->place->vision_stream;
    app->production_url = room->place->production_stream;
    return err == MM_OK ? sync_app_open(app) : err;
}

static struct sync_room *room_open(struct sync_app *lobby, const char *session,
                                   const Mmorts__World__FindSessionReply *place)
{
    struct sync_room *room = mm_calloc(1, sizeof *room);
    if (!room)
        return NULL;
    struct sync_app *app = &room->app;
    (void)mm_str_copy(room->session, sizeof room->session, session);
    app->lobby = lobby;
    app->settings = lobby->settings;
    app->metrics = lobby->metrics;
    app->service = lobby->service;
    app->loop = lobby->loop;
    app->auth = lobby->auth;
    app->session = room->session;
    app->feeds_condition = -1; // whether this service is ready does not hang on a room
    room->place = copy_place(place);
    enum mm_err err = room->place ? room_connect(room) : MM_RESOURCE_EXHAUSTED;
    if (err != MM_OK) {
        MM_LOG_WARN("cannot open a room for a session", "session=%s code=%s", session,
                    mm_err_name(err));
        room_close(room);
        return NULL;
    }
    MM_LOG_INFO("a room is open", "session=%s world=%s vision=%s", session, place->world_rpc,
                place->vision_rpc);
    return room;
}

// --- the rooms of a lobby -----------------------------------------------------------------------

static bool same_place(const Mmorts__World__FindSessionReply *a,
                       const Mmorts__World__FindSessionReply *b)
{
    return mm_str_equal(a->world_rpc, b->world_rpc) &&
           mm_str_equal(a->world_stream, b->world_stream) &&
           mm_str_equal(a->vision_rpc, b->vision_rpc) &&
           mm_str_equal(a->vision_stream, b->vision_stream) &&
           mm_str_equal(a->production_rpc, b->production_rpc) &&
           mm_str_equal(a->production_stream, b->production_stream) &&
           mm_str_equal(a->social_rpc, b->social_rpc);
}

struct sync_app *sync_room_of(struct sync_app *lobby, const char *session,
                              const Mmorts__World__FindSessionReply *place)
{
    for (size_t i = 0; i < lobby->rooms.count; i++) {
        struct sync_room *room = lobby->rooms.items[i];
        if (!mm_str_equal(room->session, session) || room->app.draining)
            continue;
        if (same_place(room->place, place)) {
            room->empty_ns = 0;
            return &room->app;
        }
        // Its processes have moved: who is still in there has to come again.
        MM_LOG_INFO("a session has moved", "session=%s", session);
        (void)sync_drain(&room->app);
    }
    if (!mm_vec_reserve(&lobby->rooms, lobby->rooms.count + 1))
        return NULL;
    struct sync_room *room = room_open(lobby, session, place);
    if (!room)
        return NULL;
    lobby->rooms.items[lobby->rooms.count++] = room;
    return &room->app;
}

static bool idle(const struct sync_app *app)
{
    return app->clients.count == 0 && app->dead.count == 0 && app->batches == 0 &&
           mm_rpc_client_calls(app->world) == 0 &&
           mm_rpc_client_calls(app->vision) == sync_serving_calls(app) &&
           mm_rpc_client_calls(app->production) == 0 && mm_rpc_client_calls(app->social) == 0;
}

void sync_rooms_sweep(struct sync_app *lobby)
{
    uint64_t now_ns = mm_loop_now_ns(lobby->loop);
    for (size_t i = lobby->rooms.count; i-- > 0;) {
        struct sync_room *room = lobby->rooms.items[i];
        if (!idle(&room->app)) {
            room->empty_ns = 0;
            continue;
        }
        if (room->empty_ns == 0)
            room->empty_ns = now_ns;
        if (!room->app.draining &&
            now_ns - room->empty_ns < MM_LOOP_MS(lobby->settings.room_idle_ms))
            continue;
        MM_LOG_INFO("a room is closed", "session=%s", room->session);
        mm_vec_remove_swap(&lobby->rooms, i);
        room_close(room);
    }
}

void sync_rooms_close(struct sync_app *lobby)
{
    while (lobby->rooms.count > 0)
        room_close(mm_vec_pop(&lobby->rooms));
    mm_vec_free(&lobby->rooms);
}

struct sync_app *sync_rooms_next(struct sync_app *lobby, size_t *cursor)
{
    size_t at = (*cursor)++;
    if (at == 0)
        return lobby;
    return at <= lobby->rooms.count ? &((struct sync_room *)lobby->rooms.items[at - 1])->app : NULL;
}

size_t sync_rooms_clients(struct sync_app *lobby)
{
    size_t count = 0, cursor = 0;
    for (struct sync_app *app; (app = sync_rooms_next(lobby, &cursor)) != NULL;)
        count += app->clients.count;
    return count;
}
