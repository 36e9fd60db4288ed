#include "libcommon/base/alloc.h"
#include "services/vision/core/internal.h"

#include <stdlib.h>
#include <string.h>

// The tick's frame: what happened is noted in the order in which it was found, and at the end
// sorted by empire into columns (a counting sort over the empires concerned).

#define OUTPUT_ITEMS_MAX UINT32_MAX

void vision_output_init(struct vision_output *output)
{
    mm_vec_init(&output->hexes, OUTPUT_ITEMS_MAX);
    mm_vec_init(&output->entered, OUTPUT_ITEMS_MAX);
    mm_vec_init(&output->left, OUTPUT_ITEMS_MAX);
    mm_vec_init(&output->forgotten, OUTPUT_ITEMS_MAX);
    mm_vec_init(&output->remembered, OUTPUT_ITEMS_MAX);
    mm_vec_init(&output->empires, OUTPUT_ITEMS_MAX);
    mmorts__frame__vision_frame__init(&output->frame);
    mmorts__frame__memory_columns__init(&output->memories);
}

void vision_output_free(struct vision_output *output)
{
    mm_vec_free(&output->hexes);
    mm_vec_free(&output->entered);
    mm_vec_free(&output->left);
    mm_vec_free(&output->forgotten);
    mm_vec_free(&output->remembered);
    mm_vec_free(&output->empires);
    mm_free(output->columns);
    output->columns = NULL;
}

void vision_output_clear(struct vision *vision)
{
    struct vision_output *output = &vision->output;
    for (size_t i = 0; i < output->empires.count; i++)
        vision->empires[output->empires.items[i]]->output = 0;
    mm_vec_clear(&output->hexes);
    mm_vec_clear(&output->entered);
    mm_vec_clear(&output->left);
    mm_vec_clear(&output->forgotten);
    mm_vec_clear(&output->remembered);
    mm_vec_clear(&output->empires);
    mmorts__frame__vision_frame__init(&output->frame);
    mmorts__frame__memory_columns__init(&output->memories);
}

static bool concerns(struct vision *vision, uint32_t number)
{
    struct vision_empire *empire = vision->empires[number];
    if (empire->output == 0) {
        if (!mm_vec_push(&vision->output.empires, number)) {
            vision->exhausted = true;
            return false;
        }
        empire->output = (uint32_t)vision->output.empires.count;
    }
    return true;
}

void vision_output_hex(struct vision *vision, uint32_t empire, struct hex_axial at, uint32_t state,
                       uint32_t terrain)
{
    struct vision_out_hex hex = {.empire = empire, .at = at, .state = state, .terrain = terrain};
    if (!concerns(vision, empire) || !mm_vec_push(&vision->output.hexes, hex))
        vision->exhausted = true;
}

bool vision_output_view(struct vision *vision, uint32_t empire)
{
    return concerns(vision, empire);
}

#define NOTE(list, empire_, value_)                                                                \
    do {                                                                                           \
        struct vision_out_number note_ = {.empire = (empire_), .value = (value_)};                 \
        if (!concerns(vision, (empire_)) || !mm_vec_push(&vision->output.list, note_))             \
            vision->exhausted = true;                                                              \
    } while (0)

void vision_output_entered(struct vision *vision, uint32_t empire, uint32_t entity)
{
    NOTE(entered, empire, entity);
}

void vision_output_left(struct vision *vision, uint32_t empire, uint64_t id)
{
    NOTE(left, empire, id);
}

void vision_output_forgotten(struct vision *vision, uint32_t empire, uint64_t id)
{
    NOTE(forgotten, empire, id);
}

void vision_output_remembered(struct vision *vision, uint32_t empire, uint32_t slot)
{
    NOTE(remembered, empire, slot);
}

// --- columns ---------------------------------------------------------------------------------

