#ifndef SYNC_CLIENT_H
#define SYNC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcommon/base/buf.h"
#include "libcommon/base/id.h"
#include "libcommon/io/http.h"
#include "libcommon/io/rpc_client.h"
#include "services/sync/bounds.h"
#include "services/sync/core/backlog.h"
#include "services/sync/core/bucket.h"
#include "services/sync/core/budget.h"
#include "services/sync/core/history.h"
#include "services/sync/core/mirror.h"
#include "services/sync/core/once.h"
#include "services/sync/core/probe.h"
#include "services/sync/core/revoked.h"
#include "services/sync/core/update.h"
#include "services/sync/deflate.h"
#include "services/sync/outbox.h"
#include "services/sync/ws.h"

// A connection of a player's, from the handshake to its end: client.c; what it is sent, but for
// updates and full states: client_send.c.

struct sync_app;
struct sync_seat;

enum sync_client_state {
    SYNC_CLIENT_VERIFYING, // auth is asked whose token it is
    SYNC_CLIENT_FINDING,   // world's directory is asked where the session is
    SYNC_CLIENT_JOINING,   // world is asked for the empire
    SYNC_CLIENT_CLAIMING,  // social is asked whether the player is elsewhere
    SYNC_CLIENT_LOOKING,   // waits for the empire's view
    SYNC_CLIENT_PLAYING,
    SYNC_CLIENT_CLOSING, // our close frame is on its way; the peer's is awaited
    SYNC_CLIENT_DEAD,    // freed at the end of the turn
};

// How it went when a client wanted to go on where it stopped.
enum sync_resume_result {
    SYNC_RESUMED,
    SYNC_RESUME_OFF,
    SYNC_RESUME_OTHER_INSTANCE, // the token is of another process, perhaps one that was before
    SYNC_RESUME_UNKNOWN,        // or another player's, or nobody's, or forgotten
    SYNC_RESUME_ENCODING,       // it speaks another one now
    SYNC_RESUME_TOO_OLD,        // the log does not reach back, or the view began anew
    SYNC_RESUME_LONGER,         // the difference would be more than the full state
    SYNC_RESUME_RESULTS,
};
extern const char *const sync_resume_words[SYNC_RESUME_RESULTS]; // as the protocol says it

// What must be known of a client to go on where it stopped: see trails.c.
struct sync_trail {
    uint8_t secret[SYNC_SECRET_BYTES]; // of its token
    uint64_t first_tick;               // who knows this tick was told everything; 0: it was not yet
    uint64_t told_tick;                // of the last update it was sent; of one that has left
    uint64_t map_version, until_ns;
    uint32_t generation, names_epoch; // of its view
    enum sync_encoding encoding;
    bool aligned; // it was led to the tick of others at its seat
};

struct sync_client {
    // What a tick needs of it, together: see SYNC_CLIENT_HOT_BYTES.
    struct sync_app *app;
    enum sync_client_state state;
    int fd;
    struct sync_outbox outbox;
    enum sync_encoding encoding; // of what the client is sent; it may send both
    struct sync_seat *seat;
    struct sync_client *beside; // the next one at the same seat
    struct sync_full full;      // active: everything is being told
    bool behind;                // the socket was full: updates are skipped until it drains
    uint64_t waiting_ns;        // since when the outbox is not empty; 0: it is
    uint64_t map_version;
    uint64_t updated_tick, updated_ns;
    uint64_t settled_tick; // the last one after which it was owed nothing
    struct sync_budget budget;
    struct sync_backlog *backlog; // what it is owed beyond its budget; NULL: nothing
    bool parted;                  // of this tick it gets what its budget allows
    bool overflowed;              // its full state is instead of a backlog without end

    uint64_t connection; // unique in this process, never used twice
    size_t at;           // position in app->clients
    struct mm_http_upgrade *upgrade;
    struct sync_ws *ws;
    uint64_t address; // its sync_address_key
    bool address_counted;

    uint64_t opened_ns, deadline_ns; // of what the state waits for
    uint64_t heard_ns, pinged_ns;
    struct sync_bucket messages, orders, trains, chats;
    uint32_t excess; // of what it says over the rate
    bool told_rate_limited;

    char *token; // wiped when freed
    char session[33];
    uint64_t tick_min; // the client has seen this tick
    struct sync_trail trail;
    char resume[SYNC_RESUME_TEXT_BYTES]; // the token it came with; "": none
    struct sync_position position;       // what it says it was told
    bool resuming;                       // what it missed is in app->resumed_buf and app->news
    bool catch_up;                       // its socket was full: it is to be told what it missed
    mm_rpc_handle call;
    struct mm_rpc_client *call_peer;
    bool recheck;    // the token is to be verified again
    bool rechecking; // `call` does so

