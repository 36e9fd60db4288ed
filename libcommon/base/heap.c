#include "libcommon/base/heap.h"

#include "libcommon/base/alloc.h"
#include <string.h>

// `order` is the heap proper: handles, ordered by their entry's (key, sequence). Entries stay where
// they are, so a handle is an index. Free entries form a list through `place`.
struct entry {
    uint64_t key;
    uint64_t sequence;
    uint64_t value;
    uint32_t place; // index in `order`, or the next free entry
    bool used;
};

struct mm_heap {
    struct entry *entries;
    uint32_t *order;
    uint32_t count;
    uint32_t capacity;
    uint32_t entries_max;
    uint32_t free_first;
    uint64_t sequence;
};

static const size_t entries_limit = ((size_t)1 << 31) - 1;

struct mm_heap *mm_heap_new(size_t entries_max)
{
    struct mm_heap *heap = mm_calloc(1, sizeof *heap);
    if (!heap)
        return NULL;
    heap->entries_max = (uint32_t)(entries_max < entries_limit ? entries_max : entries_limit);
    heap->free_first = MM_HEAP_NONE;
    return heap;
}

void mm_heap_free(struct mm_heap *heap)
{
    if (!heap)
        return;
    mm_free(heap->entries);
    mm_free(heap->order);
    mm_free(heap);
}

static bool less(const struct mm_heap *heap, uint32_t x, uint32_t y)
{
    const struct entry *a = &heap->entries[x], *b = &heap->entries[y];
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void put_at(struct mm_heap *heap, uint32_t place, uint32_t handle)
{
    heap->order[place] = handle;
    heap->entries[handle].place = place;
}

static void sift_up(struct mm_heap *heap, uint32_t place)
{
    uint32_t handle = heap->order[place];
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (!less(heap, handle, heap->order[parent]))
            break;
        put_at(heap, place, heap->order[parent]);
        place = parent;
    }
    put_at(heap, place, handle);
}

static void sift_down(struct mm_heap *heap, uint32_t place)
{
    uint32_t handle = heap->order[place];
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && less(heap, heap->order[child + 1], heap->order[child]))
            child++;
        if (!less(heap, heap->order[child], handle))
            break;
        put_at(heap, place, heap->order[child]);
        place = child;
    }
    put_at(heap, place, handle);
}

static bool grow(struct mm_heap *heap)
{
    uint32_t capacity = heap->capacity < 16 ? 16 : heap->capacity * 2;
    if (capacity > heap->entries_max)
        capacity = heap->entries_max;
    if (capacity <= heap->capacity)
        return false;
    struct entry *entries = mm_realloc(heap->entries, capacity * sizeof *entries);
    if (!entries)
        return false;
    heap->entries = entries;
    uint32_t *order = mm_realloc(heap->order, capacity * sizeof *order);
    if (!order)
        return false;
    heap->order = order;
    for (uint32_t i = capacity; i-- > heap->capacity;) {
        entries[i].used = false;
        entries[i].place = heap->free_first;
        heap->free_first = i;
    }
    heap->capacity = capacity;
    return true;
}

enum mm_err mm_heap_push(struct mm_heap *heap, uint64_t key, uint64_t value,
                         mm_heap_handle *handle_out)
{
    if (heap->free_first == MM_HEAP_NONE && !grow(heap))
        return MM_RESOURCE_EXHAUSTED;
    uint32_t handle = heap->free_first;
    struct entry *entry = &heap->entries[handle];
    heap->free_first = entry->place;
    *entry = (struct entry){.key = key, .sequence = heap->sequence++, .value = value, .used = true};
    heap->order[heap->count] = handle;
    sift_up(heap, heap->count++);
    if (handle_out)
        *handle_out = handle;
    return MM_OK;
}

static bool is_entry(const struct mm_heap *heap, mm_heap_handle handle)
{
    return handle < heap->capacity && heap->entries[handle].used;
}

// Restores the order around a place whose entry has changed.
static void settle(struct mm_heap *heap, uint32_t place)
{
    if (place > 0 && less(heap, heap->order[place], heap->order[(place - 1) / 2]))
        sift_up(heap, place);
    else
        sift_down(heap, place);
}

bool mm_heap_remove(struct mm_heap *heap, mm_heap_handle handle)
{
    if (!is_entry(heap, handle))
        return false;
    struct entry *entry = &heap->entries[handle];
    uint32_t place = entry->place;
    uint32_t last = heap->order[--heap->count];
    if (last != handle) {
        put_at(heap, place, last);
        settle(heap, place);
    }
    entry->used = false;
    entry->place = heap->free_first;
    heap->free_first = handle;
    return true;
}

bool mm_heap_change_key(struct mm_heap *heap, mm_heap_handle handle, uint64_t key)
{
    if (!is_entry(heap, handle))
        return false;
    heap->entries[handle].key = key;
    settle(heap, heap->entries[handle].place);
    return true;
}

bool mm_heap_get(const struct mm_heap *heap, mm_heap_handle handle, struct mm_heap_entry *out)
{
    if (!is_entry(heap, handle))
        return false;
    const struct entry *entry = &heap->entries[handle];
    *out = (struct mm_heap_entry){.key = entry->key, .value = entry->value, .handle = handle};
    return true;
}

bool mm_heap_peek(const struct mm_heap *heap, struct mm_heap_entry *out)
{
    return heap->count > 0 && mm_heap_get(heap, heap->order[0], out);
}

bool mm_heap_pop(struct mm_heap *heap, struct mm_heap_entry *out)
{
    return mm_heap_peek(heap, out) && mm_heap_remove(heap, out->handle);
}

bool mm_heap_pop_due(struct mm_heap *heap, uint64_t key_max, struct mm_heap_entry *out)
{
    struct mm_heap_entry least;
    if (!mm_heap_peek(heap, &least) || least.key > key_max)
        return false;
    *out = least;
    return mm_heap_remove(heap, least.handle);
}

size_t mm_heap_count(const struct mm_heap *heap)
{
    return heap->count;
}

void mm_heap_clear(struct mm_heap *heap)
{
    heap->count = 0;
    heap->free_first = MM_HEAP_NONE;
    for (uint32_t i = heap->capacity; i-- > 0;) {
        heap->entries[i].used = false;
        heap->entries[i].place = heap->free_first;
        heap->free_first = i;
    }
}
