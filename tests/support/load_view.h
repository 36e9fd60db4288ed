#ifndef TESTS_SUPPORT_LOAD_VIEW_H
#define TESTS_SUPPORT_LOAD_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One player's picture of the game, built from the messages of docs/client-protocol.md and nothing
// else, by a reader of its own that is fast enough for thousands of players in one process. It
// keeps what entities there are and where, and a hash of that.

struct load_seen {
    uint64_t id; // 0: an empty place
    int32_t q, r;
};

// What was known after the last update of a tick.
struct load_entry {
    uint64_t tick;
    uint64_t hash;   // of all (id, q, r) seen: see load_hash
    uint32_t count;  // how many
    bool began_anew; // nothing is promised for the ticks between the entry before and this one
};

enum load_news {
    LOAD_NEWS_OTHER,
    LOAD_NEWS_WELCOME,
    LOAD_NEWS_UPDATE,
    LOAD_NEWS_ACK,
    LOAD_NEWS_ERROR,
};

enum { LOAD_RESUME_BYTES = 80 };

struct load_message {
    enum load_news news;
    uint64_t tick;     // of an update
    bool complete;     // the picture is whole, as of that tick
    bool full;         // the update told everything
    bool deferred;     // there is more that it does not tell yet
    bool resumed;      // a welcome: the picture lives on; an update: it is the first after that
    bool only_names;   // the update has nothing but names: it goes before something else
    bool watched;      // it shows the watched unit with its new target
    uint64_t seq;      // of an acknowledgement or error, 0: none
    uint64_t next_seq; // of a welcome
    uint64_t entities; // in how many places it speaks of an entity
    char code[32];     // of an error; of a welcome that begins anew, why
};

// What an update needs stands in front.
struct load_view {
    struct load_seen *seen; // open addressing
    uint32_t capacity, count;
    uint64_t hash;
    uint64_t tick;
    bool complete, began_anew;
    bool resuming;          // the difference is awaited
    struct load_entry *log; // in the order of ticks
    size_t log_count, log_capacity;
    uint64_t told_tick;           // to come back with: of the last update but for bare names ...
    uint64_t settled_tick;        // ... and the last one that deferred nothing
    uint64_t watch_id;            // 0: none
    struct wire_decoder *decoder; // of the binary encoding; NULL: none was needed yet
    uint64_t own_id;              // one of the player's own units, 0: none known
    int32_t watch_q, watch_r;
    int32_t own_q, own_r;           // where it appeared
    char fault[160];                // the first fault found, "" without one
    char empire[32];                // the player's, as in `owner`
    char resume[LOAD_RESUME_BYTES]; // the token to come back with, "": none
};

void load_view_init(struct load_view *view);
void load_view_free(struct load_view *view);
// Nothing that was told counts any more; a welcome that does not resume does so by itself.
void load_view_restart(struct load_view *view);

// Asks for the memory that the next update will need; steps 0, 1 and 2, some time apart, each of
// which goes where what came with the one before points to.
void load_view_prefetch(const struct load_view *view, unsigned step);

// Takes one text message. False: it breaks the protocol, and view->fault says how.
bool load_view_take_text(struct load_view *view, const char *text, size_t len,
                         struct load_message *message);

// The same for a message in the binary encoding, read by wire_decoder.h.
bool load_view_take_binary(struct load_view *view, const uint8_t *data, size_t len,
                           struct load_message *message);

// What one entity adds to a view's hash. The hash of a set is the sum over its elements, so that it
// does not hang on their order: as good as a hash of the sorted list, and kept up change by change.
uint64_t load_hash(uint64_t id, int32_t q, int32_t r);

#endif
