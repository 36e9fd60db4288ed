#ifndef TESTS_SUPPORT_WAYS_BENCH_H
#define TESTS_SUPPORT_WAYS_BENCH_H

#include "tests/support/bench.h"

// Far ways over 500 x 500 hexes of generated land: noise, lakes and dead hexes, roads between
// homes, mines and woods that bar their hexes. All steps of every way are written out. The baseline
// is A* hex by hex (libcommon/hex/path.h) over a flat array of the same costs.

// Ways of 200 steps and more: how many a second (world.paths_per_s), and how much dearer they are
// than the cheapest.
void ways_bench_long(struct bench *bench);
// These, and ways from anywhere to anywhere, of groups, and what a chunk takes to be known.
void ways_bench_all(struct bench *bench);

#endif
