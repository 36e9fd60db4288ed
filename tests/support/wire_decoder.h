#ifndef TESTS_SUPPORT_WIRE_DECODER_H
#define TESTS_SUPPORT_WIRE_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A decoder of the client protocol's binary encoding, written from docs/client-protocol.md alone:
// it shares no code with sync. It keeps what the document says a decoder remembers, and what is in
// sight; whatever else a message says goes to the callbacks. Anything that the document does not
// allow is a fault.

enum { WIRE_NUMBERS_MAX = 65536, WIRE_EMPIRES_MAX = 65536, WIRE_TEXT_MAX = 255 };

enum wire_field {
    WIRE_PLACE = 0x01,
    WIRE_HEALTH = 0x02,
    WIRE_OWNER = 0x04,
    WIRE_ACTIVITY = 0x08,
    WIRE_PROGRESS = 0x10,
    WIRE_AMOUNT = 0x20,
    WIRE_CARRIED = 0x40,
    WIRE_TARGET = 0x80,
    WIRE_RANK = 0x100,
};

// What a step changes stands in front.
struct wire_entity {
    uint64_t id;
    int32_t q, r;
    bool in_sight;
    bool bound;      // the number means this entity, in sight or not
    bool has_health; // else the type's full health, as long as nothing else is told
    bool has_target;
    uint32_t type;
    uint64_t owner; // the empire's id; 0: nobody
    int64_t health, progress, amount, carried;
    int64_t target_q, target_r;
    uint32_t activity, rank;
};

struct wire_event {
    unsigned kind; // 1 attack, 2 death, 3 deposit, 4 built
    uint64_t entity, other;
    uint32_t entity_type, other_type;
    bool has_other;
    int64_t value;
    uint32_t resource; // type + 1; 0: none
};

struct wire_job {
    unsigned event;
    uint64_t job, building, start_tick, end_tick, cycles;
    char recipe[WIRE_TEXT_MAX + 1], reason[WIRE_TEXT_MAX + 1];
};

struct wire_memory {
    bool has_type;
    uint32_t type;
    uint64_t id, owner, last_seen, expires_at;
    int32_t q, r;
    unsigned mode; // 0 permanent, 1 timed
    int64_t health;
};

struct wire_decoder;

// Each may be NULL. `terrain` is -1 where it is not told.
struct wire_sink {
    void (*explored_begin)(void *arg, bool reset);
    void (*explored_hex)(void *arg, int32_t q, int32_t r, int terrain);
    void (*snapshot)(void *arg, const struct wire_memory *memory);
    void (*cached)(void *arg, const struct wire_entity *entity, const struct wire_memory *memory);
    void (*ack)(void *arg, uint64_t seq, uint64_t tick, uint64_t job);
    void (*pong)(void *arg, int64_t timestamp, uint64_t tick);
    void (*resumed)(void *arg, uint64_t tick); // `empire` follows for each it names
    void (*roster)(void *arg, uint64_t count); // `joined` follows for each it names
    void (*players)(void *arg, uint64_t count);
    void (*joined)(void *arg, uint64_t player_id, const char *name);
    void (*left)(void *arg, uint64_t player_id);
    void (*update_begin)(void *arg, uint64_t tick, bool full);
    void (*empire)(void *arg, uint64_t id, const char *name);
    void (*gone_memory)(void *arg, unsigned kind, uint64_t id);
    void (*gone_entity)(void *arg, const struct wire_entity *entity);
    void (*appeared)(void *arg, const struct wire_entity *entity);
    void (*hex)(void *arg, int32_t q, int32_t r, unsigned state, int terrain);
    void (*event)(void *arg, const struct wire_event *event);
    void (*resource)(void *arg, const char *name, int64_t amount);
    void (*job)(void *arg, const struct wire_job *job);
    void (*changed)(void *arg, const struct wire_entity *entity, unsigned fields);
    void (*end)(void *arg); // of any message
};

struct wire_decoder {
    uint64_t tick;
    uint64_t deferred; // in the last update; 0: the picture is complete
    int32_t origin_q, origin_r;
    bool reset_seen;
    struct wire_entity *entities; // by number
    uint32_t entity_count;        // numbers allocated
    uint32_t in_sight;
    uint64_t *empires; // ids, by number from 1
    uint32_t empire_count, empire_capacity;
    struct wire_entity *was; // what this update's `appeared` took the numbers of
    uint32_t *was_number;
    uint32_t was_count, was_capacity;
    char fault[160];
};

void wire_decoder_init(struct wire_decoder *decoder);
void wire_decoder_free(struct wire_decoder *decoder);

// Takes one binary message. False: `fault` says why; the decoder is of no use any more.
bool wire_decoder_take(struct wire_decoder *decoder, const uint8_t *data, size_t len,
                       const struct wire_sink *sink, void *arg);

#endif
