#ifndef SYNC_APP_H
#define SYNC_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gen/auth.pb-c.h"
#include "gen/social.pb-c.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/vec.h"
#include "libcommon/io/http.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/redis.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/io/rpc_server.h"
#include "libcommon/io/stream_follower.h"
#include "libcommon/io/stream_reader.h"
#include "libcommon/service/metrics.h"
#include "libcommon/service/service.h"
#include "services/sync/addresses.h"
#include "services/sync/bounds.h"
#include "services/sync/burst.h"
#include "services/sync/client.h"
#include "services/sync/command.h"
#include "services/sync/core/backlog.h"
#include "services/sync/core/bucket.h"
#include "services/sync/core/core.h"
#include "services/sync/core/once.h"
#include "services/sync/core/pace.h"
#include "services/sync/core/rates.h"
#include "services/sync/core/resume.h"
#include "services/sync/core/revoked.h"
#include "services/sync/core/served.h"
#include "services/sync/core/shared_clock.h"
#include "services/sync/core/update.h"
#include "services/sync/deflate.h"
#include "services/sync/settings.h"

// The shell's state. Everything belongs to the loop.
//
//   world's, vision's, production's streams (feeds) ─> core ─┐
//   answers of vision (seats) ───────────────────────────────┴> deliver ─> clients' sockets
//   players' sockets (client) ─> command ─> route ─> world, production, social
//   Redis (talk) ─> clients: who comes and goes, chat, revoked tokens

struct sync_room;

// An empire's place at the table: its view, and the clients who play it, the newest first.
struct sync_seat {
    struct sync_app *app;
    struct sync_view *view;
    struct sync_client *clients;
    uint64_t said_connection; // that social was told of last; 0: none
    struct {
        MM_VEC(struct sync_trail);
    } trails;           // of clients that may come back; without clients the seat is kept for them
    mm_rpc_handle call; // GetView under way
    uint64_t retry_ns;
    uint64_t served_from; // revision of the first set of served empires with this one
};

// A command on its way; the client may be gone when the answer comes.
struct sync_pending {
    uint64_t connection;
    struct sync_command command;
    uint64_t player_id;
    uint64_t received_ns;
};

struct sync_batch {
    struct sync_app *app;
    bool is_build;
    size_t count;
    struct {
        uint64_t connection;
        uint64_t seq;
        uint64_t received_ns;
    } items[SYNC_BATCH_COMMANDS_MAX];
};

struct sync_metrics {
    struct mm_counter *joins, *refused, *kills, *messages_in, *bytes_in, *rate_limited;
    struct mm_counter *resumes[SYNC_RESUME_RESULTS], *caught_up, *not_caught_up;
    struct mm_counter *fulls, *behinds, *commands_ok, *commands_failed, *replaced;
    struct mm_counter *throttled, *deferred, *overflows, *missed, *folded;
    struct mm_metrics_histogram *join_latency, *command_latency, *update_interval;
    struct mm_metrics_histogram *wait_time, *step_time, *deliver_time, *update_bytes;
};

// The service's own session, or a room: see rooms.h.
struct sync_app {
    struct sync_settings settings;
    struct sync_app *lobby; // of a room; NULL: this is the lobby
    struct {
        MM_VEC(struct sync_room *);
    } rooms; // of the lobby
    struct mm_service *service;
    struct mm_loop *loop;
    const char *session;
    struct mm_rpc_client *auth, *world, *vision, *production, *social;
    const char *world_url, *vision_url, *production_url; // of the streams

    struct sync_core core;
    struct sync_encoder encoder;
    struct sync_burst *burst; // NULL: every message is a system call of its own
    struct mm_buf full_buf;
    struct mm_buf resumed_buf; // the message `resumed` of the client that is being resumed ...
    struct sync_delta news;    // ... and what else it is told
    struct sync_delta folded;  // what a view's clients are told of several ticks
    uint8_t instance[SYNC_INSTANCE_BYTES]; // of the lobby: tells this process from others
    size_t seats_kept;                     // seats without clients
    uint64_t trimmed_tick, trimmed_view;
    struct mm_buf scratch; // one message being written
    struct sync_deflate *deflate;