static int compare_numbers(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

// Takes `bytes` of the block, aligned for any column.
static void *carve(char **at, size_t bytes)
{
    void *piece = *at;
    *at += (bytes + 7) & ~(size_t)7;
    return piece;
}

// Drops what was remembered and gave way again in the same tick: its slot is free or another's,
// which is then told once.
static void drop_stale_memories(struct vision *vision)
{
    struct vision_output *output = &vision->output;
    size_t kept = 0;
    for (size_t i = 0; i < output->remembered.count; i++) {
        struct vision_out_number note = output->remembered.items[i];
        struct vision_memory_slot *memory = &vision->memories[note.value];
        if (!memory->used || memory->row.empire != note.empire || memory->told)
            continue;
        memory->told = true;
        output->remembered.items[kept++] = note;
    }
    output->remembered.count = kept;
}

// From counts to first places; afterwards fill advances places[i] for each item of empire i.
static void counts_to_places(const uint32_t *counts, uint32_t *places, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        places[i] = sum;
        sum += counts[i];
    }
}

struct column_fill {
    struct vision *vision;
    uint32_t *places;
    size_t n;
};

static size_t place_of(struct column_fill *fill, uint32_t empire)
{
    return fill->places[fill->vision->empires[empire]->output - 1]++;
}

static void count_numbers(struct vision *vision, const struct vision_out_number *notes,
                          size_t count, uint32_t *counts)
{
    for (size_t i = 0; i < count; i++)
        counts[vision->empires[notes[i].empire]->output - 1]++;
}

// A view's changed hexes, straight from its bits; returns the place behind them.
static size_t fill_view(const struct vision *vision, const struct vision_view *view, size_t place,
                        Mmorts__Frame__VisionFrame *frame)
{
    const struct vision_chunk *chunk = &vision->chunks.items[view->chunk];
    struct hex_axial center = hex_chunk_center(&vision->tiling, chunk->at);
    const uint64_t *visible = vision_bits(vision, view->active, BITS_VISIBLE);
    const uint64_t *changed = vision_bits(vision, view->active, BITS_CHANGED);
    const uint64_t *discovered = vision_bits(vision, view->active, BITS_DISCOVERED);
    for (uint32_t w = 0; w < vision->words; w++) {
        for (uint64_t rest = changed[w]; rest != 0; rest &= rest - 1, place++) {
            uint32_t bit = (uint32_t)__builtin_ctzll(rest);
            uint32_t cell = w * 64 + bit;
            frame->hex_q[place] = center.q + vision->tiling.offsets[cell].q;
            frame->hex_r[place] = center.r + vision->tiling.offsets[cell].r;
            frame->hex_state[place] = visible[w] >> bit & 1
                                          ? MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE
                                          : MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG;
            frame->hex_terrain[place] =
                discovered[w] >> bit & 1 ? chunk->cells[cell] + UINT32_C(1) : 0;
        }
    }
    return place;
}

static void fill_hexes(struct column_fill *fill, Mmorts__Frame__VisionFrame *frame)
{
    const struct vision *vision = fill->vision;
    const struct vision_output *output = &vision->output;
    counts_to_places(frame->hex_count, fill->places, fill->n);
    for (size_t i = 0; i < output->hexes.count; i++) {
        const struct vision_out_hex *hex = &output->hexes.items[i];
        size_t place = place_of(fill, hex->empire);
        frame->hex_q[place] = hex->at.q;
        frame->hex_r[place] = hex->at.r;
        frame->hex_state[place] = (Mmorts__Frame__Visibility)hex->state;
        frame->hex_terrain[place] = hex->terrain;
    }
    for (size_t i = 0; i < vision->dirty_views.count; i++) {
        const struct vision_view *view = vision->dirty_views.items[i];
        if (!view->active || view->active->told == 0)
            continue;
        uint32_t *place = &fill->places[vision->empires[view->empire]->output - 1];
        *place = (uint32_t)fill_view(vision, view, *place, frame);
    }
}

