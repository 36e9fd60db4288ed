#ifndef SYNC_CORE_CATALOGUE_H
#define SYNC_CORE_CATALOGUE_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The game's types and terrains by number, as the tick stream's snapshots list them, with what the
// encoders need of them at hand: names already quoted for JSON, and the prefix of public ids.

#define SYNC_TYPES_MAX    4096
#define SYNC_TERRAINS_MAX 254 // terrain + 1 is kept in a byte, 0 being "never seen"

struct sync_type {
    char *name;   // as in the frame
    char *quoted; // as a JSON string
    size_t quoted_len;
    const char *prefix; // "unit_": static
    uint32_t kind;      // enum Mmorts__Frame__Kind
    uint32_t sight_hexes;
    uint32_t health_max;
    uint32_t ticks_per_hex;
    uint32_t flags;
    bool builds;    // a worker
    char *building; // what is built, for what, by whom: further members of its object in JSON
};

struct sync_terrain {
    char *name;
    char *quoted;
    size_t quoted_len;
    uint32_t move_cost_percent;
};

struct sync_catalogue {
    struct sync_type *types;
    uint32_t type_count;
    struct sync_terrain *terrains;
    uint32_t terrain_count;
    uint32_t chunk_radius;
    uint32_t tick_rate_hz;
    uint64_t hash; // of everything above: two catalogues are the same if their hashes are
};

// Whether the message is a catalogue that sync_catalogue_load can take: parallel columns, bounds.
bool sync_catalogue_valid(const Mmorts__Frame__Catalogue *message);

// Replaces *catalogue (zeroed memory to begin with) by the message, which must be valid.
// RESOURCE_EXHAUSTED: out of memory; *catalogue is as it was.
enum mm_err MM_MUST_USE sync_catalogue_load(struct sync_catalogue *catalogue,
                                            const Mmorts__Frame__Catalogue *message);
void sync_catalogue_free(struct sync_catalogue *catalogue);

// "unit", "building", "resource", "npc", or "unknown".
const char *sync_kind_name(uint32_t kind);
// The prefix of the kind's public ids: "unit_", …
const char *sync_kind_prefix(uint32_t kind);

#endif
