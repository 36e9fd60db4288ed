#ifndef SYNC_CORE_MEMORIES_H
#define SYNC_CORE_MEMORIES_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/err.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/vec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The entities one empire remembers but does not see, as they were last seen.

#define SYNC_MEMORIES_MAX 65536 // per empire

struct sync_memory {
    uint64_t id;
    uint64_t first_seen, last_seen, expires_at; // ticks; expires_at 0 = never
    uint32_t type;
    uint32_t owner;
    int32_t q, r;
    int32_t health;
    uint32_t mode; // enum Mmorts__Frame__CacheMode
};

struct sync_memories {
    struct mm_idmap *index; // id -> position
    struct {
        MM_VEC(struct sync_memory);
    } items;
};

enum mm_err MM_MUST_USE sync_memories_init(struct sync_memories *memories);
void sync_memories_free(struct sync_memories *memories);

// NULL if it is not remembered. Valid until the next change.
const struct sync_memory *sync_memories_find(const struct sync_memories *memories, uint64_t id);
// Adds or replaces. False at the bound or out of memory.
bool sync_memories_set(struct sync_memories *memories, const struct sync_memory *memory);
// False if it was not remembered; out (may be NULL) gets what was.
bool sync_memories_remove(struct sync_memories *memories, uint64_t id, struct sync_memory *out);

// Entry i of the columns, whose lengths the caller has checked.
struct sync_memory sync_memory_at(const Mmorts__Frame__MemoryColumns *columns, size_t i);
bool sync_memory_equal(const struct sync_memory *a, const struct sync_memory *b);

#endif
