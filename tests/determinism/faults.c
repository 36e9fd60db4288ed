// What must never be in a core, planted to see that test_determinism.c catches it. The linker puts
// these functions in the place of the core's own (ld's --wrap), so the core has no trace of them.

#include "tests/determinism/faults.h"

#include "libcommon/base/hash.h"
#include "services/world/core/state.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static enum { NONE, CLOCK, UNINITIALISED, ADDRESS_ORDER, RACE } fault;

bool fault_choose(const char *name)
{
    if (!name)
        fault = NONE;
    else if (strcmp(name, "clock") == 0)
        fault = CLOCK;
    else if (strcmp(name, "uninitialised") == 0)
        fault = UNINITIALISED;
    else if (strcmp(name, "address-order") == 0)
        fault = ADDRESS_ORDER;
    else if (strcmp(name, "race") == 0)
        fault = RACE;
    else
        return false;
    return true;
}

// Paths are planned only as long as there is time: here, in every other microsecond or so.
void __real_world_system_plan(struct world *world);
void __wrap_world_system_plan(struct world *world);
void __wrap_world_system_plan(struct world *world)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (fault != CLOCK || now.tv_nsec / 1000 % 2 == 0)
        __real_world_system_plan(world);
}

// A queued order replaces the others or not by what a fresh block happens to hold: what is left
// there by whoever had it before, an address among it.
bool __real_world_order_give(struct world *world, uint32_t slot, const struct world_order *order,
                             bool queued);
bool __wrap_world_order_give(struct world *world, uint32_t slot, const struct world_order *order,
                             bool queued);
bool __wrap_world_order_give(struct world *world, uint32_t slot, const struct world_order *order,
                             bool queued)
{
    if (fault == UNINITIALISED) {
        volatile uint64_t *fresh = malloc(64);
        queued = queued && (mm_mix64(fresh[0]) & 1);
        free((void *)(uintptr_t)fresh);
    }
    return __real_world_order_give(world, slot, order, queued);
}

// Inputs are gone through as a table keyed by pointers would have them.
static int by_address(const void *a, const void *b)
{
    uint64_t x = mm_mix64((uint64_t) * (const uintptr_t *)a);
    uint64_t y = mm_mix64((uint64_t) * (const uintptr_t *)b);
    return (x > y) - (x < y);
}

void __real_world_step(struct world *world, const world_input *const *inputs, size_t count,
                       struct mm_arena *arena, struct world_result *results);
void __wrap_world_step(struct world *world, const world_input *const *inputs, size_t count,
                       struct mm_arena *arena, struct world_result *results);
void __wrap_world_step(struct world *world, const world_input *const *inputs, size_t count,
                       struct mm_arena *arena, struct world_result *results)
{
    if (fault == ADDRESS_ORDER && count > 1)
        qsort((void *)(uintptr_t)inputs, count, sizeof *inputs, by_address);
    __real_world_step(world, inputs, count, arena, results);
}

// Parts add to one sum instead of each to its own: what another adds meanwhile is lost.
void __real_world_ecs_settle_words(struct world_ecs *ecs, size_t from, size_t to,
                                   uint64_t sums[WORLD_COMPONENTS]);
void __wrap_world_ecs_settle_words(struct world_ecs *ecs, size_t from, size_t to,
                                   uint64_t sums[WORLD_COMPONENTS]);
void __wrap_world_ecs_settle_words(struct world_ecs *ecs, size_t from, size_t to,
                                   uint64_t sums[WORLD_COMPONENTS])
{
    if (fault != RACE) {
        __real_world_ecs_settle_words(ecs, from, to, sums);
        return;
    }
    uint64_t seen[WORLD_COMPONENTS];
    for (int id = 0; id < WORLD_COMPONENTS; id++)
        seen[id] = ecs->columns[id].hash_sum;
    __real_world_ecs_settle_words(ecs, from, to, sums);
    sched_yield();
    for (int id = 0; id < WORLD_COMPONENTS; id++) {
        ecs->columns[id].hash_sum = seen[id] + sums[id];
        sums[id] = 0;
    }
}
