#include "libcommon/base/vec.h"

#include "libcommon/base/alloc.h"

bool mm_vec_grow_(void **items, size_t *capacity, size_t count_max, size_t wanted,
                  size_t item_bytes)
{
    if (wanted > count_max || wanted > SIZE_MAX / item_bytes)
        return false;
    size_t grown = *capacity < 8 ? 8 : *capacity;
    while (grown < wanted && grown <= count_max / 2)
        grown *= 2;
    if (grown < wanted || grown > count_max)
        grown = count_max;
    if (grown > SIZE_MAX / item_bytes)
        grown = wanted;
    void *memory = mm_realloc(*items, grown * item_bytes);
    if (!memory)
        return false;
    *items = memory;
    *capacity = grown;
    return true;
}

void mm_vec_release_(void **items)
{
    mm_free(*items);
    *items = NULL;
}
