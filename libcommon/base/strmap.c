#include "libcommon/base/strmap.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/hash.h"
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

// Entries stand densely in insertion order; `table` holds their numbers plus one (0 = free) by
// linear probing, at most half full.
struct entry {
    char *key;
    size_t key_len;
    uint64_t hash;
    uint64_t value;
};

struct mm_strmap {
    struct entry *entries;
    size_t count;
    size_t capacity;
    uint32_t *table;
    size_t slots; // 0 or a power of two
    size_t entries_max;
    uint64_t seed;
};

static const size_t entries_limit = (size_t)1 << 30;

static uint64_t process_seed(void)
{
    static _Atomic uint64_t seed;
    uint64_t value = atomic_load(&seed);
    if (value == 0) {
        uint64_t drawn = 0;
        if (getrandom(&drawn, sizeof drawn, GRND_NONBLOCK) != (ssize_t)sizeof drawn)
            drawn = (uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)&drawn;
        // Whoever is first decides; the others take its value.
        if (atomic_compare_exchange_strong(&seed, &value, drawn | 1))
            value = drawn | 1;
    }
    return value;
}

struct mm_strmap *mm_strmap_new(size_t entries_max)
{
    struct mm_strmap *map = mm_calloc(1, sizeof *map);
    if (!map)
        return NULL;
    map->entries_max = entries_max < entries_limit ? entries_max : entries_limit;
    map->seed = process_seed();
    return map;
}

void mm_strmap_clear(struct mm_strmap *map)
{
    for (size_t i = 0; i < map->count; i++)
        mm_free(map->entries[i].key);
    map->count = 0;
    if (map->slots > 0)
        memset(map->table, 0, map->slots * sizeof *map->table);
}

void mm_strmap_free(struct mm_strmap *map)
{
    if (!map)
        return;
    mm_strmap_clear(map);
    mm_free(map->entries);
    mm_free(map->table);
    mm_free(map);
}

// The slot of the key, or the free slot where it would go. slots > 0.
static size_t find_slot(const struct mm_strmap *map, const char *key, size_t key_len, uint64_t hash)
{
    size_t slot = (size_t)hash & (map->slots - 1);
    for (;; slot = (slot + 1) & (map->slots - 1)) {
        uint32_t number = map->table[slot];
        if (number == 0)
            return slot;
        const struct entry *entry = &map->entries[number - 1];
        if (entry->hash == hash && entry->key_len == key_len &&
            (key_len == 0 || memcmp(entry->key, key, key_len) == 0))
            return slot;
    }
}

// The slot that refers to entry `index`.
static size_t slot_of_entry(const struct mm_strmap *map, size_t index)
{
    size_t slot = (size_t)map->entries[index].hash & (map->slots - 1);
    while (map->table[slot] != index + 1)
        slot = (slot + 1) & (map->slots - 1);
    return slot;
}

static bool make_room(struct mm_strmap *map)
{
    if (map->count == map->entries_max)
        return false;
    if (map->count == map->capacity) {
        size_t capacity = map->capacity ? map->capacity * 2 : 8;
        struct entry *entries = mm_realloc(map->entries, capacity * sizeof *entries);
        if (!entries)
            return false;
        map->entries = entries;
        map->capacity = capacity;
    }
    if ((map->count + 1) * 2 <= map->slots)
        return true;
    size_t slots = map->slots ? map->slots * 2 : 16;
    uint32_t *table = mm_calloc(slots, sizeof *table);
    if (!table)
        return false;
    for (size_t i = 0; i < map->count; i++) {
        size_t slot = (size_t)map->entries[i].hash & (slots - 1);
        while (table[slot] != 0)
            slot = (slot + 1) & (slots - 1);
        table[slot] = (uint32_t)i + 1;
    }
    mm_free(map->table);
    map->table = table;
    map->slots = slots;
    return true;
}

