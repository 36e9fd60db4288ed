#include "services/sync/core/memories.h"

#include <string.h>

enum mm_err sync_memories_init(struct sync_memories *memories)
{
    memset(memories, 0, sizeof *memories);
    mm_vec_init(&memories->items, SYNC_MEMORIES_MAX);
    memories->index = mm_idmap_new(SYNC_MEMORIES_MAX);
    return memories->index ? MM_OK : MM_RESOURCE_EXHAUSTED;
}

void sync_memories_free(struct sync_memories *memories)
{
    mm_vec_free(&memories->items);
    mm_idmap_free(memories->index);
    memset(memories, 0, sizeof *memories);
}

const struct sync_memory *sync_memories_find(const struct sync_memories *memories, uint64_t id)
{
    uint64_t at = 0;
    return mm_idmap_get(memories->index, id, &at) ? &memories->items.items[at] : NULL;
}

bool sync_memories_set(struct sync_memories *memories, const struct sync_memory *memory)
{
    uint64_t at = 0;
    if (mm_idmap_get(memories->index, memory->id, &at)) {
        memories->items.items[at] = *memory;
        return true;
    }
    if (!mm_vec_reserve(&memories->items, memories->items.count + 1))
        return false;
    if (mm_idmap_set(memories->index, memory->id, memories->items.count) != MM_OK)
        return false;
    memories->items.items[memories->items.count++] = *memory;
    return true;
}

bool sync_memories_remove(struct sync_memories *memories, uint64_t id, struct sync_memory *out)
{
    uint64_t at = 0;
    if (!mm_idmap_remove(memories->index, id, &at))
        return false;
    if (out)
        *out = memories->items.items[at];
    mm_vec_remove_swap(&memories->items, at);
    if (at < memories->items.count) {
        uint64_t *moved = mm_idmap_find(memories->index, memories->items.items[at].id);
        if (moved)
            *moved = at;
    }
    return true;
}

struct sync_memory sync_memory_at(const Mmorts__Frame__MemoryColumns *columns, size_t i)
{
    return (struct sync_memory){
        .id = columns->id[i],
        .first_seen = columns->first_seen[i],
        .last_seen = columns->last_seen[i],
        .expires_at = columns->expires_at[i],
        .type = columns->type[i],
        .owner = columns->owner[i],
        .q = columns->q[i],
        .r = columns->r[i],
        .health = columns->health[i],
        .mode = (uint32_t)columns->mode[i],
    };
}

bool sync_memory_equal(const struct sync_memory *a, const struct sync_memory *b)
{
    return a->id == b->id && a->last_seen == b->last_seen && a->expires_at == b->expires_at &&
           a->type == b->type && a->owner == b->owner && a->q == b->q && a->r == b->r &&
           a->health == b->health && a->mode == b->mode;
}
