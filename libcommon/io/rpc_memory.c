#include "libcommon/io/rpc_memory.h"

#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/hash.h"
#include "libcommon/base/idmap.h"
#include "libcommon/io/trace.h"

struct mm_rpc_memory {
    struct mm_idmap *by_key; // map_key -> index into entries
    struct mm_rpc_remembered *entries;
    struct mm_rpc_remembered *free_list;
    struct mm_rpc_remembered *oldest, *newest; // finished ones
    uint64_t seed;                             // secret, so that nobody can choose ids that collide
    size_t bytes, bytes_max;
    uint32_t calls_max;
};

struct mm_rpc_memory *mm_rpc_memory_new(uint32_t calls_max, size_t bytes_max)
{
    struct mm_rpc_memory *memory = mm_calloc(1, sizeof *memory);
    if (!memory)
        return NULL;
    memory->by_key = mm_idmap_new(calls_max);
    memory->entries = mm_calloc(calls_max, sizeof *memory->entries);
    if (!memory->by_key || !memory->entries ||
        mm_idmap_reserve(memory->by_key, calls_max) != MM_OK) {
        mm_rpc_memory_free(memory);
        return NULL;
    }
    memory->calls_max = calls_max;
    memory->bytes_max = bytes_max;
    mm_random_bytes(&memory->seed, sizeof memory->seed);
    for (uint32_t i = calls_max; i-- > 0;) {
        memory->entries[i].newer = memory->free_list;
        memory->free_list = &memory->entries[i];
    }
    return memory;
}

void mm_rpc_memory_free(struct mm_rpc_memory *memory)
{
    if (!memory)
        return;
    for (uint32_t i = 0; memory->entries && i < memory->calls_max; i++)
        mm_free(memory->entries[i].reply);
    mm_idmap_free(memory->by_key);
    mm_free(memory->entries);
    mm_free(memory);
}

size_t mm_rpc_memory_reply_bytes_max(const struct mm_rpc_memory *memory)
{
    return memory->bytes_max / 8;
}

static void release(struct mm_rpc_memory *memory, struct mm_rpc_remembered *entry)
{
    MM_CHECK(mm_idmap_remove(memory->by_key, entry->map_key, NULL));
    mm_free(entry->reply);
    *entry = (struct mm_rpc_remembered){.newer = memory->free_list};
    memory->free_list = entry;
}

static void drop_oldest(struct mm_rpc_memory *memory)
{
    struct mm_rpc_remembered *entry = memory->oldest;
    memory->oldest = entry->newer;
    if (memory->oldest)
        memory->oldest->older = NULL;
    else
        memory->newest = NULL;
    memory->bytes -= entry->reply_len;
    release(memory, entry);
}

enum mm_rpc_memory_verdict mm_rpc_memory_look_up(struct mm_rpc_memory *memory,
                                                 const struct mm_rpc_memory_key *key,
                                                 struct mm_rpc_remembered **out)
{
    *out = NULL;
    const struct mm_rpc_caller *caller = key->caller;
    uint64_t service_hash = mm_hash64(caller->service, strlen(caller->service), memory->seed);
    struct mm_hash hash;
    mm_hash_init(&hash, memory->seed);
    mm_hash_update(&hash, key->id.bytes, sizeof key->id.bytes);
    mm_hash_u64(&hash, caller->player_id);
    mm_hash_u64(&hash, service_hash);
    uint64_t map_key = mm_hash_digest(&hash);
    uint64_t body_hash = mm_hash64(key->body, key->body_len, memory->seed);

    uint64_t index;
    if (mm_idmap_get(memory->by_key, map_key, &index)) {
        struct mm_rpc_remembered *found = &memory->entries[index];
        if (memcmp(found->id.bytes, key->id.bytes, sizeof key->id.bytes) != 0 ||
            found->player_id != caller->player_id || found->service_hash != service_hash ||
            found->method != key->method || found->body_hash != body_hash)
            return MM_RPC_MEMORY_MISMATCH;
        *out = found;
        return found->reply ? MM_RPC_MEMORY_ANSWERED : MM_RPC_MEMORY_RUNNING;
    }
    if (!memory->free_list && memory->oldest)
        drop_oldest(memory);
    struct mm_rpc_remembered *entry = memory->free_list;
    if (!entry)
        return MM_RPC_MEMORY_FULL;
    memory->free_list = entry->newer;
    *entry = (struct mm_rpc_remembered){.id = key->id,
                                        .player_id = caller->player_id,
                                        .service_hash = service_hash,
                                        .method = key->method,
                                        .body_hash = body_hash,
                                        .map_key = map_key};
    // Room was reserved for every entry.
    MM_CHECK(mm_idmap_set(memory->by_key, map_key, (uint64_t)(entry - memory->entries)) == MM_OK);
    *out = entry;
    return MM_RPC_MEMORY_NEW;
}

void mm_rpc_memory_keep(struct mm_rpc_memory *memory, struct mm_rpc_remembered *entry,
                        uint8_t *reply, size_t len)
{
    MM_CHECK(!entry->reply && reply);
    entry->reply = reply;
    entry->reply_len = len;
    entry->older = memory->newest;
    entry->newer = NULL;
    if (memory->newest)
        memory->newest->newer = entry;
    else
        memory->oldest = entry;
    memory->newest = entry;
    memory->bytes += len;
    while (memory->bytes > memory->bytes_max && memory->oldest != entry)
        drop_oldest(memory);
}

void mm_rpc_memory_forget(struct mm_rpc_memory *memory, struct mm_rpc_remembered *entry)
{
    MM_CHECK(!entry->reply);
    release(memory, entry);
}
