#include "services/vision/core/count.h"
#include "libcommon/base/check.h"
#include "services/vision/core/state.h"
#include "services/vision/core/view.h"

// How many see a cell: 64 counters at a time.

struct vision_seldom *vision_active_seldom(struct vision *vision, struct vision_active *active)
{
    if (!active->seldom)
        active->seldom = mm_pool_get(vision->seldom_pool);
    vision->exhausted |= !active->seldom;
    return active->seldom;
}

static struct vision_plane *plane_get(struct vision *vision, struct vision_active *active,
                                      enum vision_sense sense, enum vision_source source)
{
    if (sense == SENSE_SIGHT && source == SOURCE_OWN)
        return vision_own_plane(vision, active);
    struct vision_seldom *seldom = vision_active_seldom(vision, active);
    if (!seldom)
        return NULL;
    struct vision_plane **place = &seldom->planes[sense][source];
    if (!*place)
        *place = mm_pool_get(vision->plane_pool);
    vision->exhausted |= !*place;
    return *place;
}

void vision_plane_put(struct vision *vision, struct vision_plane *plane)
{
    while (plane) {
        struct vision_plane *next = plane->next;
        mm_pool_put(vision->plane_pool, plane);
        plane = next;
    }
}

static void count_up(struct vision *vision, struct vision_plane *plane, uint32_t first_word,
                     const uint64_t *masks, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++) {
        uint64_t *digits = plane->digits[first_word + i];
        uint64_t carry = masks[i];
        for (unsigned bit = 0; bit < VISION_COUNT_BITS; bit++) {
            uint64_t digit = digits[bit];
            digits[bit] = digit ^ carry;
            carry &= digit;
        }
        if (__builtin_expect(carry == 0, 1))
            continue;
        // They were full and are 0: one, and all that was full goes into the next plane.
        digits[0] |= carry;
        if (!plane->next)
            plane->next = mm_pool_get(vision->plane_pool);
        if (plane->next)
            count_up(vision, plane->next, first_word + i, &carry, 1);
        else
            vision->exhausted = true;
    }
}

static void count_down(struct vision_plane *plane, uint32_t first_word, const uint64_t *masks,
                       uint32_t words)
{
    for (uint32_t i = 0; i < words; i++) {
        uint64_t *digits = plane->digits[first_word + i];
        uint64_t borrow = masks[i], occupied = 0;
        for (unsigned bit = 0; bit < VISION_COUNT_BITS; bit++) {
            uint64_t digit = digits[bit];
            digits[bit] = digit ^ borrow;
            borrow &= ~digit;
            occupied |= digits[bit];
        }
        MM_CHECK(borrow == 0 || VISION_FAULT(UNDERFLOW_UNCHECKED));
        for (unsigned bit = 0; bit < VISION_COUNT_BITS && borrow != 0; bit++)
            digits[bit] &= ~borrow;
        // Those that are 0 and are counted in the next plane: full, and one less there.
        uint64_t more = plane->next ? masks[i] & ~occupied : 0;
        more = more ? more & vision_plane_word(plane->next, first_word + i) : 0;
        if (__builtin_expect(more == 0, 1))
            continue;
        for (unsigned bit = 0; bit < VISION_COUNT_BITS; bit++)
            digits[bit] |= more;
        count_down(plane->next, first_word + i, &more, 1);
    }
}

void vision_count_cells(struct vision *vision, struct vision_active *active,
                        enum vision_sense sense, enum vision_source source, uint32_t first_word,
                        const uint64_t *masks, uint32_t words, bool up)
{
    struct vision_plane *plane = plane_get(vision, active, sense, source);
    if (!plane)
        return;
    vision_active_mark_dirty(vision, active);
    if (up)
        count_up(vision, plane, first_word, masks, words);
    else
        count_down(plane, first_word, masks, words);
    if (VISION_FAULT(COUNT_UNDERFLOW) && !up) {
        uint64_t again = masks[0] & -masks[0] & vision_plane_word(plane, first_word);
        count_down(plane, first_word, &again, 1);
    }
}

void vision_reveal_chunk(struct vision *vision, uint32_t empire, uint32_t chunk)
{
    struct vision_view *view = vision_view_get(vision, empire, chunk);
    struct vision_active *active = view ? vision_view_activate(vision, view) : NULL;
    for (uint32_t w = 0; active && w < vision->words; w++) {
        uint64_t all = w + 1 < vision->words ? UINT64_MAX
                                             : UINT64_MAX >> (63 - (vision->tiling.cells - 1) % 64);
        vision_count_cells(vision, active, SENSE_SIGHT, SOURCE_OWN, w, &all, 1, true);
    }
}
