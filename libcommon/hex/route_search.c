#include "libcommon/base/prefetch.h"
#include "libcommon/hex/lanes.h"
#include "libcommon/hex/route_internal.h"
#include <string.h>

// A label-correcting search whose unit of work is a chunk. In the heap a chunk stands with the
// least estimate (cost so far plus the least that the rest can cost) of the nodes through which
// it was entered anew; whatever else was entered meanwhile is taken along. Nothing is settled: a
// later, cheaper entry is passed on again. The search is over when no estimate in the heap can
// lead to a way that is cheaper, by more than the slack, than the best one known.

// Of equally promising chunks those nearer to the goal come first: the heap holds estimates of
// which the rest counts for a 64th more. On open ground the first way found is then as good as any.
#define EAGERNESS 64

// --- heap ----------------------------------------------------------------------------------------

static void heap_put(struct hex_route *route, uint32_t place, uint32_t visit)
{
    route->heap[place] = visit;
    route->visits[visit].heap_place = place;
}

static void heap_up(struct hex_route *route, uint32_t place, uint32_t visit)
{
    int32_t key = route->visits[visit].key;
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (route->visits[route->heap[parent]].key <= key)
            break;
        heap_put(route, place, route->heap[parent]);
        place = parent;
    }
    heap_put(route, place, visit);
}

static uint32_t heap_pop(struct hex_route *route)
{
    uint32_t top = route->heap[0], last = route->heap[--route->heap_count];
    route->visits[top].heap_place = ROUTE_NOT_IN_HEAP;
    if (route->heap_count == 0)
        return top;
    int32_t key = route->visits[last].key;
    uint32_t place = 0;
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= route->heap_count)
            break;
        if (child + 1 < route->heap_count &&
            route->visits[route->heap[child + 1]].key < route->visits[route->heap[child]].key)
            child++;
        if (route->visits[route->heap[child]].key >= key)
            break;
        heap_put(route, place, route->heap[child]);
        place = child;
    }
    heap_put(route, place, last);
    return top;
}

// The chunk's earliest estimate may have fallen to `key`.
static void heap_offer(struct hex_route *route, uint32_t index, int32_t key)
{
    struct route_visit *visit = &route->visits[index];
    if (visit->heap_place == ROUTE_NOT_IN_HEAP) {
        visit->key = key;
        heap_up(route, route->heap_count++, index);
    } else if (key < visit->key) {
        visit->key = key;
        heap_up(route, visit->heap_place, index);
    }
}

// --- visits --------------------------------------------------------------------------------------

uint32_t route_visit_of(struct hex_route *route, uint32_t chunk)
{
    struct route_chunk *known = &route->chunks[chunk];
    if (known->search == route->search)
        return known->visit;
    uint32_t slot;
    const struct hex_overlay *overlay =
        route->visit_count < route->overlays_max ? route_overlay(route, chunk, &slot) : NULL;
    if (!overlay) {
        route->out_of_room = true;
        return ROUTE_NO_VISIT;
    }
    uint32_t index = route->visit_count++;
    struct route_visit *visit = &route->visits[index];
    memcpy(visit->labels, route->unreached, sizeof visit->labels);
    visit->taken = visit->pending = 0;
    visit->overlay = overlay;
    visit->center =
        hex_sub(hex_chunk_center(&route->shape.tiling, route->map->chunks[chunk]), route->goal);
    visit->chunk = chunk;
    visit->slot = slot;
    visit->heap_place = ROUTE_NOT_IN_HEAP;
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++)
        visit->beside[d] = ROUTE_NO_VISIT;
    visit->told = route->field ? route_field_labels(route->field, chunk) : NULL;
    known->search = route->search;
    known->visit = index;
    return index;
}

// The least that the way from a node to the goal can cost. A search asks thousands of times.
static inline __attribute__((always_inline)) int32_t
estimate(const struct hex_route *route, const struct route_visit *visit, uint32_t node)
{
    struct hex_axial at = hex_add(visit->center, route->shape.node_offset[node]);
    int32_t least = hex_length(at) * (int32_t)route->cost_min;
    if (!route->field)
        return least;
    int32_t told = route_field_estimate(route, visit, node, at);
    return told > least ? told : least;
}

