#include "services/world/core/schedule.h"

#include "services/world/core/state.h"
#include <stdio.h>
#include <string.h>

static enum mm_err refuse(char *problem, size_t problem_bytes, const struct world_system *a,
                          const char *what, const char *b)
{
    snprintf(problem, problem_bytes, "system %s %s %s", a->name ? a->name : "?", what, b);
    return MM_FAILED_PRECONDITION;
}

enum mm_err world_schedule_check(const struct world_system *systems, size_t count, char *problem,
                                 size_t problem_bytes)
{
    if (count > WORLD_SYSTEMS_MAX) {
        snprintf(problem, problem_bytes, "more than %d systems", WORLD_SYSTEMS_MAX);
        return MM_FAILED_PRECONDITION;
    }
    for (size_t i = 0; i < count; i++) {
        const struct world_system *a = &systems[i];
        if (!a->name || !a->run)
            return refuse(problem, problem_bytes, a, "lacks a name or", "a function");
        if (a->every == 0 || a->offset >= a->every)
            return refuse(problem, problem_bytes, a, "has no period above its", "offset");
        if (a->stage >= WORLD_STAGES_MAX || (i > 0 && a->stage < systems[i - 1].stage))
            return refuse(problem, problem_bytes, a, "is not in the order of", "stages");
        for (size_t j = 0; j < i; j++) {
            const struct world_system *b = &systems[j];
            if (strcmp(a->name, b->name) == 0)
                return refuse(problem, problem_bytes, a, "is there twice, as", b->name);
            bool clash = (a->writes & (b->reads | b->writes)) || (b->writes & a->reads);
            if (a->stage == b->stage && clash)
                return refuse(problem, problem_bytes, a, "conflicts in its stage with", b->name);
        }
    }
    return MM_OK;
}

void world_schedule_run(struct world *world, const struct world_system *systems, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct world_system *system = &systems[i];
        if (world->tick % system->every == system->offset) {
            if (world->hook)
                world->hook(world->hook_ctx, i, system->name, true);
            world->ecs.writable = system->writes;
            system->run(world);
            world->ecs.writable = UINT32_MAX;
            if (world->hook)
                world->hook(world->hook_ctx, i, system->name, false);
        }
        if (i + 1 == count || systems[i + 1].stage != system->stage)
            world_flush(world);
    }
}
