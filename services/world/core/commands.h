#ifndef WORLD_CORE_COMMANDS_H
#define WORLD_CORE_COMMANDS_H

// What the commands of players have in common: for the files of the core that carry them out.

#include "services/world/core/state.h"

#define REASON(name) MMORTS__WORLD__COMMAND_REASON__COMMAND_##name

// The player's own living units among those that a command names, in slot order.
struct world_squad {
    uint32_t count;
    uint32_t slots[WORLD_COMMAND_UNITS_MAX];
};

// Says why a command is not carried out; the message is static.
void world_refuse(struct world_result *result, uint32_t reason, const char *message);

// Whether one of them has no room for another order.
bool world_squad_orders_full(const struct world *world, const struct world_squad *squad);

// The orders by themselves. False, with a reason, and nothing is changed; or all is done.
bool world_command_attack(struct world *world, const struct world_player *player,
                          const struct world_squad *squad, const Mmorts__World__Command *command,
                          struct world_result *result);

bool world_command_gather(struct world *world, const struct world_player *player,
                          const struct world_squad *squad, const Mmorts__World__Command *command,
                          struct world_result *result);

bool world_command_build(struct world *world, const struct world_player *player,
                         const struct world_squad *squad, const Mmorts__World__Command *command,
                         struct world_result *result);
bool world_command_repair(struct world *world, const struct world_player *player,
                          const struct world_squad *squad, const Mmorts__World__Command *command,
                          struct world_result *result);
bool world_command_cancel_build(struct world *world, const struct world_player *player,
                                const Mmorts__World__Command *command, struct world_result *result);
bool world_command_rally(struct world *world, const struct world_player *player,
                         const Mmorts__World__Command *command, struct world_result *result);

// A bill came to nothing: the command that left it does not count any more for the next one's
// cooldown. The player's hash is the caller's.
void world_command_give_back(struct world_player *player, const struct world_bill *bill);

// A bill is paid: looks at everything once more and begins the building.
bool world_build_paid(struct world *world, const struct world_player *player,
                      const struct world_squad *squad, const struct world_bill *bill,
                      struct world_result *result);

#endif