static void found(struct hex_route *route, int32_t cost)
{
    if (cost >= route->best)
        return;
    route->best = cost;
    if (route->margin > 0) {
        route->limit = cost < ROUTE_UNKNOWN - route->margin ? cost + route->margin : ROUTE_UNKNOWN;
        return;
    }
    // Estimates e with e * (1 + slack) >= cost are of no use.
    int64_t scale = 1000 + (int64_t)route->slack_permille;
    route->limit = (int32_t)(((int64_t)cost * 1000 + scale - 1) / scale);
}

// A label of a node that is reached from another chunk. Returns the estimate, ROUTE_UNKNOWN if it
// is of no use.
static int32_t enter(struct hex_route *route, uint32_t index, uint32_t node, int32_t label)
{
    struct route_visit *visit = &route->visits[index];
    int32_t left = estimate(route, visit, node);
    if (label + left >= route->limit)
        return ROUTE_UNKNOWN;
    int32_t whole = label + left + left / EAGERNESS;
    visit->labels[node] = label;
    visit->pending |= UINT64_C(1) << node;
    // Its row is wanted when the chunk's turn comes; most are in no cache by then.
    const int16_t *row = hex_overlay_row(&route->shape, visit->overlay, node);
    mm_prefetch(row);
    mm_prefetch(row + 32);
    if (index == route->goal_visit && route->to_goal[node] != ROUTE_UNKNOWN)
        found(route, label + route->to_goal[node]);
    return whole;
}

// What a chunk passes on: labels relative to base, in reverse order around the border, so that they
// lie in the order in which the neighbours count: place p is node -p (modulo the count), both
// from 0 to the count. HEX_OVERLAY_FAR: nothing new. Lanes are read and written eight at a time,
// and what is to the left and right of the places means nothing.
#define PASSING_BEFORE 8
#define PASSING_BEHIND 19
#define PASSING_LABELS (PASSING_BEFORE + HEX_OVERLAY_NODES_MAX + 1 + PASSING_BEHIND)

_Static_assert(PASSING_LABELS % 8 == 0, "they are cleared eight at a time");

struct passing {
    int32_t base;
    uint32_t node_count;
    int16_t labels[PASSING_LABELS];
};

static void passing_begin(struct passing *passing, uint32_t node_count, int32_t base)
{
    passing->base = base;
    passing->node_count = node_count;
    for (uint32_t i = 0; i < PASSING_LABELS; i += 8)
        hex_lanes_store(passing->labels + i, hex_lanes_all(HEX_OVERLAY_FAR));
}

// Those of eight nodes from `first` on.
static void passing_put_lanes(struct passing *passing, uint32_t first, hex_lanes labels)
{
    hex_lanes_store(passing->labels + PASSING_BEFORE + passing->node_count - first - 7,
                    hex_lanes_reversed(labels));
}

static void passing_put(struct passing *passing, uint32_t node, int16_t label)
{
    passing->labels[PASSING_BEFORE + passing->node_count - node] = label;
}

// Place 0 is node 0 as well.
static void passing_end(struct passing *passing)
{
    passing->labels[PASSING_BEFORE] = passing->labels[PASSING_BEFORE + passing->node_count];
}

