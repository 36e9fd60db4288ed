#include "services/vision/core/footprint.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "services/vision/core/state.h"

#include <string.h>

// Where an observer stands within its chunk decides which cells of which chunks its disc covers;
// that does not depend on the chunk, so it is worked out once per radius and cell. Counting a disc
// or a step is then a run through words of bits, chunk by chunk, without any coordinate arithmetic.

struct footprint_builder {
    const struct hex_tiling *tiling;
    uint64_t *chunk; // scratch: one chunk's bits
    struct {
        MM_VEC(uint64_t);
    } words;
    size_t last_group;
    bool exhausted;
};

static uint8_t near_of(struct hex_chunk at)
{
    if (at.a == 0 && at.b == 0)
        return 0;
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        if (at.a == hex_directions[d].q && at.b == hex_directions[d].r)
            return (uint8_t)(d + 1);
    }
    return FOOTPRINT_FAR;
}

// The cells of the shape that lie in the chunk, as bits; what is 0 before and behind is left out.
static void add_group(struct footprint_builder *builder, struct hex_chunk chunk,
                      struct hex_axial from, struct hex_offsets offsets)
{
    size_t words = MM_BITSET_WORDS(builder->tiling->cells);
    memset(builder->chunk, 0, words * sizeof *builder->chunk);
    for (size_t i = 0; i < offsets.count; i++) {
        struct hex_chunk of;
        uint32_t cell = hex_chunk_cell(builder->tiling, hex_add(from, offsets.items[i]), &of);
        if (hex_chunk_equal(of, chunk))
            mm_bitset_set(builder->chunk, cell);
    }
    size_t first = 0;
    while (builder->chunk[first] == 0)
        first++;
    while (builder->chunk[words - 1] == 0)
        words--;
    struct vision_group group = {.a = (int16_t)chunk.a,
                                 .b = (int16_t)chunk.b,
                                 .near = near_of(chunk),
                                 .first_word = (uint8_t)first,
                                 .words = (uint8_t)(words - first)};
    uint64_t head;
    memcpy(&head, &group, sizeof head);
    builder->last_group = builder->words.count;
    builder->exhausted |= !mm_vec_push(&builder->words, head);
    for (size_t w = first; w < words; w++)
        builder->exhausted |= !mm_vec_push(&builder->words, builder->chunk[w]);
}

static bool has_group(const struct footprint_builder *builder, size_t from, struct hex_chunk chunk)
{
    for (size_t at = from; at < builder->words.count;) {
        struct vision_group group = vision_footprint_group(&builder->words.items[at]);
        if (group.a == chunk.a && group.b == chunk.b)
            return true;
        at += 1U + group.words;
    }
    return false;
}

// Appends the groups of one shape: the offsets around `from`, a cell of chunk (0, 0).
static void add_shape(struct footprint_builder *builder, struct hex_axial from,
                      struct hex_offsets offsets)
{
    size_t first = builder->words.count;
    for (size_t i = 0; i < offsets.count && !builder->exhausted; i++) {
        struct hex_chunk chunk = hex_chunk_of(builder->tiling, hex_add(from, offsets.items[i]));
        if (!has_group(builder, first, chunk))
            add_group(builder, chunk, from, offsets);
    }
    if (builder->exhausted)
        return;
    MM_CHECK(builder->words.items); // no shape is empty
    struct vision_group last = vision_footprint_group(&builder->words.items[builder->last_group]);
    last.last = true;
    memcpy(&builder->words.items[builder->last_group], &last, sizeof last);
}

struct vision_footprint *vision_footprint_new(const struct hex_tiling *tiling, int32_t radius)
{
    struct footprint_builder builder = {.tiling = tiling};
    mm_vec_init(&builder.words, UINT32_MAX / 2);
    builder.chunk = mm_calloc(MM_BITSET_WORDS(tiling->cells), sizeof *builder.chunk);
    struct vision_footprint *footprint = mm_calloc(1, sizeof *footprint);
    uint32_t *places = mm_calloc((size_t)tiling->cells * SHAPES, sizeof *places);
    builder.exhausted = !builder.chunk || !footprint || !places;
    for (uint32_t cell = 0; cell < tiling->cells && !builder.exhausted; cell++) {
        struct hex_axial from = tiling->offsets[cell];
        for (unsigned shape = 0; shape < SHAPES && !builder.exhausted; shape++) {
            places[cell * SHAPES + shape] = (uint32_t)builder.words.count;
            add_shape(&builder, from,
                      shape == SHAPE_DISC ? hex_disc_offsets(radius)
                                          : hex_disc_enter(radius, shape - SHAPE_RING));
        }
    }
    mm_free(builder.chunk);
    if (builder.exhausted) {
        mm_vec_free(&builder.words);
        mm_free(places);
        mm_free(footprint);
        return NULL;
    }
    *footprint = (struct vision_footprint){.first = places, .words = builder.words.items};
    return footprint;
}

void vision_footprint_free(struct vision_footprint *footprint)
{
    if (!footprint)
        return;
    mm_free(footprint->first);
    mm_free(footprint->words);
    mm_free(footprint);
}