    struct mm_http_server *listener;
    struct mm_http_files *files;
    struct {
        MM_VEC(struct sync_client *);
    } clients;
    struct {
        MM_VEC(struct sync_client *);
    } dead;
    struct {
        MM_VEC(struct sync_client *);
    } owing;                                                // those with a backlog
    struct sync_priorities priorities;                      // who of what is owed comes first
    struct sync_delta part;                                 // what one of them is told
    struct mm_idmap *client_of_connection, *seat_of_player; // values are pointers
    struct mm_idmap *address_counts;                        // sync_address_key -> clients
    struct {
        MM_VEC(struct sync_network);
    } proxies;                              // of the lobby, as the rates
    struct sync_rates *handshakes, *logins; // by sync_address_key, by player
    struct sync_revoked revoked;            // of the lobby, where tokens are asked about
    uint64_t next_connection;
    bool draining;
    uint8_t *read_buf;

    struct mm_stream_reader *world_reader, *vision_reader, *production_reader;
    bool production_dirty;

    // serving.c: vision's part of the stream for this process, instead of vision_reader
    struct {
        struct mm_stream_follower *follower; // NULL: the whole stream is read
        char name[2 * SYNC_INSTANCE_BYTES + 1];
        struct sync_served served;
        mm_rpc_handle call;
        uint64_t retry_ns;
    } serving;

    struct {
        MM_VEC(struct sync_pending *);
    } waiting; // commands for world
    uint32_t batches;
    uint32_t builds; // waiting, or under way
    uint32_t pass;   // counts looks at what waits
    uint32_t view_calls;
    uint32_t rechecks;

    char *recipes_json;
    uint64_t map_version;
    bool recipes_wanted;
    mm_rpc_handle recipes_call;

    // Who is online, as social says.
    struct {
        MM_VEC(struct sync_online {
            uint64_t player_id;
            char username[SYNC_USERNAME_BYTES];
        });
    } roster;
    struct mm_idmap *roster_index; // player -> position
    struct {
        MM_VEC(struct sync_presence_news {
            struct sync_online player;
            bool left;
        });
    } roster_meanwhile; // what came while the list was asked for, and may be newer than it
    struct {
        MM_VEC(struct sync_listed {
            uint64_t player_id;
            bool heard; // by all clients; else by those who have come since, if by any
        });
    } listed; // whom clients know by name
    uint32_t groups_calls, mail_calls;
    bool roster_wanted;
    bool roster_again;  // once more when the list has come
    bool roster_untold; // somebody came or went, and clients were not told
    uint64_t roster_told_ns;
    struct sync_bucket roster_news;
    mm_rpc_handle roster_call;

    struct mm_buf sessions_json; // of the lobby: the sessions there are
    mm_rpc_handle sessions_call;
    uint64_t sessions_due_ns;

    uint32_t session_state; // last told
    uint64_t stepped_ns;    // when clients' pictures last moved on
    uint64_t flushed_ns;    // when messages last went out: near enough for each of a burst's
    struct sync_pace pace;
    uint64_t tell_ns; // when the tick that came last is told
    struct mm_loop_task deliver_task, flush_task, bury_task;
    mm_rpc_handle heartbeat_call; // not answered yet
    uint64_t heartbeat_ns;        // when the last one was sent
    unsigned heartbeat_part;      // that the next one tells of
    mm_rpc_handle beat_call;      // not answered yet
    uint64_t beat_us;             // when it was sent (monotonic)
    struct sync_shared_clock shared_clock;
    struct sync_seen group_events; // that were told; social may publish one twice
    uint64_t said_us;              // of the last call to social about a player (Unix time)
    struct mm_loop_timer sweep, heartbeat, beat, drain, talk, pacer;
    bool holding;           // some client's outbox is held
    bool folding;           // it was behind, and told several ticks as one
    uint64_t idle_tick;     // that clients were looked at last who are told nothing
    bool fulls_wanted;      // some client may wait for more than the tick's news
    uint64_t map_delivered; // which map those have that play, but for those who wait
    int feeds_condition;    // -1: none
    uint64_t started_ns;
    uint64_t bytes_out, messages_out; // of clients that are gone
    struct sync_metrics metrics;
};

