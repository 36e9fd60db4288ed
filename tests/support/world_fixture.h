#ifndef TESTS_SUPPORT_WORLD_FIXTURE_H
#define TESTS_SUPPORT_WORLD_FIXTURE_H

#include "libcommon/base/arena.h"
#include "libcommon/base/rng.h"
#include "services/world/core/world.h"

// Worlds for tests: the game's own rules, and inputs made in few words.

// The rules of services/world/game; the caller frees. Without neutral camps and with a map that
// grows by empires alone; `wild`: with all that.
struct world_rules *fixture_rules(void);
struct world_rules *fixture_wild_rules(void);

// Nobody fights by these rules any more: for tests of something else.
void fixture_peace(struct world_rules *rules);

// The same on an open map without nodes, for tests that need to know what is where.
struct world_rules *fixture_open_rules(void);

// A world of these rules (NULL: fixture_open_rules) and seed. Aborts if it cannot be made.
struct world *fixture_world(const struct world_rules *rules, uint64_t seed);
// A world as it is after a restart from its snapshot; freed with world_free.
struct world *fixture_reload(const struct world *world);

// Inputs of one tick, allocated in an arena of their own.
struct fixture_inputs {
    struct mm_arena *arena;
    const world_input **items;
    struct world_result *results;
    size_t count, capacity;
};
void fixture_inputs_init(struct fixture_inputs *inputs, size_t capacity);
void fixture_inputs_free(struct fixture_inputs *inputs);
void fixture_inputs_clear(struct fixture_inputs *inputs);

void fixture_join(struct fixture_inputs *inputs, uint64_t player_id, const char *name);
void fixture_spawn(struct fixture_inputs *inputs, const char *key, const char *type,
                   uint32_t empire, uint32_t count, int32_t q, int32_t r);
void fixture_despawn(struct fixture_inputs *inputs, uint64_t entity);
void fixture_pause(struct fixture_inputs *inputs, bool pause);
// A command without order: to be filled in.
Mmorts__World__Command *fixture_command(struct fixture_inputs *inputs, uint64_t player_id,
                                        uint64_t client_seq, const uint64_t *units, size_t count);
Mmorts__World__Command *fixture_move(struct fixture_inputs *inputs, uint64_t player_id,
                                     uint64_t client_seq, const uint64_t *units, size_t count,
                                     int32_t q, int32_t r, bool queued);
void fixture_stop(struct fixture_inputs *inputs, uint64_t player_id, uint64_t client_seq,
                  const uint64_t *units, size_t count);

Mmorts__World__Command *fixture_attack(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       uint64_t target, bool queued);
Mmorts__World__Command *fixture_gather(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       uint64_t node, bool queued);
// A move that fights whom it meets.
Mmorts__World__Command *fixture_attack_move(struct fixture_inputs *inputs, uint64_t player_id,
                                            uint64_t client_seq, const uint64_t *units,
                                            size_t count, int32_t q, int32_t r, bool queued);

// Sorts and takes the inputs; results are in inputs->results, in the sorted order.
void fixture_step(struct world *world, struct fixture_inputs *inputs);
// The same, then all invariants are checked and the inputs are cleared. The first one's result.
struct world_result fixture_step_checked(struct world *world, struct fixture_inputs *inputs);
// Spawns one, in a tick of its own, which must succeed; inputs are cleared. Its id.
uint64_t fixture_put(struct world *world, struct fixture_inputs *inputs, const char *type,
                     uint32_t empire, struct hex_axial at);
// Empty ticks.
void fixture_run(struct world *world, unsigned ticks);

// Ids of an empire's entities of a type (NULL: that can move), in slot order. Returns the count.
size_t fixture_units(const struct world *world, uint32_t empire, const char *type, uint64_t *out,
                     size_t out_max);

// Founds empires 1..count for players 1..count, one a tick.
void fixture_found(struct world *world, unsigned count);

// A world of the game's own rules with one empire of so many soldiers, a quarter of them sent 200
// hexes, at the given tick (0: as made).
struct world *fixture_crowd(uint32_t entities, uint64_t tick);
// The same for many empires, each of which has a piece of the land; one soldier of `movers_every`
// is sent.
struct world *fixture_crowds(uint32_t entities, uint32_t empires, uint32_t movers_every,
                             uint64_t tick);

#endif
