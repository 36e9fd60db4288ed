#ifndef TESTS_SUPPORT_LOAD_CLIENTS_H
#define TESTS_SUPPORT_LOAD_CLIENTS_H

#include "libcommon/base/histogram.h"
#include "tests/support/load_view.h"

#include <stdbool.h>
#include <stdint.h>

// Thousands of real WebSocket clients in one thread, on an epoll loop of their own. Each keeps its
// picture of the game (load_view.h); every message is decoded. A client that is closed without
// having been told to counts as lost, and says why.

enum load_state {
    LOAD_CLOSED,
    LOAD_CONNECTING, // TCP
    LOAD_SECURING,   // TLS, where it is spoken
    LOAD_SHAKING,    // the handshake is on its way
    LOAD_ENTERING,   // connected; the first full state is awaited
    LOAD_PLAYING,
};

// What clients that are mixed speak, by their index: JSON, the binary encoding, and both
// compressed.
enum { LOAD_KINDS = 4 };

struct load_options {
    uint16_t port; // of sync, on 127.0.0.1
    uint32_t count;
    uint32_t entering_max; // clients on their way in at once; 0: 200
    uint32_t
        narrow_every; // one of so many clients (load_is_picked) has a small receive buffer; 0: none
    // Token of client `index`; valid until the next call.
    const char *(*token)(void *arg, uint32_t index);
    void *arg;
    // Clients take turns to speak JSON and the binary encoding, compressed and not; else all speak
    // the binary encoding, not compressed.
    bool mixed;
    uint64_t late_us;  // which intervals are counted as late; 0: none
    bool come_back;    // who is sent away or cut off connects again
    bool without_ring; // reads as where the kernel has no io_uring (load_ring.h)
    // PEM file: clients speak TLS and believe what this certificate vouches for; NULL: they do not.
    const char *tls_authority;
};

// Picks one of `every` clients, such that where they are mixed every kind is among those picked.
static inline bool load_is_picked(uint32_t index, uint32_t every)
{
    return every > 0 && index % every == index / every % LOAD_KINDS % every;
}

struct load_figures {
    struct mm_histogram interval_us; // between the arrivals of a client's updates, less 50 ms for
                                     // each tick between them in which nothing changed for it
    struct mm_histogram lag_us;      // from an update's arrival until it was taken, where known
    struct mm_histogram ack_us;      // from a command to its acknowledgement
    struct mm_histogram visible_us;  // from a command to the update that shows it obeyed
    struct mm_histogram enter_us;    // from connect() to the first full state, or the difference
    uint64_t bytes;                  // that arrived, TLS's own among them
    uint64_t messages, updates, entities;
    uint64_t json_bytes; // of those `bytes`, to clients that speak JSON
    uint64_t compressed; // messages
    uint64_t ticks;      // that the intervals cover, also the unstamped ones
    uint64_t unstamped;  // intervals that are not known: a read brought more than one update, and
                         // only the last one's arrival is known
    uint64_t late;       // known intervals longer than the options' late_us
    uint64_t commands, refused, lost, entered;
    uint64_t enter_bytes;           // of those `bytes`, until the clients had entered
    uint64_t resumed, json_resumed; // of those entered, who went on where they had stopped
    uint64_t unresumed;             // who wanted to and were told everything
    uint64_t forgotten;             // of those, who were unknown where they had been before
    char unresumed_why[32];         // the last one's reason
    char refusal[32];               // the last refusal's code
    char loss[96];                  // how the last one was lost
};

struct load_clients;

struct load_clients *load_clients_new(const struct load_options *options);
void load_clients_free(struct load_clients *clients);

// Has all clients from `from` to before `to` connect, no more than entering_max at once.
void load_clients_open(struct load_clients *clients, uint32_t from, uint32_t to);
// Closes them, at once and without a word.
void load_clients_close(struct load_clients *clients, uint32_t from, uint32_t to);
// What it speaks when it connects the next time.
void load_clients_speak_json(struct load_clients *clients, uint32_t index, bool json);
// Whether it asks for compression when it connects the next time.
void load_clients_compress(struct load_clients *clients, uint32_t index, bool compressed);
// Whether who comes back asks to go on where it stopped, as all do at first, or for everything.
void load_clients_resume(struct load_clients *clients, bool resume);
// From now on the client reads nothing, or reads again.
void load_clients_stall(struct load_clients *clients, uint32_t index, bool stalled);
// Has it read at most so many bytes a second; 0: as fast as it can.
void load_clients_slow(struct load_clients *clients, uint32_t index, uint32_t bytes_per_second);

// Handles what happens until that time (monotonic nanoseconds).
void load_clients_run(struct load_clients *clients, uint64_t until_ns);
// Runs until so many play, or the time is over. True if they do.
bool load_clients_wait_playing(struct load_clients *clients, uint32_t count, int timeout_ms);
// Runs until every playing client, but for stalled and slow ones, has been told of that tick or a
// later one.
bool load_clients_wait_tick(struct load_clients *clients, uint64_t tick, int timeout_ms);
// The ticks of which the same clients have been told last: the oldest and the newest of them. Of
// none: UINT64_MAX and 0.
void load_clients_told(const struct load_clients *clients, uint64_t *oldest, uint64_t *newest);

uint32_t load_clients_playing(const struct load_clients *clients);
// Sends one of its own units elsewhere; false if it knows none or a command is unanswered.
bool load_clients_command(struct load_clients *clients, uint32_t index);

// Says something to everybody, of letters that do not compress; `count` tells one time from
// another. False if it does not play.
bool load_clients_chat(struct load_clients *clients, uint32_t index, uint32_t count);

struct load_figures *load_clients_figures(struct load_clients *clients);
void load_clients_reset(struct load_clients *clients);
struct load_view *load_clients_view(struct load_clients *clients, uint32_t index);
// The first fault that any client found, or NULL; *index says whose.
const char *load_clients_fault(const struct load_clients *clients, uint32_t *index);

#endif
