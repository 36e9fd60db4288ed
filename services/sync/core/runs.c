#include "services/sync/core/runs.h"

#include <string.h>

void sync_runs_init(struct sync_runs *runs)
{
    memset(runs, 0, sizeof *runs);
    mm_vec_init(&runs->items, SYNC_RUNS_MAX);
    mm_vec_init(&runs->terrains, SYNC_RUNS_MAX);
}

void sync_runs_free(struct sync_runs *runs)
{
    mm_vec_free(&runs->items);
    mm_vec_free(&runs->terrains);
}

void sync_runs_clear(struct sync_runs *runs)
{
    mm_vec_clear(&runs->items);
    mm_vec_clear(&runs->terrains);
    memset(runs->counts, 0, sizeof runs->counts);
    runs->failed = false;
}

// Directions by 3 * (dq + 1) + dr + 1; -1: no neighbour.
static const int direction_of[9] = {-1, 3, 4, 2, -1, 5, 1, 0, -1};

static uint64_t pack(int32_t q, int32_t r)
{
    return (uint64_t)(uint32_t)q << 32 | (uint32_t)r;
}

// A run of one hex becomes a line to its neighbour.
static bool turn_to(struct sync_run *run, int32_t q, int32_t r)
{
    int32_t dq = q - run->q, dr = r - run->r;
    if (dq < -1 || dq > 1 || dr < -1 || dr > 1)
        return false;
    int direction = direction_of[3 * (dq + 1) + dr + 1];
    if (direction < 0)
        return false;
    run->direction = (unsigned)direction;
    return true;
}

static void begin_run(struct sync_runs *runs, int32_t q, int32_t r, uint32_t kind, uint32_t terrain)
{
    size_t at = runs->items.count;
    struct sync_run run = {.q = q, .r = r, .last_q = q, .last_r = r, .length = 1};
    run.kind = kind;
    run.terrain = terrain;
    runs->counts[kind]++;
    runs->ends[at % SYNC_RUNS_OPEN] = (struct sync_run_end){pack(q, r), kind + SYNC_RUN_KINDS};
    if (!mm_vec_push(&runs->items, run))
        runs->failed = true;
}

// True: the hex is that run's next one. `at`: where its terrain lies, if it is told.
static bool extend(struct sync_runs *runs, size_t i, int32_t q, int32_t r, uint32_t kind,
                   uint32_t at)
{
    struct sync_run_end *end = &runs->ends[i % SYNC_RUNS_OPEN];
    bool single = end->kind == kind + SYNC_RUN_KINDS;
    if (!single && (end->kind != kind || end->next != pack(q, r)))
        return false;
    struct sync_run *run = &runs->items.items[i];
    // A run's terrains lie behind each other.
    if (kind >= SYNC_RUN_TERRAIN && run->terrain + run->length != at)
        return false;
    if (single && !turn_to(run, q, r))
        return false;
    // As far beyond this one as this one is beyond the one before.
    *end = (struct sync_run_end){pack(2 * q - run->last_q, 2 * r - run->last_r), kind};
    run->length++;
    run->last_q = q;
    run->last_r = r;
    return true;
}

void sync_runs_add(struct sync_runs *runs, const struct sync_hex_news *news, size_t count)
{
    for (const struct sync_hex_news *hex = news; hex < news + count; hex++) {
        uint32_t kind = hex->state + (hex->terrain ? (uint32_t)SYNC_RUN_TERRAIN : 0);
        uint32_t at = (uint32_t)runs->terrains.count;
        if (hex->terrain && !mm_vec_push(&runs->terrains, (uint8_t)(hex->terrain - 1)))
            runs->failed = true;
        size_t i = runs->items.count, open = i < SYNC_RUNS_OPEN ? i : SYNC_RUNS_OPEN;
        while (open > 0 && !extend(runs, --i, hex->q, hex->r, kind, at))
            open--;
        if (open == 0)
            begin_run(runs, hex->q, hex->r, kind, at);
    }
}
