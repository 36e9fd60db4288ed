#include "services/vision/core/audience.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"

#include <string.h>

struct vision_audience {
    size_t count;
    uint32_t end; // no empire of the set is this or above
    uint64_t bits[];
};

enum mm_err vision_audience_new(const uint32_t *empires, size_t count, uint32_t empires_max,
                                struct vision_audience **out)
{
    *out = NULL;
    uint32_t previous = 0;
    for (size_t i = 0; i < count; i++) {
        if (empires[i] <= previous || empires[i] > empires_max)
            return MM_INVALID_ARGUMENT;
        previous = empires[i];
    }
    uint32_t end = previous + 1;
    struct vision_audience *audience =
        mm_calloc(1, sizeof *audience + MM_BITSET_WORDS(end) * sizeof(uint64_t));
    if (!audience)
        return MM_RESOURCE_EXHAUSTED;
    audience->count = count;
    audience->end = end;
    for (size_t i = 0; i < count; i++)
        mm_bitset_set(audience->bits, empires[i]);
    *out = audience;
    return MM_OK;
}

void vision_audience_free(struct vision_audience *audience)
{
    mm_free(audience);
}

bool vision_audience_has(const struct vision_audience *audience, uint32_t empire)
{
    return empire < audience->end && mm_bitset_get(audience->bits, empire);
}

bool vision_audience_equal(const struct vision_audience *x, const struct vision_audience *y)
{
    return x->end == y->end &&
           memcmp(x->bits, y->bits, MM_BITSET_WORDS(x->end) * sizeof(uint64_t)) == 0;
}

size_t vision_audience_count(const struct vision_audience *audience)
{
    return audience->count;
}

// --- parts of frames -------------------------------------------------------------------------

// What an empire has in a frame, kind by kind.
enum kind { HEXES, ENTERED, LEFT, REMEMBERED, FORGOTTEN, KINDS };

// Columns of a kind, and how wide their values are.
struct column {
    enum kind kind;
    size_t width;
    size_t frame_offset; // of the pointer, in the frame or in its memories
};

#define FRAME_COLUMN(kind_, field)                                                                 \
    {                                                                                              \
        kind_, sizeof *((Mmorts__Frame__VisionFrame *)NULL)->field,                                \
            offsetof(Mmorts__Frame__VisionFrame, field)                                            \
    }
#define MEMORY_COLUMN(field)                                                                       \
    {                                                                                              \
        REMEMBERED, sizeof *((Mmorts__Frame__MemoryColumns *)NULL)->field,                         \
            offsetof(Mmorts__Frame__MemoryColumns, field)                                          \
    }

static const struct column frame_columns[] = {
    FRAME_COLUMN(HEXES, hex_q),         FRAME_COLUMN(HEXES, hex_r),
    FRAME_COLUMN(HEXES, hex_state),     FRAME_COLUMN(HEXES, hex_terrain),
    FRAME_COLUMN(ENTERED, entered),     FRAME_COLUMN(LEFT, left),
    FRAME_COLUMN(FORGOTTEN, forgotten),
};
static const struct column memory_columns[] = {
    MEMORY_COLUMN(id),         MEMORY_COLUMN(type),      MEMORY_COLUMN(owner),
    MEMORY_COLUMN(q),          MEMORY_COLUMN(r),         MEMORY_COLUMN(health),
    MEMORY_COLUMN(first_seen), MEMORY_COLUMN(last_seen), MEMORY_COLUMN(mode),
    MEMORY_COLUMN(expires_at),
};
enum {
    FRAME_COLUMNS = sizeof frame_columns / sizeof *frame_columns,
    MEMORY_COLUMNS = sizeof memory_columns / sizeof *memory_columns,
};

// Rows of all kinds that follow one another in the frame, of empires that follow one another there.
struct span {
    size_t from[KINDS], to[KINDS];
};

