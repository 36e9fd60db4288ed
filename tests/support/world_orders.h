#ifndef TESTS_SUPPORT_WORLD_ORDERS_H
#define TESTS_SUPPORT_WORLD_ORDERS_H

#include "tests/support/world_fixture.h"

// More inputs for worlds, in few words: buildings, patrols, server commands. As those of
// world_fixture.h.

Mmorts__World__Command *fixture_build(struct fixture_inputs *inputs, uint64_t player_id,
                                      uint64_t client_seq, const uint64_t *units, size_t count,
                                      const char *building, int32_t q, int32_t r, bool queued);
Mmorts__World__Command *fixture_repair(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       uint64_t target, bool queued);
Mmorts__World__Command *fixture_cancel_build(struct fixture_inputs *inputs, uint64_t player_id,
                                             uint64_t client_seq, uint64_t building);
Mmorts__World__Command *fixture_rally(struct fixture_inputs *inputs, uint64_t player_id,
                                      uint64_t client_seq, const uint64_t *buildings, size_t count,
                                      int32_t q, int32_t r);
// points: q and r of each.
Mmorts__World__Command *fixture_patrol(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       const int32_t *points, size_t point_count, bool queued);
Mmorts__World__Command *fixture_wander(struct fixture_inputs *inputs, uint64_t player_id,
                                       uint64_t client_seq, const uint64_t *units, size_t count,
                                       uint32_t radius, bool queued);

void fixture_settle(struct fixture_inputs *inputs, uint64_t bill, bool paid);
// To be filled in with changes.
Mmorts__World__SetEntityRequest *fixture_set_entity(struct fixture_inputs *inputs, const char *key,
                                                    uint64_t entity, size_t change_count);
void fixture_set_alliances(struct fixture_inputs *inputs, const uint32_t *empires,
                           const uint64_t *alliances, size_t count);
// Pairs of borrower and lender, for all borrowers from first to last.
void fixture_set_sharing(struct fixture_inputs *inputs, uint32_t first, uint32_t last,
                         const uint32_t (*pairs)[2], size_t count,
                         Mmorts__World__AlliesLend allies);
// Who lends whom and who is allied, at random, among empires 1 to `empires` (at most 8); sometimes
// as nobody may say it.
void fixture_random_sharing(struct fixture_inputs *inputs, struct mm_rng *rng, uint32_t empires);
void fixture_announce(struct fixture_inputs *inputs, const char *key, const char *text);
// The same with a type and a building beside which they come.
void fixture_spawn_beside(struct fixture_inputs *inputs, const char *key, const char *type,
                          uint32_t empire, uint32_t count, uint64_t beside);

#endif
