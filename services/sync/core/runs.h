#ifndef SYNC_CORE_RUNS_H
#define SYNC_CORE_RUNS_H

#include "libcommon/base/vec.h"
#include "services/sync/core/hexes.h"

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
    int32_t next_q, next_r; // with which it would go on, once it is longer than one
    uint32_t length;
    uint32_t kind;
    uint32_t terrain; // kinds with terrain: where that of the first hex lies
    unsigned direction;
};

struct sync_runs {
    struct {
        MM_VEC(struct sync_run);
    } items; // in the order of their first hexes
    struct {
        MM_VEC(uint8_t);
    } terrains; // of the hexes of kinds with terrain
    uint32_t counts[SYNC_RUN_KINDS];
    bool failed; // out of memory
};

void sync_runs_init(struct sync_runs *runs);
void sync_runs_free(struct sync_runs *runs);
void sync_runs_clear(struct sync_runs *runs);

// Adds a hex; terrain is terrain + 1, or 0 if it is not told.
void sync_runs_add(struct sync_runs *runs, int32_t q, int32_t r, unsigned state, uint8_t terrain);

#endif
