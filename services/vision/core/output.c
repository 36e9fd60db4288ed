#include "services/vision/core/output.h"
#include "libcommon/base/alloc.h"
#include "services/vision/core/state.h"
#include "services/vision/core/turn.h"

#include <string.h>

// The tick's frame: what happened is noted in the order in which it was found, and at the end
// sorted by empire into columns (a counting sort over the empires concerned).

#define OUTPUT_ITEMS_MAX UINT32_MAX

void vision_output_init(struct vision_output *output)
{
    mm_vec_init(&output->runs, OUTPUT_ITEMS_MAX);
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
    mm_free(output->hexes.q);
    mm_free(output->hexes.r);
    mm_free(output->hexes.state);
    mm_free(output->hexes.terrain);
    output->hexes = (struct vision_out_hexes){0};
    mm_vec_free(&output->runs);
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
    output->hexes.count = 0;
    mm_vec_clear(&output->runs);
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

bool vision_output_reserve(struct vision *vision, size_t count)
{
    enum { HEX_BYTES = 16 };
    struct vision_out_hexes *hexes = &vision->output.hexes;
    if (count <= hexes->capacity - hexes->count)
        return true;
    size_t capacity = hexes->capacity * 2 > hexes->count + count ? hexes->capacity * 2
                                                                 : (hexes->count + count) * 2;
    void **columns[] = {(void **)&hexes->q, (void **)&hexes->r, (void **)&hexes->state,
                        (void **)&hexes->terrain};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        void *grown = capacity > OUTPUT_ITEMS_MAX ? NULL : mm_realloc(*columns[i], capacity * 4);
        if (!grown) {
            vision->exhausted = true;
            return false;
        }
        *columns[i] = grown;
    }
    vision->held_bytes += (capacity - hexes->capacity) * HEX_BYTES;
    hexes->capacity = capacity;
    return true;
}

void vision_output_run(struct vision *vision, uint32_t empire, size_t first)
{
    struct vision_output *output = &vision->output;
    uint32_t count = (uint32_t)(output->hexes.count - first);
    struct vision_out_run *last =
        output->runs.count > 0 ? &output->runs.items[output->runs.count - 1] : NULL;
    if (last && last->empire == empire && last->first + last->count == first) {
        last->count += count;
        return;
    }
    struct vision_out_run run = {.empire = empire, .first = (uint32_t)first, .count = count};
    if (!concerns(vision, empire) || !mm_vec_push(&output->runs, run))
        vision->exhausted = true;
}

void vision_output_hex(struct vision *vision, uint32_t empire, struct hex_axial at, uint32_t state,
                       uint32_t terrain)
{
    if (!vision_output_reserve(vision, 1))
        return;
    struct vision_out_hexes *hexes = &vision->output.hexes;
    size_t place = hexes->count++;
    hexes->q[place] = at.q;
    hexes->r[place] = at.r;
    hexes->state[place] = (Mmorts__Frame__Visibility)state;
    hexes->terrain[place] = terrain;
    vision_output_run(vision, empire, place);
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

// Whether the hexes lie in the order of the frame's empires already.
static bool runs_are_sorted(const struct vision_output *output)
{
    for (size_t i = 1; i < output->runs.count; i++) {
        if (output->runs.items[i - 1].empire > output->runs.items[i].empire)
            return false;
    }
    return true;
}

static void fill_hexes(struct column_fill *fill, Mmorts__Frame__VisionFrame *frame)
{
    const struct vision_output *output = &fill->vision->output;
    counts_to_places(frame->hex_count, fill->places, fill->n);
    for (size_t i = 0; i < output->runs.count; i++) {
        const struct vision_out_run *run = &output->runs.items[i];
        uint32_t *place = &fill->places[fill->vision->empires[run->empire]->output - 1];
        memcpy(frame->hex_q + *place, output->hexes.q + run->first, run->count * 4);
        memcpy(frame->hex_r + *place, output->hexes.r + run->first, run->count * 4);
        memcpy(frame->hex_state + *place, output->hexes.state + run->first,
               run->count * sizeof *frame->hex_state);
        memcpy(frame->hex_terrain + *place, output->hexes.terrain + run->first, run->count * 4);
        *place += run->count;
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
    enum { PER_EMPIRE = 8, COLUMNS = 32 };
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

// The hexes' columns: their own, or in the block if they must be sorted.
static void carve_hexes(struct vision_output *output, char **at, bool sorted)
{
    Mmorts__Frame__VisionFrame *frame = &output->frame;
    size_t n = output->hexes.count;
    frame->n_hex_q = frame->n_hex_r = frame->n_hex_state = frame->n_hex_terrain = n;
    frame->hex_q = sorted ? output->hexes.q : carve(at, n * 4);
    frame->hex_r = sorted ? output->hexes.r : carve(at, n * 4);
    frame->hex_state = sorted ? output->hexes.state : carve(at, n * sizeof *frame->hex_state);
    frame->hex_terrain = sorted ? output->hexes.terrain : carve(at, n * 4);
}

// Lays the frame's columns out in the block; returns the scratch column of places.
static uint32_t *carve_frame(struct vision_output *output, bool sorted)
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
    carve_hexes(output, &at, sorted);
    frame->n_entered = output->entered.count;
    frame->entered = carve(&at, frame->n_entered * 4);
    frame->n_left = output->left.count;
    frame->left = carve(&at, frame->n_left * 8);
    frame->n_forgotten = output->forgotten.count;
    frame->forgotten = carve(&at, frame->n_forgotten * 8);
    carve_memories(output, &at);
    return places;
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
    bool sorted = runs_are_sorted(output);
    size_t wanted = columns_size(output, sorted ? 0 : output->hexes.count);
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
    vision_sort_numbers(output->empires.items, output->columns, n, vision->empire_capacity);
    for (size_t i = 0; i < n; i++)
        vision->empires[output->empires.items[i]]->output = (uint32_t)(i + 1);

    uint32_t *places = carve_frame(output, sorted);
    memcpy(frame->empire, output->empires.items, n * sizeof *frame->empire);
    for (size_t i = 0; i < output->runs.count; i++) {
        const struct vision_out_run *run = &output->runs.items[i];
        frame->hex_count[vision->empires[run->empire]->output - 1] += run->count;
    }
    count_numbers(vision, output->entered.items, output->entered.count, frame->entered_count);
    count_numbers(vision, output->left.items, output->left.count, frame->left_count);
    count_numbers(vision, output->remembered.items, output->remembered.count,
                  frame->remembered_count);
    count_numbers(vision, output->forgotten.items, output->forgotten.count, frame->forgotten_count);
    struct column_fill fill = {.vision = vision, .places = places, .n = n};
    if (!sorted)
        fill_hexes(&fill, frame);
    fill_entities(&fill, frame);
    fill_memories(&fill, frame);
    return frame;
}
