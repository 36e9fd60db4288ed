#include "libcommon/hex/path.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include <string.h>

// An estimate of cost_min per step never falls by more than a step costs, so f never decreases
// along a path, and a step raises it by at most cost + cost_min <= 2000: the open f values
// always lie within one lap of 2048 buckets. Nodes of a bucket form a doubly linked list, newest
// first.
enum { BUCKETS = 2048, BUCKET_WORDS = BUCKETS / 64 };

_Static_assert(BUCKETS > 2 * HEX_PATH_COST_MAX, "the open nodes must fit one lap of the buckets");

#define NO_NODE UINT32_MAX

enum node_state { NODE_UNSEEN, NODE_OPEN, NODE_CLOSED, NODE_IMPASSABLE };

// 24 bytes. All but `generation` is meaningless unless generation is the present search's.
struct node {
    uint32_t generation;
    uint32_t g; // cost from the start
    uint32_t f; // g plus the estimate to the goal
    uint32_t previous;
    uint32_t next;
    uint16_t cost;     // of stepping onto it
    uint8_t direction; // of the step that leads here
    uint8_t state;
};

struct hex_path_workspace {
    struct node *nodes;
    unsigned bits;
    uint32_t generation;
    uint32_t buckets[BUCKETS];
    uint64_t bucket_used[BUCKET_WORDS];

    // the present search
    const struct hex_path_request *request;
    struct hex_axial origin; // of the window
    struct hex_axial goal;   // the request's, or a stand-in on the way if that is out of the window
    uint32_t cost_min;
    uint32_t open_count;
};

struct hex_path_workspace *hex_path_workspace_new(unsigned window_bits)
{
    if (window_bits < HEX_PATH_WINDOW_BITS_MIN || window_bits > HEX_PATH_WINDOW_BITS_MAX)
        return NULL;
    struct hex_path_workspace *workspace = mm_calloc(1, sizeof *workspace);
    if (!workspace)
        return NULL;
    workspace->nodes = mm_calloc((size_t)1 << (2 * window_bits), sizeof(struct node));
    if (!workspace->nodes) {
        mm_free(workspace);
        return NULL;
    }
    workspace->bits = window_bits;
    return workspace;
}

void hex_path_workspace_free(struct hex_path_workspace *workspace)
{
    if (!workspace)
        return;
    mm_free(workspace->nodes);
    mm_free(workspace);
}

// --- window --------------------------------------------------------------------------------------

static uint32_t index_of(const struct hex_path_workspace *w, struct hex_axial at)
{
    uint32_t q = (uint32_t)(at.q - w->origin.q), r = (uint32_t)(at.r - w->origin.r);
    // One comparison catches coordinates below the origin too: they wrap around.
    if ((q | r) >> w->bits)
        return NO_NODE;
    return r << w->bits | q;
}

static struct hex_axial hex_at(const struct hex_path_workspace *w, uint32_t index)
{
    int32_t q = (int32_t)(index & ((1U << w->bits) - 1)), r = (int32_t)(index >> w->bits);
    return (struct hex_axial){w->origin.q + q, w->origin.r + r};
}

// Lays the window around start and goal. Each may be 3/4 of the window's side from the other, so
// that at least an eighth of the side is left around both for detours. A goal farther off is
// replaced by the point at that distance towards it. False if it was.
static bool lay_window(struct hex_path_workspace *w, struct hex_axial from, struct hex_axial to)
{
    int32_t side = 1 << w->bits, span_max = side / 4 * 3;
    int64_t q = (int64_t)to.q - from.q, r = (int64_t)to.r - from.r;
    int64_t q_span = q < 0 ? -q : q, r_span = r < 0 ? -r : r;
    int64_t span = q_span > r_span ? q_span : r_span;
    bool fits = span <= span_max;
    if (!fits) {
        MM_CHECK(span > 0);
        q = q * span_max / span;
        r = r * span_max / span;
    }
    w->goal = (struct hex_axial){from.q + (int32_t)q, from.r + (int32_t)r};
    w->origin = (struct hex_axial){from.q + (int32_t)(q / 2) - side / 2,
                                   from.r + (int32_t)(r / 2) - side / 2};
    return fits;
}

