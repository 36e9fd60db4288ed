#ifndef TESTS_SUPPORT_SOAK_H
#define TESTS_SUPPORT_SOAK_H

#include "tests/support/payer.h"
#include "tests/support/world_rig.h"

// Players who give a world process every order there is, and a production that spawns and is paid,
// while the process is killed and started again; and what must hold all the same: nothing that was
// acknowledged is lost, nothing is carried out twice, nothing is paid for that does not stand.
struct soak;

// Serves production at `<rig's folder>/production`; founds the empires. The rig's process must have
// been started with soak_production(rig).
struct soak *soak_new(struct world_rig *rig, uint64_t seed);
void soak_free(struct soak *soak);

// "MMORTS_PRODUCTION_RPC=...", for the process's settings. Lives as long as the program.
const char *soak_production(const struct world_rig *rig);

// Gives orders and spawns for a while.
void soak_play(struct soak *soak, uint32_t ms);

// Everything acknowledged so far is there, once; the test ends if not.
void soak_check_commands(struct soak *soak);
void soak_check_spawns(struct soak *soak);
// For every empire and item: what production took, less what world gave back, is what the buildings
// cost that stand there.
void soak_check_stock(struct soak *soak);
// Every kind of order was accepted, and every way of paying came up: how soon is a matter of luck
// and of the machine. NULL if so, otherwise what is missing (valid until the next call).
const char *soak_missing(const struct soak *soak);
// One line of figures.
void soak_print(const struct soak *soak);

struct mm_rng *soak_rng(struct soak *soak);

#endif