static void fill_entities(struct column_fill *fill, Mmorts__Frame__VisionFrame *frame)
{
    const struct vision_output *output = &fill->vision->output;
    counts_to_places(frame->entered_count, fill->places, fill->n);
    for (size_t i = 0; i < output->entered.count; i++) {
        const struct vision_out_number *note = &output->entered.items[i];
        frame->entered[place_of(fill, note->empire)] = (uint32_t)note->value;
    }
    counts_to_places(frame->left_count, fill->places, fill->n);
    for (size_t i = 0; i < output->left.count; i++) {
        const struct vision_out_number *note = &output->left.items[i];
        frame->left[place_of(fill, note->empire)] = note->value;
    }
}

void vision_memory_to_columns(Mmorts__Frame__MemoryColumns *columns, size_t row,
                              const struct vision_memory *memory)
{
    columns->id[row] = memory->id;
    columns->type[row] = memory->type;
    columns->owner[row] = memory->owner;
    columns->q[row] = memory->at.q;
    columns->r[row] = memory->at.r;
    columns->health[row] = memory->health;
    columns->first_seen[row] = memory->first_seen;
    columns->last_seen[row] = memory->last_seen;
    columns->mode[row] = memory->expires_at == 0 ? MMORTS__FRAME__CACHE_MODE__CACHE_PERMANENT
                                                 : MMORTS__FRAME__CACHE_MODE__CACHE_TIMED;
    columns->expires_at[row] = memory->expires_at;
}

static void fill_memories(struct column_fill *fill, Mmorts__Frame__VisionFrame *frame)
{
    const struct vision *vision = fill->vision;
    const struct vision_output *output = &vision->output;
    counts_to_places(frame->remembered_count, fill->places, fill->n);
    for (size_t i = 0; i < output->remembered.count; i++) {
        const struct vision_out_number *note = &output->remembered.items[i];
        vision_memory_to_columns(frame->remembered, place_of(fill, note->empire),
                                 &vision->memories[note->value].row);
    }
    counts_to_places(frame->forgotten_count, fill->places, fill->n);
    for (size_t i = 0; i < output->forgotten.count; i++) {
        const struct vision_out_number *note = &output->forgotten.items[i];
        frame->forgotten[place_of(fill, note->empire)] = note->value;
    }
}

static size_t columns_size(const struct vision_output *output, size_t hexes)
{
    enum { PER_EMPIRE = 7, COLUMNS = 32 };
    return output->empires.count * PER_EMPIRE * 4 + hexes * 16 + output->entered.count * 4 +
           output->left.count * 8 + output->forgotten.count * 8 + output->remembered.count * 64 +
           (size_t)COLUMNS * 8;
}

static void carve_memories(struct vision_output *output, char **at)
{
    Mmorts__Frame__MemoryColumns *columns = &output->memories;
    size_t m = output->remembered.count;
    columns->n_id = columns->n_type = columns->n_owner = columns->n_q = columns->n_r = m;
    columns->n_health = columns->n_first_seen = columns->n_last_seen = m;
    columns->n_mode = columns->n_expires_at = m;
    columns->id = carve(at, m * 8);
    columns->first_seen = carve(at, m * 8);
    columns->last_seen = carve(at, m * 8);
    columns->expires_at = carve(at, m * 8);
    columns->type = carve(at, m * 4);
    columns->owner = carve(at, m * 4);
    columns->q = carve(at, m * 4);
    columns->r = carve(at, m * 4);
    columns->health = carve(at, m * 4);
    columns->mode = carve(at, m * sizeof *columns->mode);
    output->frame.remembered = columns;
}