static uint32_t cost_at(const struct hex_path_workspace *w, struct hex_axial at)
{
    uint32_t cost = w->request->cost(w->request->cost_ctx, at);
    if (cost == 0)
        return 0;
    // A cost below the promised least would make the estimate wrong.
    if (cost < w->cost_min)
        cost = w->cost_min;
    return cost < HEX_PATH_COST_MAX ? cost : HEX_PATH_COST_MAX;
}

// --- queue ---------------------------------------------------------------------------------------

static void open_push(struct hex_path_workspace *w, uint32_t index)
{
    struct node *node = &w->nodes[index];
    uint32_t bucket = node->f % BUCKETS;
    uint64_t bit = UINT64_C(1) << bucket % 64;
    bool used = w->bucket_used[bucket / 64] & bit;
    node->previous = NO_NODE;
    node->next = used ? w->buckets[bucket] : NO_NODE;
    if (used)
        w->nodes[node->next].previous = index;
    w->buckets[bucket] = index;
    w->bucket_used[bucket / 64] |= bit;
    w->open_count++;
}

static void open_remove(struct hex_path_workspace *w, uint32_t index)
{
    struct node *node = &w->nodes[index];
    uint32_t bucket = node->f % BUCKETS;
    if (node->next != NO_NODE)
        w->nodes[node->next].previous = node->previous;
    if (node->previous != NO_NODE)
        w->nodes[node->previous].next = node->next;
    else if (node->next != NO_NODE)
        w->buckets[bucket] = node->next;
    else
        w->bucket_used[bucket / 64] &= ~(UINT64_C(1) << bucket % 64);
    w->open_count--;
}

// The newest node of the least f, which is at least f_from; the queue must not be empty.
static uint32_t open_least(const struct hex_path_workspace *w, uint32_t f_from)
{
    uint32_t start = f_from % BUCKETS;
    uint32_t word = start / 64;
    uint64_t bits = w->bucket_used[word] & (UINT64_MAX << start % 64);
    // Once around, and into the first word's lower part again.
    for (unsigned i = 0; bits == 0; i++) {
        MM_CHECK(i <= BUCKET_WORDS);
        word = (word + 1) % BUCKET_WORDS;
        bits = w->bucket_used[word];
    }
    return w->buckets[word * 64 + (uint32_t)__builtin_ctzll(bits)];
}

// --- search --------------------------------------------------------------------------------------

// The node, made fresh if this search has not seen it yet.
static struct node *touch(struct hex_path_workspace *w, uint32_t index, struct hex_axial at)
{
    struct node *node = &w->nodes[index];
    if (node->generation != w->generation) {
        uint32_t cost = cost_at(w, at);
        node->generation = w->generation;
        node->cost = (uint16_t)cost;
        node->state = cost == 0 ? NODE_IMPASSABLE : NODE_UNSEEN;
    }
    return node;
}

// How far a hex lies off the straight line from start to goal (a multiple of the distance).
static int64_t deviation(const struct hex_path_workspace *w, struct hex_axial at)
{
    struct hex_axial from = w->request->from;
    int64_t area = (int64_t)(w->goal.q - from.q) * (at.r - from.r) -
                   (int64_t)(w->goal.r - from.r) * (at.q - from.q);
    return area < 0 ? -area : area;
}

static void expand(struct hex_path_workspace *w, uint32_t index, struct hex_axial at)
{
    struct {
        uint32_t index;
        int64_t deviation;
    } found[HEX_DIRECTIONS];
    unsigned count = 0;
    uint32_t g_here = w->nodes[index].g;
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        struct hex_axial next_at = hex_neighbor(at, d);
        uint32_t next = index_of(w, next_at);
        if (next == NO_NODE)
            continue;
        struct node *node = touch(w, next, next_at);
        uint32_t g = g_here + node->cost;
        if (node->state >= NODE_CLOSED || (node->state == NODE_OPEN && node->g <= g))
            continue;
        if (node->state == NODE_OPEN)
            open_remove(w, next);
        node->state = NODE_OPEN;
        node->g = g;
        node->f = g + w->cost_min * (uint32_t)hex_distance(next_at, w->goal);
        node->direction = (uint8_t)d;
        // Farthest from the straight line first: what is pushed last is tried first.
        int64_t off = deviation(w, next_at);
        unsigned place = count++;
        for (; place > 0 && found[place - 1].deviation < off; place--)
            found[place] = found[place - 1];
        found[place].index = next;
        found[place].deviation = off;
    }
    for (unsigned i = 0; i < count; i++)
        open_push(w, found[i].index);
}

