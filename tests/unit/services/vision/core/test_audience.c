// Parts of a frame: what an audience is told is what the whole frame tells of its empires, no more
// and no less; held against a reading of the whole frame row by row.

#include "libcommon/base/alloc.h"
#include "libcommon/base/rng.h"
#include "libcommon/io/pb.h"
#include "services/vision/core/audience.h"
#include "services/vision/core/vision.h"
#include "tests/support/vision_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EMPIRES = 9, TICKS = 300, TEXT_BYTES = 1 << 20 };

// --- what a frame tells of empires, as text ---------------------------------------------------

struct text {
    char *bytes;
    size_t length;
};

#define WRITE(text, ...)                                                                           \
    ((text)->length +=                                                                             \
     (size_t)snprintf((text)->bytes + (text)->length, TEXT_BYTES - (text)->length, __VA_ARGS__))

static size_t rows(const uint32_t *counts, size_t n, size_t e)
{
    return n > 0 ? counts[e] : 0;
}

// Of the empires in `chosen` (bits), in the order of the frame.
static void describe(struct text *text, const Mmorts__Frame__VisionFrame *f, uint64_t chosen)
{
    text->length = 0;
    size_t hex = 0, entered = 0, left = 0, remembered = 0, forgotten = 0;
    for (size_t e = 0; e < f->n_empire; e++) {
        bool told = chosen >> f->empire[e] & 1;
        if (told)
            WRITE(text, "empire %u\n", f->empire[e]);
        for (size_t i = rows(f->hex_count, f->n_hex_count, e); i-- > 0; hex++)
            if (told)
                WRITE(text, "h %d %d %d %u\n", f->hex_q[hex], f->hex_r[hex], f->hex_state[hex],
                      f->hex_terrain[hex]);
        for (size_t i = rows(f->entered_count, f->n_entered_count, e); i-- > 0; entered++)
            if (told)
                WRITE(text, "e %u\n", f->entered[entered]);
        for (size_t i = rows(f->left_count, f->n_left_count, e); i-- > 0; left++)
            if (told)
                WRITE(text, "l %llu\n", (unsigned long long)f->left[left]);
        const Mmorts__Frame__MemoryColumns *m = f->remembered;
        for (size_t i = rows(f->remembered_count, f->n_remembered_count, e); i-- > 0; remembered++)
            if (told)
                WRITE(text, "r %llu %u %u %d %d %d %llu %llu %d %llu\n",
                      (unsigned long long)m->id[remembered], m->type[remembered],
                      m->owner[remembered], m->q[remembered], m->r[remembered],
                      m->health[remembered], (unsigned long long)m->first_seen[remembered],
                      (unsigned long long)m->last_seen[remembered], m->mode[remembered],
                      (unsigned long long)m->expires_at[remembered]);
        for (size_t i = rows(f->forgotten_count, f->n_forgotten_count, e); i-- > 0; forgotten++)
            if (told)
                WRITE(text, "f %llu\n", (unsigned long long)f->forgotten[forgotten]);
    }
    cr_assert_lt(text->length, TEXT_BYTES - 1);
    // Nothing is there that belongs to nobody.
    cr_assert(hex == f->n_hex_q && hex == f->n_hex_r && hex == f->n_hex_state &&
              hex == f->n_hex_terrain);
    cr_assert(entered == f->n_entered && left == f->n_left && forgotten == f->n_forgotten);
    cr_assert_eq(remembered, f->remembered ? f->remembered->n_id : 0);
}

static struct vision_audience *audience_of(uint64_t chosen)
{
    uint32_t empires[64];
    size_t count = 0;
    for (uint32_t empire = 1; empire < 64; empire++)
        if (chosen >> empire & 1)
            empires[count++] = empire;
    struct vision_audience *audience;
    cr_assert_eq(vision_audience_new(empires, count, 63, &audience), MM_OK);
    cr_assert_eq(vision_audience_count(audience), count);
    return audience;
}

// Over the wire and back, as a reader gets it.
static Mmorts__Frame__VisionFrame *sent(const Mmorts__Frame__VisionFrame *frame, size_t *bytes_out)
{
    uint8_t *bytes;
    ProtobufCMessage *back;
    cr_assert_eq(mm_pb_pack(&frame->base, SIZE_MAX, &bytes, bytes_out), MM_OK);
    cr_assert_eq(mm_pb_unpack(&mmorts__frame__vision_frame__descriptor, NULL, bytes, *bytes_out,
                              SIZE_MAX, &back),
                 MM_OK);
    mm_free(bytes);
    return (Mmorts__Frame__VisionFrame *)(void *)back;
}

static struct text text_new(void)
{
    struct text text = {.bytes = malloc(TEXT_BYTES)};
    cr_assert(text.bytes);
    text.bytes[0] = '\0';
    return text;
}

