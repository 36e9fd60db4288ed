#ifndef MM_BASE_POOL_H
#define MM_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

// Objects of one size, taken and given back in any order; memory grows slab by slab up to a limit
// and is released with the pool. Not thread-safe.
struct mm_pool;

// At most objects_max objects are out at once. NULL when out of memory.
struct mm_pool *mm_pool_new(size_t object_bytes, size_t objects_max);
// Every object dies with the pool.
void mm_pool_free(struct mm_pool *pool);

// A zeroed object aligned for any type, or NULL at the limit, in failing mode or out of memory.
void *mm_pool_get(struct mm_pool *pool);
// Gives an object back. NULL is ignored. A pointer that is not out of this pool is a bug.
void mm_pool_put(struct mm_pool *pool, void *object);

size_t mm_pool_in_use(const struct mm_pool *pool);
size_t mm_pool_high_water(const struct mm_pool *pool);

// Test aid: after `countdown` more objects every get fails; negative switches this off.
void mm_pool_fail_after(struct mm_pool *pool, int64_t countdown);

#endif