struct vision_part {
    Mmorts__Frame__VisionFrame frame;
    Mmorts__Frame__MemoryColumns memories;
    struct span *spans;
    size_t spans_bytes;
    char *block; // that the columns lie in
    size_t block_bytes;
};

struct vision_part *vision_part_new(void)
{
    return mm_calloc(1, sizeof(struct vision_part));
}

void vision_part_free(struct vision_part *part)
{
    if (!part)
        return;
    mm_free(part->spans);
    mm_free(part->block);
    mm_free(part);
}

// Counts of the kind, by empire; NULL: none.
static const uint32_t *counts_of(const Mmorts__Frame__VisionFrame *frame, enum kind kind)
{
    switch (kind) {
    case HEXES:
        return frame->n_hex_count ? frame->hex_count : NULL;
    case ENTERED:
        return frame->n_entered_count ? frame->entered_count : NULL;
    case LEFT:
        return frame->n_left_count ? frame->left_count : NULL;
    case REMEMBERED:
        return frame->n_remembered_count ? frame->remembered_count : NULL;
    default:
        return frame->n_forgotten_count ? frame->forgotten_count : NULL;
    }
}

// The block, or a larger one in its place; NULL: memory, and the block is as it was.
static void *reserve(void *block, size_t *held, size_t wanted)
{
    if (wanted <= *held)
        return block;
    void *grown = mm_realloc(block, wanted * 2);
    if (grown)
        *held = wanted * 2;
    return grown;
}

// Takes a column of `count` values off the block.
static void *carve(char **at, size_t bytes)
{
    void *column = *at;
    *at += (bytes + 7) & ~(size_t)7;
    return column;
}

struct choice {
    size_t empires;
    size_t spans;
    size_t rows[KINDS];
};

// Which rows of the frame are the audience's. False: memory.
static bool choose(struct vision_part *part, const Mmorts__Frame__VisionFrame *frame,
                   const struct vision_audience *audience, struct choice *out)
{
    *out = (struct choice){0};
    size_t at[KINDS] = {0};
    bool open = false;
    for (size_t e = 0; e < frame->n_empire; e++) {
        bool wanted = vision_audience_has(audience, frame->empire[e]);
        if (wanted && !open) {
            struct span *spans =
                reserve(part->spans, &part->spans_bytes, (out->spans + 1) * sizeof *spans);
            if (!spans)
                return false;
            part->spans = spans;
            memcpy(part->spans[out->spans].from, at, sizeof at);
        }
        for (enum kind kind = 0; kind < KINDS; kind++) {
            const uint32_t *counts = counts_of(frame, kind);
            size_t rows = counts ? counts[e] : 0;
            at[kind] += rows;
            out->rows[kind] += wanted ? rows : 0;
        }
        if (wanted)
            memcpy(part->spans[out->spans].to, at, sizeof at);
        else if (open)
            out->spans++;
        out->empires += wanted;
        open = wanted;
    }
    out->spans += open;
    return true;
}

static size_t block_bytes(const struct choice *choice)
{
    size_t bytes = (KINDS + 1) * (choice->empires * sizeof(uint32_t) + 8);
    for (size_t c = 0; c < FRAME_COLUMNS; c++)
        bytes += choice->rows[frame_columns[c].kind] * frame_columns[c].width + 8;
    for (size_t c = 0; c < MEMORY_COLUMNS; c++)
        bytes += choice->rows[REMEMBERED] * memory_columns[c].width + 8;
    return bytes;
}

// Copies the chosen rows of a column: from the struct `whole` to the struct `lesser`.
static void copy_column(const struct vision_part *part, const struct choice *choice,
                        const struct column *column, const void *whole, void *lesser, char **at)
{
    const char *source;
    memcpy(&source, (const char *)whole + column->frame_offset, sizeof source);
    char *copy = carve(at, choice->rows[column->kind] * column->width);
    memcpy((char *)lesser + column->frame_offset, &copy, sizeof copy);
    for (size_t s = 0; s < choice->spans; s++) {
        const struct span *span = &part->spans[s];
        size_t bytes = (span->to[column->kind] - span->from[column->kind]) * column->width;
        if (bytes > 0)
            memcpy(copy, source + span->from[column->kind] * column->width, bytes);
        copy += bytes;
    }
}

