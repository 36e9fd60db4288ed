#ifndef HEX_ROUTE_H
#define HEX_ROUTE_H

#include "libcommon/base/err.h"
#include "libcommon/hex/chunk.h"

// Far ways over a map of chunks: a search over border cells (overlay.h) instead of hexes. It visits
// chunks by the estimate of what a way through them costs, takes all that is newly known of a
// chunk's border at once through its distances, eight at a time, and passes on what got better
// where edge signatures leave a way. With slack_permille 0 the way found is a cheapest one.
//
// Overlays are built when a search first comes to a chunk, and anew when the chunk's version has
// changed. They are derived from costs alone, and a search's outcome from request and costs: what
// is in the cache never shows, but in time. Who has to account for that time all the same keeps a
// book of his own of the chunks that are charted, which is to say paid for: a search tells which
// others it needed, and comes to so many of them at most.

#define HEX_ROUTE_NO_CHUNK UINT32_MAX

struct hex_route_map {
    const struct hex_chunk *chunks; // by chunk index
    const uint32_t (*neighbors)[6]; // by chunk index: chunk index or HEX_ROUTE_NO_CHUNK
    const uint32_t *versions;       // by chunk index: another one when a cost has changed
    uint32_t chunk_count;
    uint32_t cost_min;  // the least cost any hex has, at least 1
    uint32_t cost_unit; // a common divisor of all costs: the greater, the better; 1 is always right
    // Writes what stepping onto each of a chunk's cells costs, 0 = impassable; costs / cost_unit
    // are at most HEX_PATH_COST_MAX.
    void (*costs)(void *ctx, uint32_t chunk, uint16_t *cell_cost_out);
    void *ctx;
};

struct hex_route_end {
    uint32_t chunk; // index
    uint32_t cell;  // in the chunk
};

// What a search learned of the ways to its goal, for others to goals near it: a group's, say. They
// find ways as good, with a fraction of the work.
struct hex_route_field;

struct hex_route_request {
    struct hex_route_end from;           // may be impassable
    struct hex_route_end to;             // in another chunk: what is nearer is hex_path_find's
    uint32_t slack_permille;             // the way may cost so much more than a cheapest one
    uint32_t work_max;                   // the search gives up then; see result.work
    const struct hex_route_field *field; // or NULL; of the same map, and nothing changed since
    const uint64_t *charted;             // bit by chunk index; NULL: all are
    uint32_t charts_max;                 // of those that are not, so many may be needed
    uint32_t chart_work;                 // what needing one of them counts as, in work
    uint32_t spend_max;                  // bound of work and charts together; 0: none
};

struct hex_route_result {
    size_t steps;          // directions written
    uint64_t cost;         // of the whole way, also of what was not written
    uint32_t work;         // rows of distances used and chunks visited, and charts: see chart_work
    struct hex_axial last; // where the written steps end
    bool complete;         // that is the goal
};

// Memory of searches and cache, reusable without limit; one search at a time. overlays_max chunks
// are kept at most, the least recently used one makes room, of those that are not charted if any; a
// search never comes to more. 16 KiB for each kept chunk of the default radius.
struct hex_route;

// NULL when out of memory, or if the radius is above HEX_OVERLAY_RADIUS_MAX.
struct hex_route *hex_route_new(const struct hex_tiling *tiling, uint32_t overlays_max);
void hex_route_free(struct hex_route *route);
// Forgets all overlays: chunk indexes or the meaning of versions changed.
void hex_route_clear(struct hex_route *route);
// Builds the overlays of chunks (bit by chunk index) ahead of any search, as far as there is room.
void hex_route_warm(struct hex_route *route, const struct hex_route_map *map,
                    const uint64_t *charted);
// How many overlays were built so far.
uint64_t hex_route_builds(const struct hex_route *route);
// Bytes allocated at present.
size_t hex_route_memory_bytes(const struct hex_route *route);

// Writes directions (0..5) from `from` on, the first steps_max of them.
// MM_OK: a way, perhaps cut off at steps_max. MM_NOT_FOUND: there is none; known without going
// over the map if either end is enclosed in a few chunks. MM_RESOURCE_EXHAUSTED: work_max or
// overlays_max was spent (then the steps lead to the border cell nearest to the goal that was
// reached), or out of memory (no steps). MM_INVALID_ARGUMENT: the ends are in one chunk, or the
// goal is impassable. MM_UNAVAILABLE: charts_max or spend_max was spent; once the chunks needed
// are charted, or with more to spend, the search, begun anew, comes farther.
enum mm_err MM_MUST_USE hex_route_find(struct hex_route *route, const struct hex_route_map *map,
                                       const struct hex_route_request *request, uint8_t *steps,
                                       size_t steps_max, struct hex_route_result *result);

// The chunks that the last search, or the last field, needed and that were not charted, some of
// them perhaps twice. Valid until the next one.
const uint32_t *hex_route_uncharted(const struct hex_route *route, uint32_t *count_out);

// --- groups --------------------------------------------------------------------------------------

struct hex_route_field *hex_route_field_new(void);
void hex_route_field_free(struct hex_route_field *field);

// Learns the ways to request->to from all about request->from, and what lies between: the work of
// one search and a little. Good for requests whose ends are near those, and of no use, but no harm
// either, to others: what is found with a field is within the slack, but need not be the same way
// as without. Where units of a group start in different chunks or end in different hexes does not
// matter. MM_NOT_FOUND, MM_RESOURCE_EXHAUSTED, MM_INVALID_ARGUMENT and MM_UNAVAILABLE as
// hex_route_find; then the field is empty and of no use.
enum mm_err MM_MUST_USE hex_route_field_build(struct hex_route *route,
                                              const struct hex_route_map *map,
                                              const struct hex_route_request *request,
                                              struct hex_route_field *field, uint32_t *work_out);

#endif