// What a search came to: the node nearest to the goal, and why it ended.
struct outcome {
    uint32_t nearest;
    int32_t distance; // of `nearest` to the goal
    enum mm_err err;  // MM_OK: `nearest` is as near as can be
};

static struct outcome search(struct hex_path_workspace *w, uint32_t *nodes_out)
{
    const struct hex_path_request *request = w->request;
    // Nobody gets nearer than next to an impassable goal.
    int32_t distance_min = cost_at(w, w->goal) == 0 ? 1 : 0;
    uint32_t start = index_of(w, request->from);
    struct node *node = touch(w, start, request->from);
    node->state = NODE_OPEN;
    node->g = 0;
    node->f = w->cost_min * (uint32_t)hex_distance(request->from, w->goal);
    open_push(w, start);
    struct outcome outcome = {start, INT32_MAX, MM_NOT_FOUND};
    uint32_t f = node->f;
    while (w->open_count > 0) {
        if (*nodes_out == request->nodes_max) {
            outcome.err = MM_RESOURCE_EXHAUSTED;
            return outcome;
        }
        ++*nodes_out;
        uint32_t index = open_least(w, f);
        f = w->nodes[index].f;
        open_remove(w, index);
        w->nodes[index].state = NODE_CLOSED;
        struct hex_axial at = hex_at(w, index);
        int32_t distance = hex_distance(at, w->goal);
        if (distance < outcome.distance) {
            outcome.nearest = index;
            outcome.distance = distance;
            if (distance <= distance_min) {
                outcome.err = MM_OK;
                return outcome;
            }
        }
        expand(w, index, at);
    }
    return outcome;
}

// --- what needs no search ------------------------------------------------------------------------

// The steps from a hex that lead nearer to the goal, one or two; first what the search tries first.
static unsigned nearer_steps(const struct hex_path_workspace *w, struct hex_axial at,
                             int32_t distance, unsigned nearer[2])
{
    unsigned found = 0;
    int64_t off[2];
    for (unsigned d = 0; d < HEX_DIRECTIONS && found < 2; d++) {
        struct hex_axial next = hex_neighbor(at, d);
        if (hex_distance(next, w->goal) >= distance)
            continue;
        off[found] = deviation(w, next);
        nearer[found++] = d;
    }
    // The search tries the one pushed last first: of equals, the later direction.
    if (found == 2 && off[1] <= off[0]) {
        unsigned later = nearer[1];
        nearer[1] = nearer[0];
        nearer[0] = later;
    }
    return found;
}

// How many of the way's first steps are those of open land, where every hex costs the least. They
// are in `steps`, and *at is where they lead.
static size_t walk_open(const struct hex_path_workspace *w, size_t count, uint8_t *steps,
                        struct hex_axial *at)
{
    const struct hex_path_request *request = w->request;
    struct hex_axial from = *at;
    int32_t distance = hex_distance(from, w->goal);
    if (!request->cheapest)
        return 0;
    for (size_t i = 0; i < count; i++) {
        unsigned nearer[2];
        (void)nearer_steps(w, *at, distance--, nearer);
        steps[i] = (uint8_t)nearer[0];
        *at = hex_neighbor(*at, nearer[0]);
    }
    size_t open = request->cheapest(request->cost_ctx, from, steps, count);
    MM_CHECK(open <= count);
    for (size_t i = count; i-- > open;)
        *at = hex_neighbor(*at, hex_opposite(steps[i]));
    return open;
}

