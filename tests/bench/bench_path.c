// Path-finding across a map of 512 x 512 hexes with Dead cells and two terrains, as world has it.
// The baseline is textbook A*: a binary heap, a hash map of costs, memory taken for each search.
// Both must find paths of equal cost.
#include "libcommon/base/check.h"
#include "libcommon/base/heap.h"
#include "libcommon/base/idmap.h"
#include "libcommon/base/rng.h"
#include "libcommon/hex/path.h"
#include "tests/support/bench.h"
#include <stdlib.h>

enum { SIDE = 512, PAIRS = 300, RUNS = 5, STEPS_MAX = 8192, DEAD_PERCENT = 25, COST_MIN = 100 };

static uint8_t map[SIDE][SIDE];
static struct {
    struct hex_axial from, to;
    uint64_t cost; // UINT64_MAX: no way
} pairs[PAIRS];

static uint32_t cost_at(void *ctx, struct hex_axial at)
{
    (void)ctx;
    uint32_t q = (uint32_t)at.q, r = (uint32_t)at.r;
    return q < SIDE && r < SIDE ? map[r][q] : 0;
}

static void make_map(struct mm_rng *rng, int32_t distance)
{
    for (int r = 0; r < SIDE; r++)
        for (int q = 0; q < SIDE; q++)
            map[r][q] = mm_rng_chance(rng, DEAD_PERCENT, 100) ? 0
                        : mm_rng_chance(rng, 1, 3)            ? 150
                                                              : COST_MIN;
    for (int i = 0; i < PAIRS;) {
        pairs[i].from =
            (struct hex_axial){(int32_t)mm_rng_below(rng, SIDE), (int32_t)mm_rng_below(rng, SIDE)};
        pairs[i].to = hex_add(
            pairs[i].from, (struct hex_axial){(int32_t)mm_rng_between(rng, -distance, distance),
                                              (int32_t)mm_rng_between(rng, -distance, distance)});
        i += cost_at(NULL, pairs[i].from) && cost_at(NULL, pairs[i].to) &&
             hex_distance(pairs[i].from, pairs[i].to) == distance;
    }
}

static uint64_t textbook(struct hex_axial from, struct hex_axial to)
{
    struct mm_heap *open = mm_heap_new(1 << 20);
    struct mm_idmap *best = mm_idmap_new(1 << 20);
    MM_CHECK(open && best);
    uint64_t found = UINT64_MAX;
    struct mm_heap_entry entry;
    MM_CHECK(mm_idmap_set(best, hex_pack(from), 0) == MM_OK &&
             mm_heap_push(open, 0, hex_pack(from), NULL) == MM_OK);
    while (mm_heap_pop(open, &entry)) {
        struct hex_axial at = hex_unpack(entry.value);
        uint64_t g = 0;
        mm_idmap_get(best, entry.value, &g);
        if (hex_equal(at, to)) {
            found = g;
            break;
        }
        if (entry.key > g + (uint64_t)hex_distance(at, to) * COST_MIN)
            continue; // found again, cheaper, since it was pushed
        for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
            struct hex_axial next = hex_neighbor(at, d);
            uint32_t cost = cost_at(NULL, next);
            uint64_t known;
            if (cost == 0 || (mm_idmap_get(best, hex_pack(next), &known) && known <= g + cost))
                continue;
            MM_CHECK(mm_idmap_set(best, hex_pack(next), g + cost) == MM_OK &&
                     mm_heap_push(open, g + cost + (uint64_t)hex_distance(next, to) * COST_MIN,
                                  hex_pack(next), NULL) == MM_OK);
        }
    }
    mm_heap_free(open);
    mm_idmap_free(best);
    return found;
}

static double run_textbook(void)
{
    uint64_t start = bench_now_ns();
    for (int i = 0; i < PAIRS; i++)
        pairs[i].cost = textbook(pairs[i].from, pairs[i].to);
    return (double)(bench_now_ns() - start) / 1000 / PAIRS;
}

static double run_ours(struct hex_path_workspace *workspace, uint64_t *nodes_out)
{
    static uint8_t steps[STEPS_MAX];
    uint64_t start = bench_now_ns();
    *nodes_out = 0;
    for (int i = 0; i < PAIRS; i++) {
        struct hex_path_request request = {.from = pairs[i].from,
                                           .to = pairs[i].to,
                                           .cost = cost_at,
                                           .cost_min = COST_MIN,
                                           .nodes_max = UINT32_MAX};
        struct hex_path_result result;
        enum mm_err err = hex_path_find(workspace, &request, steps, STEPS_MAX, &result);
        *nodes_out += result.nodes;
        MM_CHECK(err == MM_OK ? result.cost == pairs[i].cost : pairs[i].cost == UINT64_MAX);
    }
    return (double)(bench_now_ns() - start) / 1000 / PAIRS;
}

int main(void)
{
    struct bench *bench =
        bench_open("path", "A* over 512 x 512 hexes, a quarter Dead, terrain costs "
                           "100 and 150; baseline: binary heap and hash map");
    struct hex_path_workspace *workspace = hex_path_workspace_new(10);
    MM_CHECK(workspace != NULL);
    static const struct {
        int32_t distance;
        const char *name, *nodes_name;
    } scenarios[] = {{10, "distance_10", "distance_10.nodes"},
                     {40, "distance_40", "distance_40.nodes"},
                     {160, "distance_160", "distance_160.nodes"}};
    for (size_t s = 0; s < sizeof scenarios / sizeof scenarios[0]; s++) {
        struct mm_rng rng;
        mm_rng_seed(&rng, s);
        make_map(&rng, scenarios[s].distance);
        double ours[RUNS], theirs[RUNS];
        uint64_t nodes = 0;
        for (int run = 0; run < RUNS; run++) {
            theirs[run] = run_textbook();
            ours[run] = run_ours(workspace, &nodes);
        }
        bench_compare(bench, scenarios[s].name, bench_median(ours, RUNS),
                      bench_median(theirs, RUNS), "us");
        bench_figure(bench, scenarios[s].nodes_name, (double)nodes / PAIRS, "hexes");
    }
    hex_path_workspace_free(workspace);
    return bench_close(bench);
}
