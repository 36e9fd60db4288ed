#include "tests/sim/sim_internal.h"

#include <string.h>

// Going on where one stopped, as services/sync/trails.c does it: who comes back, perhaps while
// others of its player stayed, and who did not read for a while.

bool sim_trail_keep(struct sim *sim, struct sim_client *client)
{
    struct sim_seat *seat = sim_seat_of(sim, client);
    struct sim_trail *trail = &client->trail;
    if (sim->resume_ticks == 0 || trail->first_tick == 0 || seat->view->state != SYNC_VIEW_LIVE)
        return false;
    trail->encoding = client->encoding;
    trail->told_tick = client->updated_tick;
    trail->generation = seat->view->generation;
    trail->until = sim->round + sim->resume_ticks;
    if (seat->trail_count == SIM_TRAILS)
        memmove(seat->trails, seat->trails + 1, --seat->trail_count * sizeof *seat->trails);
    seat->trails[seat->trail_count++] = *trail;
    return true;
}

void sim_trails_expire(struct sim *sim, struct sim_seat *seat)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < seat->trail_count; i++)
        if (seat->trails[i].until > sim->round)
            seat->trails[kept++] = seat->trails[i];
    seat->trail_count = kept;
}

static bool prepare(struct sim *sim, const struct sim_client *client, const struct sim_trail *trail,
                    struct sync_position position)
{
    struct sim_sync *sync = &sim->sync;
    struct sync_view *view = sim_seat_of(sim, client)->view;
    if (sim->options.fault == SIM_FAULT_RESUMED_TOO_LATE && position.tick < sync->core.mirror.tick)
        position.settled = ++position.tick;
    // Of a tick to which it was led it may have been told the number alone.
    if (trail->aligned && position.settled == position.tick && position.settled > 0 &&
        sim->options.fault != SIM_FAULT_ALIGNED_TAKEN_FOR_TOLD)
        position.settled--;
    struct sync_place_in_stream place = {position, trail->generation, trail->names_epoch};
    mm_buf_reset(&sync->out);
    return sync_resume_possible(&sync->core, view, &place) &&
           sync_resume_begin(&sync->core, view, client->encoding, &place, &sync->out, &sync->news);
}

bool sim_trail_catch_up(struct sim *sim, struct sim_client *client)
{
    if (sim->resume_ticks == 0 || client->trail.first_tick == 0)
        return false;
    client->trail.generation = sim_seat_of(sim, client)->view->generation;
    bool caught_up = prepare(sim, client, &client->trail,
                             (struct sync_position){client->settled_tick, client->updated_tick});
    sim->report->catch_ups += caught_up;
    return caught_up;
}

static struct sim_trail *find(struct sim_seat *seat, uint64_t secret)
{
    for (uint32_t i = 0; i < seat->trail_count; i++)
        if (seat->trails[i].secret == secret)
            return &seat->trails[i];
    return NULL;
}

// Whether what the client says of itself is a place from which it can go on: then it does.
bool sim_trail_resume(struct sim *sim, struct sim_client *client)
{
    struct sim_seat *seat = sim_seat_of(sim, client);
    const struct sim_player *player = &client->player;
    struct sync_position position = {player->settled_tick, player->last_tick};
    struct sim_trail *trail = find(seat, player->token);
    if (sim->resume_ticks == 0 || !trail || player->token == 0 || !player->complete ||
        position.tick < trail->first_tick || position.tick > trail->told_tick ||
        trail->encoding != client->encoding || !prepare(sim, client, trail, position))
        return false;
    client->trail = *trail;
    client->settled_tick = position.settled;
    client->updated_tick = position.tick;
    uint32_t at = (uint32_t)(trail - seat->trails);
    memmove(trail, trail + 1, (--seat->trail_count - at) * sizeof *trail);
    return true;
}

void sim_trail_told_all(struct sim *sim, struct sim_client *client)
{
    const struct sync_view *view = sim_seat_of(sim, client)->view;
    uint64_t tick = sim->sync.core.mirror.tick;
    // Who knows this tick from before may have received nothing of this.
    bool known = client->updated_tick >= tick || client->tick_min >= tick;
    client->trail.first_tick =
        known && sim->options.fault != SIM_FAULT_RESUMED_BEFORE_FULL ? tick + 1 : tick;
    client->trail.generation = view->generation;
    client->trail.names_epoch = view->names_epoch;
    client->trail.aligned = false;
}