// Over one side. The neighbour's border cell j of its own side touches cells R - j and R - 1 - j of
// this one; the last, which is a corner, only cell 0. Of the cells reached only those are entered
// that are not reached as cheaply along the side from the cell before or behind: where a broad
// front arrives aslant, that is one of many.
static void pass_side(struct hex_route *route, const struct passing *passing, unsigned side,
                      uint32_t there)
{
    const struct route_visit *next = &route->visits[there];
    uint32_t radius = (uint32_t)route->shape.tiling.radius, count = route->shape.node_count;
    const int16_t *mine = passing->labels + PASSING_BEFORE + (count - (side + 1) * radius);
    uint32_t first = hex_opposite(side) * radius;
    uint32_t corner = first + radius < count ? first + radius : 0;
    const int16_t *costs = next->overlay->enter + first;
    int16_t reached[1 + HEX_OVERLAY_RADIUS_MAX + 14]; // of cell j in place j + 1
    for (uint32_t j = 0; j < radius; j += 8) {
        hex_lanes least = hex_lanes_least(hex_lanes_load(mine + j), hex_lanes_load(mine + j + 1));
        hex_lanes_store(reached + 1 + j, hex_lanes_sum(least, hex_lanes_load(costs + j)));
    }
    int32_t at_corner = mine[radius] + next->overlay->enter[corner];
    reached[1 + radius] = (int16_t)(at_corner < HEX_OVERLAY_FAR ? at_corner : HEX_OVERLAY_FAR);
    reached[0] = reached[2 + radius] = HEX_OVERLAY_FAR;
    int32_t key = ROUTE_UNKNOWN, whole;
    for (uint32_t j = 0; j < radius; j += 8) {
        hex_lanes along =
            hex_lanes_least(hex_lanes_load(reached + j), hex_lanes_load(reached + 2 + j));
        hex_lanes bound =
            hex_lanes_least(hex_lanes_sum(along, hex_lanes_load(costs + j)),
                            hex_lanes_relative(next->labels + first + j, passing->base));
        unsigned better = hex_lanes_bits(hex_lanes_less(hex_lanes_load(reached + 1 + j), bound));
        better &= radius - j < 8 ? (1U << (radius - j)) - 1 : 255;
        for (; better; better &= better - 1) {
            uint32_t cell = j + (uint32_t)__builtin_ctz(better);
            whole = enter(route, there, first + cell, passing->base + reached[1 + cell]);
            key = whole < key ? whole : key;
        }
    }
    if (at_corner < HEX_OVERLAY_FAR && passing->base + at_corner < next->labels[corner] &&
        at_corner < reached[radius] + next->overlay->enter[corner]) {
        whole = enter(route, there, corner, passing->base + at_corner);
        key = whole < key ? whole : key;
    }
    if (key != ROUTE_UNKNOWN)
        heap_offer(route, there, key);
}

static void pass_on(struct hex_route *route, uint32_t index, const struct passing *passing,
                    uint64_t nodes)
{
    uint32_t radius = (uint32_t)route->shape.tiling.radius;
    uint64_t side_nodes = (UINT64_C(2) << radius) - 1;
    // The last side's last cell is node 0.
    uint64_t around = nodes | (nodes & 1) << route->shape.node_count;
    for (unsigned side = 0; side < HEX_DIRECTIONS; side++) {
        if (!(around >> side * radius & side_nodes))
            continue;
        uint32_t there = route->visits[index].beside[side];
        if (there == ROUTE_NO_VISIT) {
            uint32_t chunk = route->map->neighbors[route->visits[index].chunk][side];
            if (chunk == HEX_ROUTE_NO_CHUNK)
                continue;
            there = route_visit_of(route, chunk);
            if (there == ROUTE_NO_VISIT)
                continue;
            route->visits[index].beside[side] = there;
        }
        pass_side(route, passing, side, there);
    }
}

// --- work on one chunk ---------------------------------------------------------------------------

// The nodes that were entered, by label: label << 8 | node.
static uint32_t entries_sorted(struct route_visit *visit, uint64_t entries[HEX_OVERLAY_ROW])
{
    uint32_t count = 0;
    for (uint64_t bits = visit->pending; bits; bits &= bits - 1) {
        uint32_t node = (uint32_t)__builtin_ctzll(bits), place = count++;
        uint64_t entry = (uint64_t)visit->labels[node] << 8 | node;
        for (; place > 0 && entries[place - 1] > entry; place--)
            entries[place] = entries[place - 1];
        entries[place] = entry;
    }
    visit->pending = 0;
    return count;
}

// Since they were entered a way may have been found that is cheaper than any through here.
static bool any_of_use(const struct hex_route *route, const struct route_visit *visit,
                       const uint64_t *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = (uint32_t)(entries[i] & 255);
        if (visit->labels[node] + estimate(route, visit, node) < route->limit)
            return true;
    }
    return false;
}

