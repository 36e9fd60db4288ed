#include "tests/sim/sim_internal.h"

// What players and fate do.

void sim_weather_choose(struct sim *sim)
{
    struct sim_weather *w = &sim->weather;
    *w = (struct sim_weather){.commit_max = 2,
                              .delay_max = 1,
                              .reconnect = 8,
                              .again = 8,
                              .slow = 15,
                              .share = 60,
                              .spawn = 250,
                              .despawn = 60,
                              .change = 600,
                              .command = 700,
                              .train = 300};
    // Low, so that it is reached, or out of reach.
    sim->memories_max = sim_chance(sim, 4000) ? 6 : SIM_MEMORIES_MANY;
    sim->terrain_blocks = sim_chance(sim, 3000);
    sim->beacons_only = sim_chance(sim, 3000);
    sim->save_rows = sim_chance(sim, 4000) ? 1 + (uint32_t)sim_below(sim, 8) : 1 << 20;
    sim->resume_ticks = sim_chance(sim, 8000) ? 40 + (uint32_t)sim_below(sim, 300) : 0;
    sim->several = sim_chance(sim, 4000);
    sim->parts = sim_chance(sim, 5000);
    if (sim->parts && sim_chance(sim, 5000)) {
        sim->resume_ticks = 0; // views come and go with their clients
        w->reconnect *= 4;
    }
    // Each seed has its own climate, from fair to foul.
    if (sim_chance(sim, 6000))
        w->delay_max = 1 + (uint32_t)sim_below(sim, 6);
    if (sim->parts)
        w->delay_max += (uint32_t)sim_below(sim, 3);
    if (sim_chance(sim, 5000))
        w->loss = (uint32_t)sim_below(sim, 300);
    if (sim_chance(sim, 5000))
        w->doubled = (uint32_t)sim_below(sim, 500);
    if (sim_chance(sim, 5000))
        w->partition = (uint32_t)sim_below(sim, 25);
    if (sim_chance(sim, 6000))
        w->world_crash = (uint32_t)sim_below(sim, 25);
    if (sim_chance(sim, 6000))
        w->vision_crash = (uint32_t)sim_below(sim, 30);
    if (sim_chance(sim, 4000))
        w->sync_crash = (uint32_t)sim_below(sim, 20);
    if (sim_chance(sim, 4000))
        w->production_crash = (uint32_t)sim_below(sim, 20);
    if (sim_chance(sim, 4000)) {
        w->store_away = (uint32_t)sim_below(sim, 15);
        w->commit_max = (uint32_t)sim_below(sim, 6);
    }
    if (sim_chance(sim, 2000))
        w->change *= 3;
    if (sim_chance(sim, 2000))
        w->spawn *= 3;
}

// One that plays, if there are not many who do not.
static const struct sim_client *random_client(struct sim *sim)
{
    const struct sim_client *client = &sim->clients[sim_below(sim, SIM_CLIENTS)];
    return client->exists ? client : &sim->clients[(size_t)(client - sim->clients) % SIM_EMPIRES];
}

static void random_command(struct sim *sim)
{
    const struct sim_client *client = random_client(sim);
    const struct sim_player *player = &client->player;
    if (client->state != SIM_PLAYING || player->entity_count == 0 || !sim->world.up)
        return;
    struct sim_message command = {.kind = SIM_COMMAND,
                                  .from = SIM_SYNC,
                                  .to = SIM_WORLD,
                                  .a = sim_player_of(sim, client),
                                  .b = sim_seat_of(sim, client)->next_seq++,
                                  .flag = sim_chance(sim, 800),
                                  .epoch = sim_chance(sim, 2000)};
    uint32_t first = (uint32_t)sim_below(sim, player->entity_count);
    for (uint32_t i = 0; i < player->entity_count && command.seq < 4; i++) {
        const struct sim_known *known = &player->entities[(first + i) % player->entity_count];
        // One's own, and now and then somebody else's.
        if (sim_types[known->type].ticks_per_hex &&
            (known->owner == player->empire || sim_chance(sim, 200)) && sim_chance(sim, 6000))
            command.units[command.seq++] = known->id;
    }
    // To where somebody else is, or anywhere.
    const struct sim_moment *now = sim_moment(sim, sim->world.published);
    command.q = (int32_t)sim_below(sim, 44) - 22;
    command.r = (int32_t)sim_below(sim, 44) - 22;
    if (now->count > 0 && sim_chance(sim, 6000)) {
        const struct sim_entity *other = &now->entities[sim_below(sim, now->count)];
        command.q = other->q + (int32_t)sim_below(sim, 7) - 3;
        command.r = other->r + (int32_t)sim_below(sim, 7) - 3;
    }
    if (command.seq > 0)
        sim_send(sim, command);
}

