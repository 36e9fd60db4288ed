#ifndef TESTS_SUPPORT_WORLD_MIRROR_H
#define TESTS_SUPPORT_WORLD_MIRROR_H

#include "gen/frame.pb-c.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A reader of tick frames written from proto/frame.proto alone, as simply as can be: what a service
// that follows the tick stream must end up knowing. It checks the contract of every frame it
// applies, and aborts with a message if one breaks it.

enum { MIRROR_ATTRIBUTES = 16 };

struct mirror_entity {
    bool alive;
    uint64_t id;
    uint32_t type;
    uint32_t owner;
    int32_t q, r;
    int32_t attributes[MIRROR_ATTRIBUTES];
};

struct mirror_empire {
    uint64_t id, player_id;
    char name[64];
    int32_t home_q, home_r;
};

struct mirror_chunk {
    int32_t q, r;
    uint64_t cells_hash;
};

// What an empire was ever given back of an item.
struct mirror_refund {
    uint32_t empire, item;
    uint64_t total;
};

// The eyes that a type has.
struct mirror_eyes {
    int32_t hexes, type, stealthed;
};

struct mirror {
    uint64_t tick;
    uint64_t state_hash;
    Mmorts__Frame__SessionState state;
    struct mirror_entity *entities; // by index
    size_t entity_end, entity_count;
    struct mirror_empire *empires; // by number
    size_t empire_end;
    struct mirror_chunk *chunks;
    size_t chunk_count;
    uint32_t health_max[512];
    struct mirror_eyes eyes[512];
    size_t type_count;
    uint32_t cells_per_chunk;
    struct mirror_refund *refunds;
    size_t refund_count;
    char items[8][32]; // names, by item
    size_t item_count;
};

struct mirror *mirror_new(void);
void mirror_free(struct mirror *mirror);

// Applies a frame; unless it is a snapshot, it must be of the tick after the last one.
void mirror_apply(struct mirror *mirror, const Mmorts__Frame__TickFrame *frame);
// The same from packed bytes.
void mirror_apply_bytes(struct mirror *mirror, const uint8_t *bytes, size_t len);

// What an empire was ever given back of an item; 0 if there is no such item.
uint64_t mirror_refunded(const struct mirror *mirror, uint32_t empire, const char *item);

// Compares what both know; on a difference prints it to stderr and returns false.
bool mirror_equal(const struct mirror *a, const struct mirror *b);

#endif