static void copy_counts(struct vision_part *part, const Mmorts__Frame__VisionFrame *frame,
                        const struct vision_audience *audience, size_t n, char **at)
{
    Mmorts__Frame__VisionFrame *lesser = &part->frame;
    uint32_t *columns[KINDS];
    lesser->empire = carve(at, n * sizeof *lesser->empire);
    for (enum kind kind = 0; kind < KINDS; kind++)
        columns[kind] = carve(at, n * sizeof *columns[kind]);
    size_t row = 0;
    for (size_t e = 0; e < frame->n_empire; e++) {
        if (!vision_audience_has(audience, frame->empire[e]))
            continue;
        lesser->empire[row] = frame->empire[e];
        for (enum kind kind = 0; kind < KINDS; kind++) {
            const uint32_t *counts = counts_of(frame, kind);
            columns[kind][row] = counts ? counts[e] : 0;
        }
        row++;
    }
    lesser->n_empire = lesser->n_hex_count = lesser->n_entered_count = n;
    lesser->n_left_count = lesser->n_remembered_count = lesser->n_forgotten_count = n;
    lesser->hex_count = columns[HEXES];
    lesser->entered_count = columns[ENTERED];
    lesser->left_count = columns[LEFT];
    lesser->remembered_count = columns[REMEMBERED];
    lesser->forgotten_count = columns[FORGOTTEN];
}

static void set_lengths(struct vision_part *part, const struct choice *choice)
{
    Mmorts__Frame__VisionFrame *frame = &part->frame;
    frame->n_hex_q = frame->n_hex_r = choice->rows[HEXES];
    frame->n_hex_state = frame->n_hex_terrain = choice->rows[HEXES];
    frame->n_entered = choice->rows[ENTERED];
    frame->n_left = choice->rows[LEFT];
    frame->n_forgotten = choice->rows[FORGOTTEN];
    Mmorts__Frame__MemoryColumns *memories = &part->memories;
    memories->n_id = memories->n_type = memories->n_owner = choice->rows[REMEMBERED];
    memories->n_q = memories->n_r = memories->n_health = choice->rows[REMEMBERED];
    memories->n_first_seen = memories->n_last_seen = choice->rows[REMEMBERED];
    memories->n_mode = memories->n_expires_at = choice->rows[REMEMBERED];
}

const Mmorts__Frame__VisionFrame *vision_part_of(struct vision_part *part,
                                                 const Mmorts__Frame__VisionFrame *frame,
                                                 const struct vision_audience *audience)
{
    Mmorts__Frame__VisionFrame *lesser = &part->frame;
    mmorts__frame__vision_frame__init(lesser);
    mmorts__frame__memory_columns__init(&part->memories);
    lesser->tick = frame->tick;
    struct choice choice;
    if (!choose(part, frame, audience, &choice))
        return NULL;
    if (choice.empires == 0)
        return lesser;
    char *block = reserve(part->block, &part->block_bytes, block_bytes(&choice));
    if (!block)
        return NULL;
    part->block = block;
    char *at = part->block;
    copy_counts(part, frame, audience, choice.empires, &at);
    for (size_t c = 0; c < FRAME_COLUMNS; c++)
        copy_column(part, &choice, &frame_columns[c], frame, lesser, &at);
    for (size_t c = 0; frame->remembered && c < MEMORY_COLUMNS; c++)
        copy_column(part, &choice, &memory_columns[c], frame->remembered, &part->memories, &at);
    set_lengths(part, &choice);
    if (frame->remembered)
        lesser->remembered = &part->memories;
    return lesser;
}