Test(vision_audience, a_part_tells_what_the_frame_tells_of_its_empires, .timeout = 300)
{
    struct vision_world_options options = {.seed = 11,
                                           .empires = EMPIRES,
                                           .entities = 120,
                                           .chunk_radius = 5,
                                           .memories_max = 20,
                                           .fog_of_war = true};
    struct vision_world *world = vision_world_new(&options);
    struct vision_options core_options = vision_world_core_options(world);
    struct vision *core;
    cr_assert_eq(vision_new(&core_options, &core), MM_OK);
    struct vision_part *part = vision_part_new();
    cr_assert(part);
    struct text whole = text_new(), told = text_new();
    struct mm_rng rng;
    mm_rng_seed(&rng, 5);
    size_t memories = 0, partial = 0;
    for (int tick = 0; tick < TICKS; tick++) {
        const Mmorts__Frame__TickFrame *frame = vision_world_tick(world, tick == 0, core);
        const Mmorts__Frame__VisionFrame *out;
        cr_assert_eq(vision_apply(core, frame, &out), MM_OK, "%s", vision_refusal(core));
        size_t whole_bytes, bytes;
        mmorts__frame__vision_frame__free_unpacked(sent(out, &whole_bytes), NULL);
        uint64_t all = (UINT64_C(2) << EMPIRES) - 2;
        uint64_t sets[] = {0, all, mm_rng_u64(&rng) & all, mm_rng_u64(&rng) & all,
                           UINT64_C(2) << mm_rng_below(&rng, EMPIRES)};
        for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
            struct vision_audience *audience = audience_of(sets[s]);
            const Mmorts__Frame__VisionFrame *lesser = vision_part_of(part, out, audience);
            cr_assert(lesser);
            Mmorts__Frame__VisionFrame *back = sent(lesser, &bytes);
            cr_assert_eq(back->tick, out->tick);
            cr_assert_not(back->snapshot);
            describe(&whole, out, sets[s]);
            describe(&told, back, UINT64_MAX);
            cr_assert_str_eq(told.bytes, whole.length ? whole.bytes : "");
            cr_assert_leq(bytes, whole_bytes);
            if (sets[s] == all)
                cr_assert_eq(bytes, whole_bytes);
            partial += back->n_empire > 0 && back->n_empire < out->n_empire;
            memories += back->remembered ? back->remembered->n_id : 0;
            if (told.length == 0)
                cr_assert_lt(bytes, 16);
            told.bytes[0] = whole.bytes[0] = '\0';
            mmorts__frame__vision_frame__free_unpacked(back, NULL);
            vision_audience_free(audience);
        }
    }
    cr_expect_gt(partial, TICKS);
    cr_expect_gt(memories, 50);
    free(whole.bytes);
    free(told.bytes);
    vision_part_free(part);
    vision_free(core);
    vision_world_free(world);
}

Test(vision_audience, sets_that_are_none_are_refused)
{
    static const struct {
        uint32_t empires[4];
        size_t count;
        enum mm_err expected;
    } cases[] = {
        {{0}, 0, MM_OK},
        {{1, 2, 3, 100}, 4, MM_OK},
        {{0}, 1, MM_INVALID_ARGUMENT},
        {{101}, 1, MM_INVALID_ARGUMENT},
        {{1, 1}, 2, MM_INVALID_ARGUMENT},
        {{2, 1}, 2, MM_INVALID_ARGUMENT},
        {{1, 2, UINT32_MAX}, 3, MM_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vision_audience *audience = NULL;
        enum mm_err err = vision_audience_new(cases[i].empires, cases[i].count, 100, &audience);
        cr_expect_eq(err, cases[i].expected, "case %zu: %s", i, mm_err_name(err));
        cr_expect_eq(audience != NULL, err == MM_OK);
        vision_audience_free(audience);
    }
}

Test(vision_audience, sets_are_equal_if_they_hold_the_same)
{
    struct vision_audience *x = audience_of(0x8e), *y = audience_of(0x8e),
                           *less = audience_of(0x0e), *other = audience_of(0x8c),
                           *none = audience_of(0);
    cr_expect(vision_audience_equal(x, y) && vision_audience_equal(none, none));
    cr_expect_not(vision_audience_equal(x, less) || vision_audience_equal(less, x));
    cr_expect_not(vision_audience_equal(x, other) || vision_audience_equal(x, none));
    cr_expect(vision_audience_has(x, 7) && vision_audience_has(x, 1));
    cr_expect_not(vision_audience_has(x, 0) || vision_audience_has(x, 4) ||
                  vision_audience_has(x, 8) || vision_audience_has(x, UINT32_MAX));
    vision_audience_free(x);
    vision_audience_free(y);
    vision_audience_free(less);
    vision_audience_free(other);
    vision_audience_free(none);
}
