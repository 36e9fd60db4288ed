#include "services/sync/core/runs.h"

#include <string.h>

// So many of the youngest runs may still grow. Hexes come by rows, so that a disc's two edges, and
// those of the discs that cross them, take turns.
#define OPEN_RUNS 8

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

static bool grow(struct sync_run *run, int32_t q, int32_t r)
{
    if (run->length > 1) {
        if (q != run->next_q || r != run->next_r)
            return false;
    } else {
        int32_t dq = q - run->q, dr = r - run->r;
        if (dq < -1 || dq > 1 || dr < -1 || dr > 1)
            return false;
        int direction = direction_of[3 * (dq + 1) + dr + 1];
        if (direction < 0)
            return false;
        run->direction = (unsigned)direction;
    }
    run->length++;
    // As far beyond this one as this one is beyond the one before.
    run->next_q = 2 * q - run->last_q;
    run->next_r = 2 * r - run->last_r;
    run->last_q = q;
    run->last_r = r;
    return true;
}

void sync_runs_add(struct sync_runs *runs, int32_t q, int32_t r, unsigned state, uint8_t terrain)
{
    uint32_t kind = state + (terrain ? SYNC_RUN_TERRAIN : 0);
    uint32_t at = (uint32_t)runs->terrains.count;
    if (terrain && !mm_vec_push(&runs->terrains, (uint8_t)(terrain - 1)))
        runs->failed = true;
    size_t count = runs->items.count;
    for (size_t i = count; i-- > 0 && count - i <= OPEN_RUNS;) {
        struct sync_run *run = &runs->items.items[i];
        // A run's terrains lie behind each other.
        if (run->kind != kind || (terrain && run->terrain + run->length != at))
            continue;
        if (grow(run, q, r))
            return;
    }
    struct sync_run run = {.q = q, .r = r, .last_q = q, .last_r = r, .length = 1};
    run.kind = kind;
    run.terrain = at;
    runs->counts[kind]++;
    if (!mm_vec_push(&runs->items, run))
        runs->failed = true;
}