// --- lifecycle.c -----------------------------------------------------------------------------

MM_MUST_USE enum mm_err sync_start_service(struct mm_service *service, void *state);
void sync_drain_service(struct mm_service *service, void *state);
void sync_stop_service(struct mm_service *service, void *state);
// A session's state, streams and timers; what is shared must be there. To be closed also after an
// error.
MM_MUST_USE enum mm_err sync_app_open(struct sync_app *app);
void sync_app_close(struct sync_app *app);
// Closes every client with 1012 and takes no new ones; returns how many.
uint32_t sync_drain(struct sync_app *app);

// --- metrics.c -----------------------------------------------------------------------------------

void sync_metrics_open(struct sync_app *app);

// --- listener.c ------------------------------------------------------------------------------

MM_MUST_USE enum mm_err sync_listener_open(struct sync_app *app);
void sync_listener_close(struct sync_app *app);
// Reads the certificate anew.
void sync_reload_service(struct mm_service *service, void *state);

// --- join.c: from the token to the game ----------------------------------------------------------

// Does what the client's state asks for next; called until it plays.
void sync_join_advance(struct sync_client *client);
// The view is live: welcome and the rest.
void sync_join_play(struct sync_client *client);
// Verifies the tokens of connected clients again where asked for.
void sync_join_recheck(struct sync_app *app);
void sync_revoke(struct sync_client *client, Mmorts__Auth__VerifyReason reason);

// --- seats.c: views of vision --------------------------------------------------------------------

// The newest of the player's clients, the others behind it (`beside`). One that is closed on the
// way still leads to the next.
struct sync_client *sync_clients_of_player(struct sync_app *app, uint64_t player_id);
// The client sits down at its empire's seat. False: out of memory.
bool sync_seat_take(struct sync_client *client);
// With the last one who leaves, the seat is gone, unless it is kept for who may come back.
void sync_seat_leave(struct sync_client *client);
// Asks vision for the views that wait.
void sync_seats_ask(struct sync_app *app);
// Gives up seats that were kept for clients that did not come back.
void sync_seats_sweep(struct sync_app *app);
void sync_seats_free(struct sync_app *app);

// --- trails.c: going on where one stopped --------------------------------------------------------

// The client begins to play: it gets a token of its own.
void sync_trail_new(struct sync_client *client);
// Whether the client came with the other one's token: it is the same, on a new connection.
bool sync_trail_goes_on(const struct sync_client *client, const struct sync_client *other);
// Appends its token as a member of a JSON object, with a comma before it.
void sync_trail_write_token(const struct sync_client *client, struct mm_buf *out);
// It is told everything in this tick, and can be told differences from then on. To be called before
// the tick counts as one that it was told of.
void sync_trail_told_all(struct sync_client *client);
// It leaves its seat: notes where it stopped. False: it will need everything.
bool sync_trail_keep(struct sync_client *client);
// Whether one more seat may be kept without clients.
bool sync_trails_may_wait(const struct sync_app *app);
// The client has come back to its seat, with a token. SYNC_RESUMED: what it missed is in
// app->resumed_buf and app->news, to be told at once; else it needs everything.
enum sync_resume_result sync_trail_resume(struct sync_client *client);
// The same for one whose socket was full. False: it needs everything.
bool sync_trail_catch_up(struct sync_client *client);
void sync_trails_expire(struct sync_seat *seat, uint64_t now_ns);
// Shortens the views' logs, a few at a time.
void sync_trails_trim(struct sync_app *app);

