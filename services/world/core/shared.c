#include "services/world/core/shared.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include <string.h>

enum mm_err world_shared_init(struct world_shared *shared, uint32_t value_bytes,
                              uint32_t values_max)
{
    size_t values = (size_t)values_max + 1, places = 2;
    while (places < values * 2)
        places *= 2;
    *shared = (struct world_shared){
        .value_bytes = value_bytes,
        .values_max = values_max,
        .values = mm_calloc(values, value_bytes),
        .references = mm_calloc(values, sizeof *shared->references),
        .free = mm_calloc(values, sizeof *shared->free),
        .numbers = mm_calloc(places, sizeof *shared->numbers),
        .places = (uint32_t)places,
    };
    if (!shared->values || !shared->references || !shared->free || !shared->numbers) {
        world_shared_free(shared);
        return MM_RESOURCE_EXHAUSTED;
    }
    for (uint32_t number = values_max; number > 0; number--)
        shared->free[shared->free_count++] = number;
    return MM_OK;
}

void world_shared_free(struct world_shared *shared)
{
    mm_free(shared->of_slot);
    mm_free(shared->numbers);
    mm_free(shared->free);
    mm_free(shared->references);
    mm_free(shared->values);
    memset(shared, 0, sizeof *shared);
}

enum mm_err world_shared_reserve(struct world_shared *shared, uint32_t slot_end)
{
    if (slot_end <= shared->slot_capacity)
        return MM_OK;
    uint32_t *of_slot = mm_realloc(shared->of_slot, (size_t)slot_end * sizeof *of_slot);
    if (!of_slot)
        return MM_RESOURCE_EXHAUSTED;
    memset(of_slot + shared->slot_capacity, 0,
           (size_t)(slot_end - shared->slot_capacity) * sizeof *of_slot);
    shared->of_slot = of_slot;
    shared->slot_capacity = slot_end;
    return MM_OK;
}

// --- finding a value -----------------------------------------------------------------------------

static const void *value_of(const struct world_shared *shared, uint32_t number)
{
    return shared->values + (size_t)number * shared->value_bytes;
}

static uint32_t wanted_place(const struct world_shared *shared, const void *value)
{
    return (uint32_t)mm_hash64(value, shared->value_bytes, 0) & (shared->places - 1);
}

// The value's place, or the free one where it belongs.
static uint32_t find_place(const struct world_shared *shared, const void *value)
{
    uint32_t place = wanted_place(shared, value);
    while (shared->numbers[place] != 0 &&
           memcmp(value_of(shared, shared->numbers[place]), value, shared->value_bytes) != 0)
        place = (place + 1) & (shared->places - 1);
    return place;
}

// Empties a place and moves up those behind it who would no longer be found (Knuth, The Art of
// Computer Programming 3, 6.4, algorithm R).
static void empty_place(struct world_shared *shared, uint32_t place)
{
    uint32_t mask = shared->places - 1, next = place;
    for (;;) {
        shared->numbers[place] = 0;
        uint32_t wanted;
        do {
            next = (next + 1) & mask;
            if (shared->numbers[next] == 0)
                return;
            wanted = wanted_place(shared, value_of(shared, shared->numbers[next]));
        } while (((next - wanted) & mask) < ((next - place) & mask));
        shared->numbers[place] = shared->numbers[next];
        place = next;
    }
}

// --- giving and taking ---------------------------------------------------------------------------

static uint32_t number_of(struct world_shared *shared, const void *value)
{
    uint32_t place = find_place(shared, value);
    if (shared->numbers[place] != 0)
        return shared->numbers[place];
    MM_CHECK(shared->free_count > 0);
    uint32_t number = shared->free[--shared->free_count];
    memcpy(shared->values + (size_t)number * shared->value_bytes, value, shared->value_bytes);
    shared->numbers[place] = number;
    return number;
}

static void drop_reference(struct world_shared *shared, uint32_t number)
{
    if (number == 0 || --shared->references[number] > 0)
        return;
    empty_place(shared, find_place(shared, value_of(shared, number)));
    shared->free[shared->free_count++] = number;
}

void world_shared_set(struct world_shared *shared, uint32_t slot, const void *value)
{
    MM_CHECK(slot < shared->slot_capacity);
    uint32_t old = shared->of_slot[slot], number = number_of(shared, value);
    shared->references[number]++;
    shared->of_slot[slot] = number;
    drop_reference(shared, old);
}

void world_shared_clear(struct world_shared *shared, uint32_t slot)
{
    MM_CHECK(slot < shared->slot_capacity);
    uint32_t old = shared->of_slot[slot];
    shared->of_slot[slot] = 0;
    drop_reference(shared, old);
}

uint32_t world_shared_references(const struct world_shared *shared, uint32_t slot)
{
    uint32_t number = shared->of_slot[slot];
    return number == 0 ? 0 : shared->references[number];
}
