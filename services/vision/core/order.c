#include "services/vision/core/mirror.h"
#include "services/vision/core/sight.h"
#include "services/vision/core/state.h"
#include "services/vision/core/turn.h"

#include <string.h>

// Radix sorts: the cost of the tick follows what changed, not the number of empires.

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, FEW = 64 };

static void digit_places(uint32_t places[DIGITS])
{
    uint32_t sum = 0;
    for (uint32_t digit = 0; digit < DIGITS; digit++) {
        uint32_t here = places[digit];
        places[digit] = sum;
        sum += here;
    }
}

static void sort_by_digit(const struct vision_ordered *from, struct vision_ordered *to,
                          size_t count, unsigned shift)
{
    uint32_t places[DIGITS] = {0};
    for (size_t i = 0; i < count; i++)
        places[from[i].owner >> shift & (DIGITS - 1)]++;
    digit_places(places);
    for (size_t i = 0; i < count; i++)
        to[places[from[i].owner >> shift & (DIGITS - 1)]++] = from[i];
}

static void sort_few(struct vision_ordered *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct vision_ordered moving = items[i];
        size_t k = i;
        for (; k > 0 && items[k - 1].owner > moving.owner; k--)
            items[k] = items[k - 1];
        items[k] = moving;
    }
}

// Whether the move waits for its owner's turn; what changed otherwise too moves at once.
static bool waits(struct vision *vision, const Mmorts__Frame__PositionColumns *moved, size_t i)
{
    if (vision->entities[moved->entity[i]].change == 0)
        return true;
    vision_mirror_move(vision, moved->entity[i], (struct hex_axial){moved->q[i], moved->r[i]});
    return false;
}

void vision_order_changes(struct vision *vision, const Mmorts__Frame__PositionColumns *moved)
{
    size_t changed = vision->changes.count;
    size_t postponed = vision_moves_count(vision) ? vision->postponed.count : 0;
    size_t count = changed + postponed + (moved ? moved->n_entity : 0);
    if (!mm_vec_reserve(&vision->order, count) || !mm_vec_reserve(&vision->order_scratch, count)) {
        vision->exhausted = true;
        return;
    }
    vision->order.count = vision->order_scratch.count = count;
    for (size_t i = 0; i < changed; i++)
        vision->order.items[i] = (struct vision_ordered){.owner = vision->changes.items[i].owner,
                                                         .entity = vision->changes.items[i].entity,
                                                         .change = (uint32_t)i};
    for (size_t i = 0; i < postponed; i++) {
        struct vision_entity *entity = &vision->entities[vision->postponed.items[i]];
        entity->postponed = false;
        vision->order.items[changed + i] = (struct vision_ordered){
            .owner = entity->owner,
            .entity = vision->postponed.items[i],
            .change = ORDERED_UNCHANGED,
        };
    }
    if (postponed > 0)
        mm_vec_clear(&vision->postponed);
    count = changed + postponed;
    for (size_t i = 0; moved && i < moved->n_entity; i++) {
        (void)mm_progress_row(vision->progress, i);
        if (waits(vision, moved, i))
            vision->order.items[count++] = (struct vision_ordered){
                .owner = vision->entities[moved->entity[i]].owner,
                .entity = moved->entity[i],
                .moved = (uint32_t)i + 1,
                .change = ORDERED_UNCHANGED,
            };
    }
    vision->order.count = count;
    if (count < FEW) {
        sort_few(vision->order.items, count);
        return;
    }
    for (unsigned shift = 0; shift < 32 && vision->empire_capacity >> shift != 0;
         shift += DIGIT_BITS) {
        sort_by_digit(vision->order.items, vision->order_scratch.items, count, shift);
        (void)mm_progress_step(vision->progress);
        struct vision_ordered *sorted = vision->order_scratch.items;
        vision->order_scratch.items = vision->order.items;
        vision->order.items = sorted;
    }
}

static bool is_sorted(const uint32_t *numbers, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (numbers[i - 1] > numbers[i])
            return false;
    }
    return true;
}

void vision_sort_numbers(uint32_t *numbers, uint32_t *scratch, size_t count, uint32_t limit)
{
    for (unsigned shift = 0; shift < 32 && limit >> shift != 0 && !is_sorted(numbers, count);
         shift += DIGIT_BITS) {
        uint32_t places[DIGITS] = {0};
        for (size_t i = 0; i < count; i++)
            places[numbers[i] >> shift & (DIGITS - 1)]++;
        digit_places(places);
        for (size_t i = 0; i < count; i++)
            scratch[places[numbers[i] >> shift & (DIGITS - 1)]++] = numbers[i];
        memcpy(numbers, scratch, count * sizeof *numbers);
    }
}
