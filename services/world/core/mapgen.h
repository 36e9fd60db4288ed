#ifndef WORLD_CORE_MAPGEN_H
#define WORLD_CORE_MAPGEN_H

#include "libcommon/hex/chunk.h"
#include "services/world/core/rules.h"
#include <stdbool.h>
#include <stdint.h>

// Generators of terrain. What a chunk holds is a function of seed, rules and the chunk alone, never
// of the order in which chunks come into being or of who lives where: home sites, the open land
// around them and the roads between them are part of the terrain from the start.

// The chunk in whose centre the home of empire `index` (from 0) lies: a lattice of sites,
// spiralling outwards.
struct hex_chunk world_mapgen_home(const struct world_map_rules *rules, uint32_t index);

// One chunk: tiling->cells terrains to terrain_out. reserved_out (a bitset of tiling->cells bits,
// zeroed by this) marks clearings and roads, where no scattered node may stand.
void world_mapgen_chunk(const struct world_rules *rules, const struct hex_tiling *tiling,
                        uint64_t seed, struct hex_chunk chunk, uint8_t *terrain_out,
                        uint64_t *reserved_out);

// The type of the node scattered on a hex of that terrain, or -1.
int world_mapgen_node(const struct world_rules *rules, uint64_t seed, struct hex_axial at,
                      uint32_t terrain);

// The kind of camp in a chunk (of rules->map.camps), or -1; *roll_out decides where in it.
int world_mapgen_camp(const struct world_rules *rules, uint64_t seed, struct hex_chunk chunk,
                      uint64_t *roll_out);

// A random number that belongs to a hex and a purpose.
uint64_t world_mapgen_roll(uint64_t seed, uint32_t purpose, struct hex_axial at);

#endif
