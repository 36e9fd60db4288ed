#ifndef WORLD_CORE_SHARED_H
#define WORLD_CORE_SHARED_H

#include "libcommon/base/err.h"
#include <stddef.h>
#include <stdint.h>

// A component of which many entities have the very same value: every value is kept once, counted by
// those who have it, and gone with the last of them. An entity costs four bytes, and a loop over
// entities finds the few values there are in the cache.
//
// A value is never changed, for it is others' too: an entity is given another one. Which number a
// value has depends on the history, so nothing but the value may be looked at.

struct world_shared {
    uint32_t value_bytes, values_max;
    uint8_t *values;      // by number, from 1
    uint32_t *references; // by number: how many slots have it
    uint32_t *free;       // numbers that are not in use
    uint32_t free_count;
    uint32_t *numbers; // by hash of the value, open addressing; 0 = none
    uint32_t places;   // of `numbers`, a power of two
    uint32_t *of_slot; // number, 0 = has none
    uint32_t slot_capacity;
};

// At most values_max different values at once: one more is a bug. Values are compared as bytes:
// those between members are 0. RESOURCE_EXHAUSTED: out of memory.
enum mm_err MM_MUST_USE world_shared_init(struct world_shared *shared, uint32_t value_bytes,
                                          uint32_t values_max);
void world_shared_free(struct world_shared *shared);
// Room for slots below slot_end. RESOURCE_EXHAUSTED: out of memory.
enum mm_err MM_MUST_USE world_shared_reserve(struct world_shared *shared, uint32_t slot_end);

// Gives the slot a value in the place of the one it has; the value is copied, and not one of ours.
void world_shared_set(struct world_shared *shared, uint32_t slot, const void *value);
// Takes it away, if it has one.
void world_shared_clear(struct world_shared *shared, uint32_t slot);

// NULL if it has none. Until its slot is given another one.
static inline const void *world_shared_get(const struct world_shared *shared, uint32_t slot)
{
    uint32_t number = shared->of_slot[slot];
    return number == 0 ? NULL : shared->values + (size_t)number * shared->value_bytes;
}

// How many different values there are.
static inline uint32_t world_shared_values(const struct world_shared *shared)
{
    return shared->values_max - shared->free_count;
}

// How many slots have the same value as this one, itself among them; 0 if it has none.
uint32_t world_shared_references(const struct world_shared *shared, uint32_t slot);

#endif
