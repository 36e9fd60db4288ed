#include "libcommon/base/pool.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include <stdalign.h>
#include <stdbool.h>
#include <string.h>

// Every object is preceded by a header, which tells a double put and a stranger from an object.
struct header {
    alignas(max_align_t) struct header *next_free;
    uint64_t state;
};

// Values that memory does not hold by accident.
#define STATE_FREE UINT64_C(0xf4ee0b1ec7f4ee0b)
#define STATE_USED UINT64_C(0x05ed0b1ec705ed0b)

enum { LINE_BYTES = 64 };

struct slab {
    alignas(LINE_BYTES) struct slab *next;
};

// From here on objects with their headers fill whole cache lines, so as to touch no line more.
enum { LARGE_BYTES = 256 };

enum { SLAB_OBJECTS_FIRST = 16, SLAB_OBJECTS_MAX = 4096, SLAB_BYTES_MAX = 4 << 20 };

struct mm_pool {
    size_t object_bytes;
    size_t stride;
    size_t objects_max;
    size_t objects_made;
    size_t in_use;
    size_t high_water;
    int64_t fail_countdown;
    struct header *free_list;
    struct slab *slabs;
};

struct mm_pool *mm_pool_new(size_t object_bytes, size_t objects_max)
{
    enum { ALIGN = alignof(max_align_t) };
    if (object_bytes == 0 || object_bytes > SIZE_MAX / (2 * SLAB_OBJECTS_MAX))
        return NULL;
    struct mm_pool *pool = mm_calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->object_bytes = object_bytes;
    size_t align = object_bytes >= LARGE_BYTES ? LINE_BYTES : ALIGN;
    pool->stride = (sizeof(struct header) + object_bytes + align - 1) / align * align;
    pool->objects_max = objects_max;
    pool->fail_countdown = -1;
    return pool;
}

void mm_pool_free(struct mm_pool *pool)
{
    if (!pool)
        return;
    for (struct slab *slab = pool->slabs, *next; slab; slab = next) {
        next = slab->next;
        mm_free(slab);
    }
    mm_free(pool);
}

static bool grow(struct mm_pool *pool)
{
    size_t left = pool->objects_max - pool->objects_made;
    size_t count =
        pool->objects_made < SLAB_OBJECTS_FIRST ? SLAB_OBJECTS_FIRST : pool->objects_made;
    size_t slab_max = SLAB_BYTES_MAX / pool->stride;
    if (slab_max < SLAB_OBJECTS_MAX)
        slab_max = SLAB_OBJECTS_MAX;
    if (count > slab_max)
        count = slab_max;
    if (count > left)
        count = left;
    if (count == 0)
        return false;
    struct slab *slab = mm_calloc_aligned(LINE_BYTES, sizeof *slab + count * pool->stride);
    if (!slab)
        return false;
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->objects_made += count;
    // Last first, so that objects are handed out in address order.
    for (size_t i = count; i-- > 0;) {
        struct header *header = (struct header *)((uint8_t *)(slab + 1) + i * pool->stride);
        header->state = STATE_FREE;
        header->next_free = pool->free_list;
        pool->free_list = header;
    }
    return true;
}

void *mm_pool_get(struct mm_pool *pool)
{
    if (pool->fail_countdown >= 0) {
        if (pool->fail_countdown == 0)
            return NULL;
        pool->fail_countdown--;
    }
    if (!pool->free_list && !grow(pool))
        return NULL;
    struct header *header = pool->free_list;
    pool->free_list = header->next_free;
    header->next_free = NULL;
    header->state = STATE_USED;
    if (++pool->in_use > pool->high_water)
        pool->high_water = pool->in_use;
    return memset(header + 1, 0, pool->object_bytes);
}

void mm_pool_put(struct mm_pool *pool, void *object)
{
    if (!object)
        return;
    struct header *header = (struct header *)object - 1;
    MM_CHECK(header->state == STATE_USED);
    header->state = STATE_FREE;
    header->next_free = pool->free_list;
    pool->free_list = header;
    pool->in_use--;
}

size_t mm_pool_in_use(const struct mm_pool *pool)
{
    return pool->in_use;
}

size_t mm_pool_high_water(const struct mm_pool *pool)
{
    return pool->high_water;
}

void mm_pool_fail_after(struct mm_pool *pool, int64_t countdown)
{
    pool->fail_countdown = countdown;
}