// Begins a job somewhere, or ends one.
static void random_job(struct sim *sim)
{
    const struct sim_client *client = random_client(sim);
    const struct sim_player *player = &client->player;
    if (client->state != SIM_PLAYING)
        return;
    struct sim_message train = {.kind = SIM_TRAIN,
                                .from = SIM_SYNC,
                                .to = SIM_PRODUCTION,
                                .a = sim_player_of(sim, client),
                                .b = sim_seat_of(sim, client)->next_seq++,
                                .tick = player->empire,
                                .q = (int32_t)sim_below(sim, 2),
                                .seq = 1 + sim_below(sim, 3)};
    if (player->job_count > 0 && sim_chance(sim, 2000)) {
        train.flag = true;
        train.units[0] = player->jobs[sim_below(sim, player->job_count)];
    }
    for (uint32_t i = 0; i < player->entity_count && !train.units[0]; i++)
        if (sim_types[player->entities[i].type].kind == MMORTS__FRAME__KIND__KIND_BUILDING &&
            sim_chance(sim, 5000))
            train.units[0] = player->entities[i].id;
    if (train.units[0])
        sim_send(sim, train);
}

static void random_share(struct sim *sim)
{
    // With one of three alliances, or (seq 0) with another empire.
    uint64_t alliance = sim_chance(sim, 4000) ? 1 + sim_below(sim, 3) : 0;
    sim_send(sim, (struct sim_message){.kind = SIM_SHARE,
                                       .from = SIM_SYNC,
                                       .to = SIM_VISION,
                                       .seq = alliance,
                                       .a = 1 + sim_below(sim, SIM_EMPIRES),
                                       .b = 1 + sim_below(sim, SIM_EMPIRES),
                                       .flag = sim_chance(sim, 5000)});
}

static void cut(struct sim *sim)
{
    enum sim_node x = (enum sim_node)sim_below(sim, SIM_NODES);
    enum sim_node y = (enum sim_node)sim_below(sim, SIM_NODES);
    uint64_t rounds = sim_chance(sim, 2000) ? sim_below(sim, 250) : sim_below(sim, 40);
    sim->cut_until[x][y] = sim->round + rounds;
    if (sim_chance(sim, 7000)) // else messages pass one way only
        sim->cut_until[y][x] = sim->round + rounds;
    sim_tell(sim, "the network is cut between %d and %d for %llu rounds", (int)x, (int)y,
             (unsigned long long)rounds);
}

static void fate(struct sim *sim)
{
    const struct sim_weather *w = &sim->weather;
    if (sim_chance(sim, w->partition))
        cut(sim);
    if (sim_chance(sim, w->store_away)) {
        sim->store_away_until = sim->round + sim_below(sim, 60);
        sim_tell(sim, "the store is away");
    }
    bool world_up = sim->world.up, vision_up = sim->vision.up;
    bool both = sim_chance(sim, 1500); // if any
    if (sim_chance(sim, w->world_crash)) {
        sim_world_crash(sim);
        if (both)
            sim_vision_crash(sim);
    }
    if (sim_chance(sim, w->vision_crash)) {
        sim_vision_crash(sim);
        if (both)
            sim_world_crash(sim);
    }
    if (sim->vision.between && sim_chance(sim, 40))
        sim_vision_crash(sim);
    sim->report->both_crashes += (world_up || vision_up) && !sim->world.up && !sim->vision.up;
    if (sim_chance(sim, w->sync_crash))
        sim_sync_crash(sim);
    if (sim_chance(sim, w->production_crash))
        sim_production_crash(sim);
}

void sim_play_round(struct sim *sim)
{
    if (!sim->calm)
        fate(sim);
    if (sim_chance(sim, sim->weather.command))
        random_command(sim);
    if (sim_chance(sim, sim->weather.share))
        random_share(sim);
    if (sim_chance(sim, sim->weather.train))
        random_job(sim);
}