// The rows of those entries that are cheapest through themselves, taken together: what they make of
// the labels of all nodes. Returns the entries taken.
static uint64_t take_rows(struct hex_route *route, uint32_t index, const uint64_t *entries,
                          uint32_t count, int16_t *after)
{
    struct route_visit *visit = &route->visits[index];
    const struct hex_overlay *overlay = visit->overlay;
    uint32_t lanes = route->shape.lanes;
    uint64_t taken = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = (uint32_t)(entries[i] & 255);
        int32_t above = (int32_t)((entries[i] >> 8) - (entries[0] >> 8));
        if (above + overlay->far >= HEX_OVERLAY_FAR) {
            // Too far behind the first to be told in 15 bits: next time.
            visit->pending |= UINT64_C(1) << node;
            heap_offer(route, index, visit->labels[node] + estimate(route, visit, node));
            continue;
        }
        // Cheaper from within: its row can tell nothing new. Or it leads nowhere by now.
        if (after[node] < above ||
            visit->labels[node] + estimate(route, visit, node) >= route->limit)
            continue;
        const int16_t *row = hex_overlay_row(&route->shape, overlay, node);
        hex_lanes added = hex_lanes_all((int16_t)above);
        for (uint32_t k = 0; k < lanes; k += 8)
            hex_lanes_store(after + k,
                            hex_lanes_least(hex_lanes_load(after + k),
                                            hex_lanes_sum(hex_lanes_load(row + k), added)));
        taken |= UINT64_C(1) << node;
        route->work++;
    }
    return taken;
}

// They are looked at when the chunk's rows are done, and are in no cache, mostly.
static void ask_for_neighbors(const struct hex_route *route, const struct route_visit *visit)
{
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        if (visit->beside[d] == ROUTE_NO_VISIT)
            continue;
        const int16_t *enter_costs = route->visits[visit->beside[d]].overlay->enter;
        mm_prefetch(enter_costs);
        mm_prefetch(enter_costs + 32);
    }
}

// All that entered a chunk spreads to its other border cells, and on to the chunks beside it.
static void go_through(struct hex_route *route, uint32_t index)
{
    struct route_visit *visit = &route->visits[index];
    uint64_t entries[HEX_OVERLAY_ROW];
    uint32_t count = entries_sorted(visit, entries);
    if (!any_of_use(route, visit, entries, count))
        return;
    if (!route_build(route, visit->slot))
        return;
    route->work++;
    ask_for_neighbors(route, visit);
    int32_t base = (int32_t)(entries[0] >> 8);
    int16_t before[HEX_OVERLAY_ROW], after[HEX_OVERLAY_ROW];
    for (uint32_t k = 0; k < route->shape.lanes; k += 8) {
        hex_lanes labels = hex_lanes_relative(visit->labels + k, base);
        hex_lanes_store(before + k, labels);
        hex_lanes_store(after + k, labels);
    }
    uint64_t changed = take_rows(route, index, entries, count, after);
    visit->taken |= changed;
    struct passing passing;
    passing_begin(&passing, route->shape.node_count, base);
    uint64_t taken = changed;
    for (uint32_t k = 0; k < route->shape.lanes; k += 8) {
        hex_lanes now = hex_lanes_load(after + k);
        hex_lanes less = hex_lanes_less(now, hex_lanes_load(before + k));
        changed |= (uint64_t)hex_lanes_bits(less) << k;
        hex_lanes_write(visit->labels + k, less, now, base);
        passing_put_lanes(&passing, k, hex_lanes_choose(less, now, hex_lanes_all(HEX_OVERLAY_FAR)));
    }
    for (; taken; taken &= taken - 1) {
        uint32_t node = (uint32_t)__builtin_ctzll(taken);
        passing_put(&passing, node, after[node]);
    }
    passing_end(&passing);
    pass_on(route, index, &passing, changed);
}

void route_pass_start(struct hex_route *route)
{
    struct passing passing;
    uint64_t nodes = 0;
    passing_begin(&passing, route->shape.node_count, 0);
    for (uint32_t node = 0; node < route->shape.node_count; node++) {
        if (route->from_start[node] == ROUTE_UNKNOWN)
            continue;
        nodes |= UINT64_C(1) << node;
        passing_put(&passing, node, (int16_t)route->from_start[node]);
    }
    passing_end(&passing);
    pass_on(route, route->start_visit, &passing, nodes);
}

bool route_run(struct hex_route *route, uint32_t work_max)
{
    bool spent = route->out_of_room;
    while (!spent && route->heap_count > 0) {
        go_through(route, heap_pop(route));
        if (route->work + route->charting >= route->spend_max)
            route->put_off = true;
        spent = route->work >= work_max || route->out_of_room || route->put_off;
    }
    return spent;
}