// --- deliver.c -------------------------------------------------------------------------------

// Steps the core and sends, at the end of this turn.
void sync_deliver_soon(struct sync_app *app);

// From one tick of world's to the next.
static inline uint64_t sync_tick_ns(const struct sync_app *app)
{
    uint32_t rate = app->core.mirror.catalogue.tick_rate_hz;
    return MM_LOOP_MS(1000) / (rate ? rate : 20);
}

void sync_deliver(struct mm_loop *loop, void *app);

// --- fulls.c: what clients are told beyond a tick's news -----------------------------------------

// The client is to be told everything, from the beginning.
void sync_fulls_want(struct sync_client *client);

// --- status.c: the session's state ---------------------------------------------------------------

// Tells everybody, if it has changed.
void sync_status_tell(struct sync_app *app);
void sync_status_send(struct sync_client *client);
// Appends {"state":…} as in welcome.session_status.
void sync_status_write(struct sync_app *app, struct mm_buf *out);

// --- owing.c: clients that may not be sent all there is ------------------------------------------

// Whether the client's budget allows all of it, nothing being owed from before.
bool sync_owing_takes_all(struct sync_client *client, const struct sync_delta *delta);
// Encodes what of the delta of its live view, and of what is owed, the client is told in this step.
// False: it needs a full state.
bool sync_owing_encode(struct sync_client *client, struct sync_view *view,
                       const struct sync_delta *delta);
// How many entities and hexes there is news of that it was not told.
size_t sync_owing_left(const struct sync_client *client);
// It is owed nothing: it will be told everything, or is gone.
void sync_owing_forget(struct sync_client *client);
// Touches the views of those who are owed something.
void sync_owing_touch(struct sync_app *app);
// Whether a full state may begin now. When it is told, the budget begins anew: what a client is
// told first is not counted, but for what stands for a backlog that grew too long.
bool sync_owing_may_begin(struct sync_client *client);
void sync_owing_begin(struct sync_client *client);

// --- route.c, orders.c: commands out, answers back -----------------------------------------------

// A message of the client, text or binary. The client may be closing afterwards.
void sync_route_message(struct sync_client *client, enum sync_ws_opcode opcode, const uint8_t *data,
                        size_t len);
// Whether the client may say one more thing now: a message, a ping, a pong. Who goes on regardless
// is sent away.
bool sync_route_within_rate(struct sync_client *client);
// Sends orders that wait, as far as they may go.
void sync_route_flush(struct mm_loop *loop, void *app);
void sync_route_free(struct sync_app *app);

// --- feeds.c ---------------------------------------------------------------------------------

MM_MUST_USE enum mm_err sync_feeds_open(struct sync_app *app);
void sync_feeds_close(struct sync_app *app);
// A frame of vision's stream, or of its part for this process.
void sync_feeds_vision(void *app, const struct mm_stream_message *message);
// Either of the streams that views need came or went.
void sync_feeds_state(void *app, enum mm_stream_state state);
// Mends what the core asks to have mended.
void sync_feeds_check(struct sync_app *app);
void sync_recipes_ask(struct sync_app *app);

// --- serving.c: the empires that this process serves ---------------------------------------------

MM_MUST_USE enum mm_err sync_serving_open(struct sync_app *app);
void sync_serving_close(struct sync_app *app);
// The seat is taken: vision is to tell of its empire, and sync_serving_knows will say when it does.
void sync_serving_add(struct sync_app *app, struct sync_seat *seat);
// An empire is served no longer.
void sync_serving_remove(struct sync_app *app);
// Whether what vision answers about the seat's empire is continued by its stream.
bool sync_serving_knows(const struct sync_app *app, const struct sync_seat *seat);
// Tells vision of changes.
void sync_serving_tell(struct sync_app *app);
// Calls of vision that are always under way.
uint32_t sync_serving_calls(const struct sync_app *app);

