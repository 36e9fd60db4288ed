#include "libcommon/base/alloc.h"
#include "libcommon/base/heap.h"
#include "libcommon/base/rng.h"
#include <criterion/criterion.h>

enum { MODEL_MAX = 400 };

// The model: an unordered list, searched for its least (key, push order) each time.
struct model {
    struct {
        uint64_t key, order, value;
        mm_heap_handle handle;
    } items[MODEL_MAX];
    size_t count;
};

static size_t model_least(const struct model *model)
{
    size_t least = 0;
    for (size_t i = 1; i < model->count; i++)
        if (model->items[i].key < model->items[least].key ||
            (model->items[i].key == model->items[least].key &&
             model->items[i].order < model->items[least].order))
            least = i;
    return least;
}

Test(heap, does_what_a_search_of_a_list_does)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 1);
    struct mm_heap *heap = mm_heap_new(MODEL_MAX);
    static struct model model;
    for (uint64_t i = 0; i < 40000; i++) {
        // Few keys, so that many are equal.
        uint64_t key = mm_rng_below(&rng, 20);
        size_t at = model.count ? (size_t)mm_rng_below(&rng, model.count) : 0;
        struct mm_heap_entry entry;
        switch (mm_rng_below(&rng, i % 10000 < 5000 ? 6 : 4)) {
        case 0:
            if (model.count > 0) {
                cr_assert(mm_heap_remove(heap, model.items[at].handle));
                cr_assert(!mm_heap_get(heap, model.items[at].handle, &entry));
                model.items[at] = model.items[--model.count];
            }
            break;
        case 1:
            if (model.count > 0) {
                cr_assert(mm_heap_change_key(heap, model.items[at].handle, key));
                model.items[at].key = key;
            }
            break;
        case 2: {
            bool popped = mm_heap_pop(heap, &entry);
            cr_assert_eq(popped, model.count > 0);
            if (popped) {
                size_t least = model_least(&model);
                cr_assert_eq(entry.value, model.items[least].value);
                cr_assert_eq(entry.key, model.items[least].key);
                model.items[least] = model.items[--model.count];
            }
            break;
        }
        default: {
            mm_heap_handle handle;
            enum mm_err err = mm_heap_push(heap, key, i, &handle);
            cr_assert_eq(err, model.count < MODEL_MAX ? MM_OK : MM_RESOURCE_EXHAUSTED);
            if (err == MM_OK) {
                size_t n = model.count++;
                model.items[n].key = key;
                model.items[n].order = i;
                model.items[n].value = i;
                model.items[n].handle = handle;
            }
        }
        }
        cr_assert_eq(mm_heap_count(heap), model.count);
    }
    mm_heap_free(heap);
}

Test(heap, pop_due_stops_at_the_bound)
{
    struct mm_heap *heap = mm_heap_new(100);
    for (uint64_t key = 100; key-- > 0;)
        cr_assert_eq(mm_heap_push(heap, key, key, NULL), MM_OK);
    struct mm_heap_entry entry;
    uint64_t popped = 0;
    while (mm_heap_pop_due(heap, 41, &entry))
        cr_assert_eq(entry.key, popped++);
    cr_assert_eq(popped, 42);
    cr_assert(mm_heap_peek(heap, &entry) && entry.key == 42);
    mm_heap_clear(heap);
    cr_assert(!mm_heap_peek(heap, &entry) && !mm_heap_remove(heap, 0));
    for (uint64_t i = 0; i < 100; i++)
        cr_assert_eq(mm_heap_push(heap, i, i, NULL), MM_OK, "a cleared heap has all its room");
    mm_heap_free(heap);
}

Test(heap, failing_allocations_change_nothing)
{
    mm_alloc_fail_after(0);
    cr_assert_null(mm_heap_new(10));
    mm_alloc_fail_after(-1);
    struct mm_heap *heap = mm_heap_new(1000);
    unsigned failures = 0;
    for (uint64_t i = 0; i < 500; i++) {
        for (int64_t n = 0;; n++) {
            mm_alloc_fail_after(n);
            enum mm_err err = mm_heap_push(heap, 500 - i, i, NULL);
            mm_alloc_fail_after(-1);
            cr_assert_eq(mm_heap_count(heap), i + (err == MM_OK));
            if (err == MM_OK)
                break;
            failures++;
        }
    }
    cr_assert_gt(failures, 5);
    struct mm_heap_entry entry;
    for (uint64_t i = 500; i-- > 0;)
        cr_assert(mm_heap_pop(heap, &entry) && entry.value == i);
    mm_heap_free(heap);
    mm_heap_free(NULL);
}
