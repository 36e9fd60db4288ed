#ifndef SYNC_CORE_RUNS_H
#define SYNC_CORE_RUNS_H

#include "libcommon/base/vec.h"
#include "services/sync/core/hexes.h"
#include "services/sync/core/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Straight lines made of single hexes that change: where an observer takes a step, what it wins and
// loses are lines, and a line of nine hexes is told in one byte or two.

#define SYNC_RUNS_MAX ((size_t)SYNC_TILES_MAX * SYNC_TILE_CELLS)

// Hexes of one state, with or without terrain, are lines of their own kind: state + 4 if the
// terrain is told.
enum { SYNC_RUN_KINDS = 8, SYNC_RUN_TERRAIN = 4 };

struct sync_run {
    int32_t q, r;           // the first hex
    int32_t last_q, last_r; // the last one
    uint32_t length;
    uint32_t kind;
    uint32_t terrain; // kinds with terrain: where that of the first hex lies
    unsigned direction;
};

// So many of the youngest runs may still grow. Hexes come by rows, so that a disc's two edges, and
// those of the discs that cross them, take turns.
enum { SYNC_RUNS_OPEN = 8 };

// With what such a run goes on.
struct sync_run_end {
    uint64_t next; // the hex, packed; of a run of one hex: that hex, of which any neighbour will do
    uint32_t kind; // of the run; of one of one hex: SYNC_RUN_KINDS more
};

struct sync_runs {
    struct {
        MM_VEC(struct sync_run);
    } items;                                  // in the order of their first hexes
    struct sync_run_end ends[SYNC_RUNS_OPEN]; // of run i: ends[i % SYNC_RUNS_OPEN]
    struct {
        MM_VEC(uint8_t);
    } terrains; // of the hexes of kinds with terrain
    uint32_t counts[SYNC_RUN_KINDS];
    bool failed; // out of memory
};

void sync_runs_init(struct sync_runs *runs);
void sync_runs_free(struct sync_runs *runs);
void sync_runs_clear(struct sync_runs *runs);

// Adds hexes, in the order in which they are to be told of.
void sync_runs_add(struct sync_runs *runs, const struct sync_hex_news *news, size_t count);

#endif