// As long as one of the hexes nearer to the goal costs no more than the least, the search goes on
// with it and never comes back to any other: f stays what it was at the start. So there it is
// enough to walk, by the same choice among equals, without looking at other hexes. False: somewhere
// there is no such hex, or a bound is met; nothing is in `result` then.
static bool walk_straight(struct hex_path_workspace *w, uint8_t *steps, size_t steps_max,
                          struct hex_path_result *result)
{
    const struct hex_path_request *request = w->request;
    struct hex_axial at = request->from;
    int32_t distance = hex_distance(at, w->goal), distance_min = cost_at(w, w->goal) == 0 ? 1 : 0;
    size_t count = distance > distance_min ? (size_t)(distance - distance_min) : 0;
    // The search also expands the start.
    if (count > steps_max || count + 1 > request->nodes_max)
        return false;
    for (size_t i = walk_open(w, count, steps, &at); i < count; i++) {
        unsigned nearer[2];
        unsigned found = nearer_steps(w, at, distance - (int32_t)i, nearer);
        unsigned d = nearer[0];
        if (cost_at(w, hex_neighbor(at, d)) != w->cost_min) {
            d = nearer[1];
            if (found < 2 || cost_at(w, hex_neighbor(at, d)) != w->cost_min)
                return false;
        }
        steps[i] = (uint8_t)d;
        at = hex_neighbor(at, d);
    }
    result->steps = count;
    result->cost = (uint64_t)w->cost_min * count;
    result->nodes = (uint32_t)count + 1;
    result->last = at;
    result->complete = hex_equal(at, request->to);
    return true;
}

// Walks back from a node to the start, twice: to count the steps, and to write them in order.
static enum mm_err write_steps(const struct hex_path_workspace *w, uint32_t end, uint8_t *steps,
                               size_t steps_max, struct hex_path_result *result)
{
    struct hex_axial last = hex_at(w, end);
    size_t count = 0;
    for (struct hex_axial at = last; !hex_equal(at, w->request->from); count++)
        at = hex_neighbor(at, hex_opposite(w->nodes[index_of(w, at)].direction));
    if (count > steps_max)
        return MM_OUT_OF_RANGE;
    size_t place = count;
    for (struct hex_axial at = last; place > 0;) {
        uint8_t direction = w->nodes[index_of(w, at)].direction;
        steps[--place] = direction;
        at = hex_neighbor(at, hex_opposite(direction));
    }
    result->steps = count;
    result->cost = w->nodes[end].g;
    result->last = last;
    result->complete = hex_equal(last, w->request->to);
    return MM_OK;
}

static void take(struct hex_path_workspace *w, const struct hex_path_request *request)
{
    w->request = request;
    w->cost_min = request->cost_min < 1 ? 1 : request->cost_min;
    if (w->cost_min > HEX_PATH_COST_MAX)
        w->cost_min = HEX_PATH_COST_MAX;
}

static void begin(struct hex_path_workspace *w)
{
    w->open_count = 0;
    memset(w->bucket_used, 0, sizeof w->bucket_used);
    if (++w->generation == 0) {
        // After 2^32 searches the old stamps could be taken for new ones.
        memset(w->nodes, 0, sizeof(struct node) << (2 * w->bits));
        w->generation = 1;
    }
}

enum mm_err hex_path_find(struct hex_path_workspace *w, const struct hex_path_request *request,
                          uint8_t *steps, size_t steps_max, struct hex_path_result *result)
{
    *result = (struct hex_path_result){.last = request->from};
    if (hex_equal(request->from, request->to)) {
        result->complete = true;
        return MM_OK;
    }
    take(w, request);
    bool fits = lay_window(w, request->from, request->to);
    if (!fits && !request->partial)
        return MM_OUT_OF_RANGE;
    if (!request->partial && cost_at(w, request->to) == 0)
        return MM_NOT_FOUND;
    if (walk_straight(w, steps, steps_max, result))
        return MM_OK;
    begin(w);
    struct outcome outcome = search(w, &result->nodes);
    if (outcome.err != MM_OK && !request->partial)
        return outcome.err;
    return write_steps(w, outcome.nearest, steps, steps_max, result);
}