enum mm_err mm_strmap_set_n(struct mm_strmap *map, const char *key, size_t key_len, uint64_t value)
{
    uint64_t hash = mm_hash64(key, key_len, map->seed);
    if (map->slots > 0) {
        uint32_t number = map->table[find_slot(map, key, key_len, hash)];
        if (number != 0) {
            map->entries[number - 1].value = value;
            return MM_OK;
        }
    }
    if (!make_room(map))
        return MM_RESOURCE_EXHAUSTED;
    char *copy = mm_malloc(key_len + 1);
    if (!copy)
        return MM_RESOURCE_EXHAUSTED;
    if (key_len > 0)
        memcpy(copy, key, key_len);
    copy[key_len] = '\0';
    size_t slot = find_slot(map, key, key_len, hash);
    map->entries[map->count] = (struct entry){copy, key_len, hash, value};
    map->table[slot] = (uint32_t)++map->count;
    return MM_OK;
}

bool mm_strmap_get_n(const struct mm_strmap *map, const char *key, size_t key_len,
                     uint64_t *value_out)
{
    if (map->count == 0)
        return false;
    uint64_t hash = mm_hash64(key, key_len, map->seed);
    uint32_t number = map->table[find_slot(map, key, key_len, hash)];
    if (number == 0)
        return false;
    if (value_out)
        *value_out = map->entries[number - 1].value;
    return true;
}

// Empties a slot and shifts later entries of its run back, so that no lookup meets a hole.
static void clear_slot(struct mm_strmap *map, size_t hole)
{
    size_t mask = map->slots - 1;
    for (size_t slot = (hole + 1) & mask; map->table[slot] != 0; slot = (slot + 1) & mask) {
        size_t home = (size_t)map->entries[map->table[slot] - 1].hash & mask;
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            map->table[hole] = map->table[slot];
            hole = slot;
        }
    }
    map->table[hole] = 0;
}

bool mm_strmap_remove_n(struct mm_strmap *map, const char *key, size_t key_len, uint64_t *value_out)
{
    if (map->count == 0)
        return false;
    uint64_t hash = mm_hash64(key, key_len, map->seed);
    size_t slot = find_slot(map, key, key_len, hash);
    if (map->table[slot] == 0)
        return false;
    size_t index = map->table[slot] - 1;
    if (value_out)
        *value_out = map->entries[index].value;
    clear_slot(map, slot);
    mm_free(map->entries[index].key);
    size_t last = --map->count;
    if (index != last) {
        map->table[slot_of_entry(map, last)] = (uint32_t)index + 1;
        map->entries[index] = map->entries[last];
    }
    return true;
}

enum mm_err mm_strmap_set(struct mm_strmap *map, const char *key, uint64_t value)
{
    return mm_strmap_set_n(map, key, strlen(key), value);
}

bool mm_strmap_get(const struct mm_strmap *map, const char *key, uint64_t *value_out)
{
    return mm_strmap_get_n(map, key, strlen(key), value_out);
}

bool mm_strmap_remove(struct mm_strmap *map, const char *key, uint64_t *value_out)
{
    return mm_strmap_remove_n(map, key, strlen(key), value_out);
}

enum mm_err mm_strmap_set_ptr(struct mm_strmap *map, const char *key, void *value)
{
    return mm_strmap_set(map, key, (uint64_t)(uintptr_t)value);
}

void *mm_strmap_get_ptr(const struct mm_strmap *map, const char *key)
{
    uint64_t value = 0;
    return mm_strmap_get(map, key, &value) ? (void *)(uintptr_t)value : NULL;
}

size_t mm_strmap_count(const struct mm_strmap *map)
{
    return map->count;
}

bool mm_strmap_next(const struct mm_strmap *map, size_t *cursor, const char **key_out,
                    uint64_t *value_out)
{
    if (*cursor >= map->count)
        return false;
    *key_out = map->entries[*cursor].key;
    *value_out = map->entries[*cursor].value;
    ++*cursor;
    return true;
}
