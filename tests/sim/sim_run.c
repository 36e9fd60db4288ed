#include "tests/sim/sim_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One seed from beginning to end.

enum { CALM_ROUNDS = 400 };

const char *const sim_fault_names[SIM_FAULT_COUNT] = {
    [SIM_FAULT_NONE] = "none",
    [SIM_FAULT_LOST_REPLAY_FRAME] = "lost_replay_frame",
    [SIM_FAULT_VIEW_FROM_WRONG_TICK] = "view_from_wrong_tick",
    [SIM_FAULT_TICK_GOES_BACK] = "tick_goes_back",
    [SIM_FAULT_OWNER_ONLY_LEAKED] = "owner_only_leaked",
    [SIM_FAULT_UNEXPLORED_HEX_TOLD] = "unexplored_hex_told",
    [SIM_FAULT_PUBLISHED_BEFORE_DURABLE] = "published_before_durable",
    [SIM_FAULT_TICKS_USED_TWICE] = "ticks_used_twice",
    [SIM_FAULT_INPUT_LOST_IN_RECOVERY] = "input_lost_in_recovery",
    [SIM_FAULT_SHARE_NOT_SAVED] = "share_not_saved",
    [SIM_FAULT_EXPLORED_NOT_SAVED] = "explored_not_saved",
    [SIM_FAULT_UPDATE_DROPPED] = "update_dropped",
    [SIM_FAULT_DESPAWN_DROPPED] = "despawn_dropped",
    [SIM_FAULT_JOB_NOT_SAVED] = "job_not_saved",
    [SIM_FAULT_STEP_ASTRAY] = "step_astray",
    [SIM_FAULT_NUMBER_OFF_BY_ONE] = "number_off_by_one",
    [SIM_FAULT_STEP_TWICE] = "step_twice",
    [SIM_FAULT_RESUMED_TOO_LATE] = "resumed_too_late",
    [SIM_FAULT_RESUMED_BEFORE_FULL] = "resumed_before_full",
    [SIM_FAULT_OWED_FORGOTTEN] = "owed_forgotten",
    [SIM_FAULT_RETURN_NOT_TOLD] = "return_not_told",
    [SIM_FAULT_TARGET_NOT_TOLD] = "target_not_told",
    [SIM_FAULT_NOT_ALIGNED] = "not_aligned",
    [SIM_FAULT_ALIGNED_TAKEN_FOR_TOLD] = "aligned_taken_for_told",
    [SIM_FAULT_OTHERS_FORGOTTEN] = "others_forgotten",
    [SIM_FAULT_SET_NOT_AWAITED] = "set_not_awaited",
    [SIM_FAULT_OLDER_SET_WINS] = "older_set_wins",
    [SIM_FAULT_SET_IN_EFFECT_LATE] = "set_in_effect_late",
};

void sim_fail(struct sim *sim, const char *format, ...)
{
    if (sim_failed(sim))
        return;
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(sim->report->failure, sizeof sim->report->failure, "seed %llu round %llu: %s",
             (unsigned long long)sim->options.seed, (unsigned long long)sim->round, text);
}

void sim_tell(const struct sim *sim, const char *format, ...)
{
    if (!sim->options.verbose)
        return;
    fprintf(stderr, "round %llu: ", (unsigned long long)sim->round);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static struct sim *sim_new(const struct sim_options *options, struct sim_report *report)
{
    static struct sim_moment *history; // large, and all that is read of it is written before
    struct sim *sim = calloc(1, sizeof *sim);
    if (!history)
        history = calloc(SIM_HISTORY, sizeof *history);
    if (!sim || !history)
        abort();
    memset(report, 0, sizeof *report);
    for (size_t i = 0; i < SIM_HISTORY; i++)
        history[i].tick = history[i].lineage = 0;
    sim->options = *options;
    sim->report = report;
    sim->history = history;
    sim->rules = sim_rules_new();
    mm_rng_seed(&sim->rng, options->seed);
    for (size_t i = 0; i < SIM_WHEEL; i++)
        mm_vec_init(&sim->wheel[i], 1 << 16);
    sim_weather_choose(sim);
    sim->rules->sight.terrain_blocks = sim->terrain_blocks;
    sim_world_init(sim);
    sim_vision_init(sim);
    sim_production_init(sim);
    sim_sync_init(sim);
    return sim;
}

static void sim_free(struct sim *sim)
{
    sim_sync_free(sim);
    sim_vision_free(sim);
    sim_production_free(sim);
    sim_world_free(sim);
    sim_mail_free(sim);
    free(sim->rules);
    free(sim);
}

static void one_round(struct sim *sim)
{
    sim_play_round(sim);
    sim_world_round(sim);
    sim_vision_round(sim);
    sim_production_round(sim);
    sim_sync_round(sim);
    sim_readers_tick(sim);
    sim_deliver_due(sim);
    sim_sync_deliver(sim);
    sim->round++;
}

// Nothing breaks any more: everybody must come to see all there is.
static void settle(struct sim *sim)
{
    sim->calm = true;
    memset(sim->cut_until, 0, sizeof sim->cut_until);
    sim->store_away_until = 0;
    for (unsigned i = 0; i < CALM_ROUNDS && !sim_failed(sim); i++)
        one_round(sim);
    for (size_t i = 0; i < SIM_CLIENTS && !sim_failed(sim); i++) {
        const struct sim_client *client = &sim->clients[i];
        const struct sync_view *view = sim_seat_of(sim, client)->view;
        if (!client->exists)
            continue;
        if (client->state != SIM_PLAYING || !view || view->state != SYNC_VIEW_LIVE ||
            client->full.active || client->player.tick + 25 < sim->world.published)
            sim_fail(sim,
                     "in calm weather player %zu is not served: state %d, view %d, tick %llu of "
                     "%llu",
                     i + 1, (int)client->state, view ? (int)view->state : -1,
                     (unsigned long long)client->player.tick,
                     (unsigned long long)sim->world.published);
    }
}

bool sim_run(const struct sim_options *options, struct sim_report *report)
{
    struct sim *sim = sim_new(options, report);
    while (sim->round < options->ticks && !sim_failed(sim))
        one_round(sim);
    if (!sim_failed(sim))
        settle(sim);
    bool fine = !sim_failed(sim);
    sim_free(sim);
    return fine;
}
