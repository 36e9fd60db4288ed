#ifndef HEX_PATH_H
#define HEX_PATH_H

#include "libcommon/base/err.h"
#include "libcommon/hex/hex.h"

// Shortest paths by A*. The search runs in a window of 2^window_bits squared cells laid around the
// start and the goal: dense arrays with generation stamps, so that a search touches only what it
// visits and clears nothing, and a bucket queue, so that every queue operation is O(1). Integer
// costs, deterministic: the same input gives the same path on every machine. Among equally cheap
// paths those near the straight line are preferred.

// The cost of stepping onto a hex: 0 = impassable, else cost_min..HEX_PATH_COST_MAX (what lies
// outside is taken as the nearer end). Must not change during a search.
typedef uint32_t (*hex_cost_fn)(void *ctx, struct hex_axial at);

// Of `count` steps from a hex, how many at the beginning lead onto hexes that cost the least each:
// cost_min or less by what hex_cost_fn says, and not 0. It may say fewer: the rest is asked for one
// by one. Who keeps its hexes in memory can ask it for those of a whole line at once.
typedef size_t (*hex_cheapest_fn)(void *ctx, struct hex_axial from, const uint8_t *steps,
                                  size_t count);

#define HEX_PATH_COST_MAX        1000
#define HEX_PATH_WINDOW_BITS_MIN 3
#define HEX_PATH_WINDOW_BITS_MAX 11

// The memory of a search, reusable without limit; one search at a time. 24 bytes per window
// cell: 1.5 MiB for 8 bits (256 x 256).
struct hex_path_workspace;

// NULL when out of memory or window_bits is out of range.
struct hex_path_workspace *hex_path_workspace_new(unsigned window_bits);
void hex_path_workspace_free(struct hex_path_workspace *workspace);

struct hex_path_request {
    struct hex_axial from; // may itself be impassable: a unit may stand where none may go
    struct hex_axial to;
    hex_cost_fn cost;
    hex_cheapest_fn cheapest; // may be NULL: `cost` is asked instead
    void *cost_ctx;           // of both
    uint32_t cost_min;        // the least cost any hex has (at least 1): the better, the faster
    uint32_t nodes_max;       // the search gives up after expanding this many hexes
    bool partial; // if the goal cannot be reached, lead to the reached hex nearest to it
};

struct hex_path_result {
    size_t steps;          // directions written to `steps`
    uint64_t cost;         // of the hexes stepped on
    uint32_t nodes;        // hexes expanded
    struct hex_axial last; // where the path ends
    bool complete;         // `last` is the goal
};

// Writes directions (0..5) from `from` on.
// MM_OK: a path (of no step at all if from equals to, or if `partial` finds nothing nearer).
// Without `partial`: MM_NOT_FOUND if there is no way within the window, MM_RESOURCE_EXHAUSTED if
// nodes_max was spent, MM_OUT_OF_RANGE if from and to are more than 3/4 of the window's side apart
// in q or r. With `partial` these give MM_OK and an incomplete path, for a goal too far off towards
// it. MM_OUT_OF_RANGE also if the path has more than steps_max steps.
enum mm_err MM_MUST_USE hex_path_find(struct hex_path_workspace *workspace,
                                      const struct hex_path_request *request, uint8_t *steps,
                                      size_t steps_max, struct hex_path_result *result);

// --- walking -------------------------------------------------------------------------------------

// Follows a path step by step, gathering movement points between steps. Plain data: may be copied
// and saved. The steps stay the caller's.
struct hex_walker {
    struct hex_axial at;
    const uint8_t *steps;
    uint32_t steps_count;
    uint32_t next;   // index of the step to take next
    uint32_t points; // gathered towards that step
};

enum hex_walk {
    HEX_WALK_GATHERING, // not enough points for the next step yet
    HEX_WALK_STEPPED,   // moved by one hex: `at` changed
    HEX_WALK_BLOCKED,   // the next hex is impassable; points are lost
    HEX_WALK_DONE,      // no step left
};

void hex_walker_start(struct hex_walker *walker, struct hex_axial from, const uint8_t *steps,
                      uint32_t steps_count);

// The hex of the next step; false if no step is left.
bool hex_walker_peek(const struct hex_walker *walker, struct hex_axial *next_out);

// Adds `points` and takes at most one step: it costs cost(next hex) * points_per_cost points, what
// is left over stays. Call again with 0 points until it no longer steps, to allow several a turn.
enum hex_walk hex_walker_advance(struct hex_walker *walker, uint32_t points,
                                 uint32_t points_per_cost, hex_cost_fn cost, void *cost_ctx);

#endif