// Lays the frame's columns out in the block; returns the scratch column of places.
static uint32_t *carve_frame(struct vision_output *output, size_t hexes)
{
    Mmorts__Frame__VisionFrame *frame = &output->frame;
    size_t n = output->empires.count;
    char *at = output->columns;
    memset(at, 0, n * 7 * 4 + 64);
    frame->n_empire = n;
    frame->empire = carve(&at, n * 4);
    frame->n_hex_count = frame->n_entered_count = frame->n_left_count = n;
    frame->n_remembered_count = frame->n_forgotten_count = n;
    frame->hex_count = carve(&at, n * 4);
    frame->entered_count = carve(&at, n * 4);
    frame->left_count = carve(&at, n * 4);
    frame->remembered_count = carve(&at, n * 4);
    frame->forgotten_count = carve(&at, n * 4);
    uint32_t *places = carve(&at, n * 4);
    frame->n_hex_q = frame->n_hex_r = frame->n_hex_state = frame->n_hex_terrain = hexes;
    frame->hex_q = carve(&at, hexes * 4);
    frame->hex_r = carve(&at, hexes * 4);
    frame->hex_state = carve(&at, hexes * sizeof *frame->hex_state);
    frame->hex_terrain = carve(&at, hexes * 4);
    frame->n_entered = output->entered.count;
    frame->entered = carve(&at, frame->n_entered * 4);
    frame->n_left = output->left.count;
    frame->left = carve(&at, frame->n_left * 8);
    frame->n_forgotten = output->forgotten.count;
    frame->forgotten = carve(&at, frame->n_forgotten * 8);
    carve_memories(output, &at);
    return places;
}

// Hexes to be told from the views' bits; into counts (may be NULL) by empire.
static size_t count_view_hexes(const struct vision *vision, uint32_t *counts)
{
    size_t sum = 0;
    for (size_t i = 0; i < vision->dirty_views.count; i++) {
        const struct vision_view *view = vision->dirty_views.items[i];
        if (!view->active || view->active->told == 0)
            continue;
        sum += view->active->told;
        if (counts)
            counts[vision->empires[view->empire]->output - 1] += view->active->told;
    }
    return sum;
}

const Mmorts__Frame__VisionFrame *vision_output_build(struct vision *vision)
{
    struct vision_output *output = &vision->output;
    Mmorts__Frame__VisionFrame *frame = &output->frame;
    mmorts__frame__vision_frame__init(frame);
    frame->tick = vision->tick;
    drop_stale_memories(vision);
    size_t n = output->empires.count;
    if (n == 0)
        return frame;
    size_t hexes = output->hexes.count + count_view_hexes(vision, NULL);
    size_t wanted = columns_size(output, hexes);
    if (wanted > output->columns_bytes) {
        char *grown = mm_realloc(output->columns, wanted * 2);
        if (!grown) {
            vision->exhausted = true;
            return frame;
        }
        vision->held_bytes += wanted * 2 - output->columns_bytes;
        output->columns = grown;
        output->columns_bytes = wanted * 2;
    }
    qsort(output->empires.items, n, sizeof *output->empires.items, compare_numbers);
    for (size_t i = 0; i < n; i++)
        vision->empires[output->empires.items[i]]->output = (uint32_t)(i + 1);

    uint32_t *places = carve_frame(output, hexes);
    memcpy(frame->empire, output->empires.items, n * sizeof *frame->empire);
    for (size_t i = 0; i < output->hexes.count; i++)
        frame->hex_count[vision->empires[output->hexes.items[i].empire]->output - 1]++;
    count_view_hexes(vision, frame->hex_count);
    count_numbers(vision, output->entered.items, output->entered.count, frame->entered_count);
    count_numbers(vision, output->left.items, output->left.count, frame->left_count);
    count_numbers(vision, output->remembered.items, output->remembered.count,
                  frame->remembered_count);
    count_numbers(vision, output->forgotten.items, output->forgotten.count, frame->forgotten_count);
    struct column_fill fill = {.vision = vision, .places = places, .n = n};
    fill_hexes(&fill, frame);
    fill_entities(&fill, frame);
    fill_memories(&fill, frame);
    return frame;
}
