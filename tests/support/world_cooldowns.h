#ifndef TESTS_SUPPORT_WORLD_COOLDOWNS_H
#define TESTS_SUPPORT_WORLD_COOLDOWNS_H

#include "tests/support/world_fixture.h"

// Which commands a world must refuse as too soon: told by what was taken before, without a look
// into the world. Players are numbered from 1.

enum { COOLDOWN_PLAYERS_MAX = 16, COOLDOWN_BILLS_MAX = 4096 };

struct cooldown_model {
    const struct world_rules *rules;
    struct {
        uint64_t highest_seq; // that was taken
        struct {
            bool counts;
            uint64_t tick;
        } last[MMORTS__WORLD__COMMAND__ORDER_CANCEL_BUILD + 1]; // by order_case
    } players[COOLDOWN_PLAYERS_MAX + 1];
    struct {
        uint64_t number, player_id, tick;
    } bills[COOLDOWN_BILLS_MAX];
    size_t bill_count;
    unsigned refused; // as too soon, so far
};

void cooldown_model_init(struct cooldown_model *model, const struct world_rules *rules);
// Holds the results of a step against the model, and takes them up. A difference ends the test.
void cooldown_model_check(struct cooldown_model *model, uint64_t tick,
                          const struct fixture_inputs *inputs);

#endif