    // presence.c
    mm_rpc_handle claim_call;
    bool said_online;        // social was told of this connection
    uint64_t claimed_ns;     // when social had answered; 0: not yet
    uint64_t claim;          // the claim's number; 0: none is needed, or it is not known
    uint64_t came_us;        // when it came in (monotonic)
    uint64_t overtaken;      // greatest number of another instance's claim on the player
    struct sync_probe probe; // another connection of the player wants its place

    // Known from the token, then from world.
    uint64_t player_id, permissions;
    char username[SYNC_USERNAME_BYTES];
    char token_hash[SYNC_REVOKED_HASH_BYTES];
    uint64_t revoked_heard;            // when its token was asked about
    char display_id[MM_ID_TEXT_BYTES]; // the empire's id, for social
    uint32_t empire;
    uint64_t empire_id, next_seq;
    int32_t home_q, home_r;

    uint32_t commands; // unanswered
    // orders.c
    uint32_t ordered;     // of them, in calls of world under way, but for buildings
    uint32_t goes, stays; // the last pass in which it had some that were sent, or that wait on

    bool focused;
    struct sync_place focus;          // where the player looks, as it says
    bool groups_wanted, groups_asked; // its groups are to be told; social is being asked for them
    struct {
        struct sync_once told; // mail that it heard of
        uint64_t version;      // of the mailbox as it knows it
        uint32_t unread, total;
        bool wanted, asked; // its mailbox is to be told; social is being asked
    } mail;
    bool held;       // the outbox holds talk that waits for company
    uint32_t missed; // of such messages, those that it could not take and was not told of
};

// The first bytes of struct sync_client, with all that a tick's update needs.
#define SYNC_CLIENT_HOT_BYTES offsetof(struct sync_client, connection)

// What the handshake said.
struct sync_handshake {
    struct sync_app *app;
    char *token; // or NULL; becomes the client's
    char session[33];
    uint64_t tick_min;
    char resume[SYNC_RESUME_TEXT_BYTES];
    struct sync_position position;
    uint64_t address; // its sync_address_key
    enum sync_encoding encoding;
    struct sync_deflate_terms deflate;
};

// --- client.c: its life --------------------------------------------------------------------------

// A socket is there. Takes the token.
void sync_client_accept(struct sync_handshake *handshake, int fd, struct mm_http_upgrade *upgrade,
                        const uint8_t *extra, size_t extra_len);
// Takes a client that has not joined yet into a room. False: no room for it.
bool sync_client_move(struct sync_client *client, struct sync_app *to);

// Ends a connection: an error (word NULL: none), then the close frame with the code and the word.
void sync_client_close(struct sync_client *client, uint16_t code, const char *word,
                       const char *message);
// The same, with the time after which to try again (0 = none).
void sync_client_refuse(struct sync_client *client, uint16_t code, const char *word,
                        const char *message, uint32_t retry_after_ms);
// Ends it without a word: the socket is dead.
void sync_client_kill(struct sync_client *client, const char *why);

struct sync_client *sync_client_find(struct sync_app *app, uint64_t connection);
// Looks at every deadline.
void sync_clients_sweep(struct sync_app *app);
void sync_clients_free(struct sync_app *app);

// --- client_send.c: what it is sent --------------------------------------------------------------

// Sends a text message (no JSON check). A client that lets answers pile up is killed.
void sync_client_send(struct sync_client *client, const struct mm_buf *message);
// The same as a binary one.
void sync_client_send_binary(struct sync_client *client, const struct mm_buf *message);
// {"type":"error"} with an optional seq (0 = none) and the time after which to try again (0 =
// none).
void sync_client_error(struct sync_client *client, const char *code, const char *message,
                       uint64_t seq, uint32_t retry_after_ms);
void sync_client_ping(struct sync_client *client, const char *text);

// A message, as above, that everybody is told: it is sent together with the next update, or after
// SYNC_TALK_MS, and dropped (false) for a client that lets it pile up.
bool sync_client_hold(struct sync_client *client, const struct mm_buf *message);
bool sync_client_hold_binary(struct sync_client *client, const struct mm_buf *message);
// Sends what is held.
void sync_clients_release(struct sync_app *app);

// The result of sending: handles a dead socket. False if it was.
bool sync_client_sent(struct sync_client *client, enum sync_sent sent);
// Watches for what the client now needs.
void sync_client_watch(struct sync_client *client);

#endif
