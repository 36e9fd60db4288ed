#include "libcommon/base/idmap.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/prefetch.h"
#include <string.h>

struct entry {
    uint64_t key;
    uint64_t value;
};

// Linear probing over a power-of-two table, at most 3/4 full. `used` has one byte per slot, so that
// any key may be stored. A removal shifts later entries of the run back, so a run never has a hole
// and a lookup may stop at the first free slot.
struct mm_idmap {
    struct entry *entries;
    uint8_t *used;
    size_t slots; // 0 or a power of two
    size_t count;
    size_t entries_max;
};

enum { SLOTS_FIRST = 16 };
static const size_t entries_limit = ((size_t)1 << 31) - 1;

struct mm_idmap *mm_idmap_new(size_t entries_max)
{
    struct mm_idmap *map = mm_calloc(1, sizeof *map);
    if (map)
        map->entries_max = entries_max < entries_limit ? entries_max : entries_limit;
    return map;
}

void mm_idmap_free(struct mm_idmap *map)
{
    if (!map)
        return;
    mm_free(map->entries);
    mm_free(map->used);
    mm_free(map);
}

static size_t home_of(const struct mm_idmap *map, uint64_t key)
{
    return (size_t)mm_mix64(key) & (map->slots - 1);
}

// The slot of the key, or the free slot where it would go. slots > 0.
static size_t find_slot(const struct mm_idmap *map, uint64_t key)
{
    size_t slot = home_of(map, key);
    while (map->used[slot] && map->entries[slot].key != key)
        slot = (slot + 1) & (map->slots - 1);
    return slot;
}

static bool rehash(struct mm_idmap *map, size_t slots)
{
    struct entry *entries = mm_malloc(slots * sizeof *entries);
    uint8_t *used = mm_calloc(slots, 1);
    if (!entries || !used) {
        mm_free(entries);
        mm_free(used);
        return false;
    }
    struct mm_idmap old = *map;
    map->entries = entries;
    map->used = used;
    map->slots = slots;
    for (size_t i = 0; i < old.slots; i++) {
        if (old.used[i]) {
            size_t slot = find_slot(map, old.entries[i].key);
            map->entries[slot] = old.entries[i];
            map->used[slot] = 1;
        }
    }
    mm_free(old.entries);
    mm_free(old.used);
    return true;
}

enum mm_err mm_idmap_reserve(struct mm_idmap *map, size_t entries)
{
    if (entries > map->entries_max)
        return MM_RESOURCE_EXHAUSTED;
    size_t slots = map->slots < SLOTS_FIRST ? SLOTS_FIRST : map->slots;
    while (entries > slots / 4 * 3)
        slots *= 2;
    if (slots != map->slots && !rehash(map, slots))
        return MM_RESOURCE_EXHAUSTED;
    return MM_OK;
}

enum mm_err mm_idmap_set(struct mm_idmap *map, uint64_t key, uint64_t value)
{
    if (map->slots > 0) {
        size_t slot = find_slot(map, key);
        if (map->used[slot]) {
            map->entries[slot].value = value;
            return MM_OK;
        }
    }
    enum mm_err err = mm_idmap_reserve(map, map->count + 1);
    if (err != MM_OK)
        return err;
    size_t slot = find_slot(map, key);
    map->entries[slot] = (struct entry){key, value};
    map->used[slot] = 1;
    map->count++;
    return MM_OK;
}

uint64_t *mm_idmap_find(struct mm_idmap *map, uint64_t key)
{
    if (map->count == 0)
        return NULL;
    size_t slot = find_slot(map, key);
    return map->used[slot] ? &map->entries[slot].value : NULL;
}

bool mm_idmap_get(const struct mm_idmap *map, uint64_t key, uint64_t *value_out)
{
    if (map->count == 0)
        return false;
    size_t slot = find_slot(map, key);
    if (!map->used[slot])
        return false;
    if (value_out)
        *value_out = map->entries[slot].value;
    return true;
}

void mm_idmap_ask(const struct mm_idmap *map, uint64_t key)
{
    if (map->slots == 0)
        return;
    size_t slot = home_of(map, key);
    mm_prefetch(&map->used[slot]);
    mm_prefetch(&map->entries[slot]);
}

bool mm_idmap_has(const struct mm_idmap *map, uint64_t key)
{
    return mm_idmap_get(map, key, NULL);
}

bool mm_idmap_remove(struct mm_idmap *map, uint64_t key, uint64_t *value_out)
{
    if (map->count == 0)
        return false;
    size_t hole = find_slot(map, key);
    if (!map->used[hole])
        return false;
    if (value_out)
        *value_out = map->entries[hole].value;
    size_t mask = map->slots - 1;
    for (size_t slot = (hole + 1) & mask; map->used[slot]; slot = (slot + 1) & mask) {
        // An entry may move into the hole unless its home lies behind the hole.
        size_t home = home_of(map, map->entries[slot].key);
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            map->entries[hole] = map->entries[slot];
            hole = slot;
        }
    }
    map->used[hole] = 0;
    map->count--;
    return true;
}

size_t mm_idmap_count(const struct mm_idmap *map)
{
    return map->count;
}

void mm_idmap_clear(struct mm_idmap *map)
{
    if (map->slots > 0)
        memset(map->used, 0, map->slots);
    map->count = 0;
}

bool mm_idmap_next(const struct mm_idmap *map, size_t *cursor, uint64_t *key_out,
                   uint64_t *value_out)
{
    for (; *cursor < map->slots; ++*cursor) {
        if (!map->used[*cursor])
            continue;
        if (key_out)
            *key_out = map->entries[*cursor].key;
        if (value_out)
            *value_out = map->entries[*cursor].value;
        ++*cursor;
        return true;
    }
    return false;
}