// --- talk.c: social and auth through Redis -------------------------------------------------------

MM_MUST_USE enum mm_err sync_talk_open(struct sync_app *app);
void sync_talk_close(struct sync_app *app);
// Sends a message to every client that plays.
void sync_talk_broadcast(struct sync_app *app, const struct mm_buf *message);
// Tells a client that can take messages again how many it missed, and what of them is still true.
void sync_talk_missed(struct sync_client *client);
// To those who are spoken to in that encoding, a message of it.
void sync_talk_broadcast_in(struct sync_app *app, enum sync_encoding encoding,
                            const struct mm_buf *message);
// A line of text from those who run the game, to everybody.
void sync_talk_announce(struct sync_app *app, const char *text, int64_t timestamp_ms);

// --- roster.c --------------------------------------------------------------------------------

// Asks social for the whole list, if it is wanted.
void sync_roster_ask(struct sync_app *app);
void sync_roster_joined(struct sync_app *app, const Mmorts__Social__Member *member);
void sync_roster_left(struct sync_app *app, const Mmorts__Social__Member *member);
// The player has no connection here any more. If social has never heard of the last one, nobody
// but we will tell those who were told of it.
void sync_roster_gone(struct sync_app *app, uint64_t player_id);
// Tells clients what was not told at once.
void sync_roster_sweep(struct sync_app *app);
// Players online.
size_t sync_roster_count(const struct sync_app *app);
// Sends the client the message `roster`.
void sync_roster_send(struct sync_client *client);
// Appends it.
void sync_roster_write(struct sync_app *app, enum sync_encoding encoding, struct mm_buf *out);
// The name of a player who is online; NULL: none is known.
const char *sync_roster_name_of(struct sync_app *app, uint64_t player_id);

// --- presence.c ------------------------------------------------------------------------------

// World knows the player: it sits down, unless its other connections are in the way.
void sync_presence_enter(struct sync_client *client);
// It ends: the seat is given up, and social is told.
void sync_presence_leave(struct sync_client *client);
// Somebody is kept out by the player's connections, here or at another instance: those that are
// here are asked for a sign of life.
void sync_presence_probe(struct sync_app *app, uint64_t player_id);
#define SYNC_PROBE_PING "mmorts?" // which its answer repeats
static inline uint32_t sync_probe_patience(const struct sync_app *app)
{
    return (uint32_t)(app->settings.answer_ms / SYNC_SWEEP_MS);
}
// Another instance has claimed a player.
void sync_presence_claimed(struct sync_app *app, const Mmorts__Social__Claimed *claimed);
// Tells social of a part of the players that they are here, and asks again what it could not
// answer. Thousands at once would hold up the tick, here and wherever social and its Redis share
// the cores. True: all have had their turn; called so often that this is so once in
// `presence.heartbeat`.
bool sync_presence_heartbeat(struct sync_app *app);
// Tells social that this process lives.
void sync_presence_beat(struct sync_app *app);

// --- groups.c --------------------------------------------------------------------------------

// Asks social for the groups of clients that are to be told of theirs.
void sync_groups_ask(struct sync_app *app);
void sync_groups_event(struct sync_app *app, const Mmorts__Social__GroupEvent *event);

// --- mail.c ----------------------------------------------------------------------------------

// Asks social how much mail there is for clients that are to be told.
void sync_mail_ask(struct sync_app *app);
void sync_mail_event(struct sync_app *app, const Mmorts__Social__MailEvent *event);
void sync_mail_box_event(struct sync_app *app, const Mmorts__Social__MailboxEvent *event);

// --- rpc.c -----------------------------------------------------------------------------------

void sync_rpc_register(struct sync_app *app);

#endif
