#ifndef MM_BASE_VEC_H
#define MM_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Typed growable arrays with a maximum.
//
//   struct orders { MM_VEC(struct order); } orders;
//   mm_vec_init(&orders, 1000);
//   if (!mm_vec_push(&orders, order)) ...full or out of memory
//   for (size_t i = 0; i < orders.count; i++) use(&orders.items[i]);
//   mm_vec_free(&orders);
#define MM_VEC(type)                                                                               \
    type *items;                                                                                   \
    size_t count;                                                                                  \
    size_t capacity;                                                                               \
    size_t count_max

#define mm_vec_init(vec, max)                                                                      \
    ((vec)->items = NULL, (vec)->count = 0, (vec)->capacity = 0, (vec)->count_max = (max))

// Room for `count` items in all; false at the maximum or out of memory (nothing changes then).
#define mm_vec_reserve(vec, wanted)                                                                \
    ((wanted) <= (vec)->capacity ||                                                                \
     mm_vec_grow_((void **)&(vec)->items, &(vec)->capacity, (vec)->count_max, (wanted),            \
                  sizeof *(vec)->items))

// Appends a value; false at the maximum or out of memory.
#define mm_vec_push(vec, value)                                                                    \
    (mm_vec_reserve((vec), (vec)->count + 1) && (vec)->items &&                                    \
     ((vec)->items[(vec)->count++] = (value), true))

// Removes and yields the last item; the array must not be empty.
#define mm_vec_pop(vec) ((vec)->items[--(vec)->count])

// Removes item i by moving the last one into its place.
#define mm_vec_remove_swap(vec, i) ((vec)->items[(i)] = (vec)->items[--(vec)->count])

#define mm_vec_clear(vec) ((void)((vec)->count = 0))

#define mm_vec_free(vec)                                                                           \
    (mm_vec_release_((void **)&(vec)->items), (vec)->count = 0, (vec)->capacity = 0)

bool mm_vec_grow_(void **items, size_t *capacity, size_t count_max, size_t wanted,
                  size_t item_bytes);
void mm_vec_release_(void **items);

#endif
