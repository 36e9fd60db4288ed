#include "services/world/core/state.h"

uint64_t world_tick(const struct world *world)
{
    return world->tick;
}

bool world_is_paused(const struct world *world)
{
    return world->paused;
}

const struct world_rules *world_rules_of(const struct world *world)
{
    return &world->rules;
}

uint64_t world_seed(const struct world *world)
{
    return world->seed;
}

uint32_t world_empire_count(const struct world *world)
{
    return (uint32_t)world->empires.count;
}

uint32_t world_entity_count(const struct world *world)
{
    return world->ecs.alive_count;
}

uint32_t world_mover_count(const struct world *world)
{
    return world->ecs.columns[WORLD_MOVER].row_count;
}

uint32_t world_chunk_count(const struct world *world)
{
    return world->map.chunk_count;
}

uint32_t world_paths_waiting(const struct world *world)
{
    return (uint32_t)(world->queue.count - world->queue_head);
}

uint64_t world_catalogue_version(const struct world *world)
{
    return world->rules_hash != 0 ? world->rules_hash : 1;
}

bool world_entity_at_slot(const struct world *world, uint32_t slot, struct world_entity_view *out)
{
    if (slot == WORLD_SLOT_NONE || !world_ecs_alive(&world->ecs, slot))
        return false;
    const struct world_ecs *ecs = &world->ecs;
    const struct world_identity *identity = WORLD_GET(ecs, WORLD_IDENTITY, world_identity, slot);
    const struct world_place *place = WORLD_GET(ecs, WORLD_PLACE, world_place, slot);
    const struct world_site *site = WORLD_GET(ecs, WORLD_SITE, world_site, slot);
    *out = (struct world_entity_view){
        .progress =
            world_site_open(site) ? (uint32_t)((uint64_t)site->work * 1000 / site->needed) : 1000,
        .slot = slot,
        .id = mm_id_from_serial(&world->entity_key, identity->serial),
        .type = identity->type,
        .owner = identity->owner,
        .at = {place->q, place->r},
        .health = WORLD_GET(ecs, WORLD_HEALTH, world_health, slot)->value,
        .activity = WORLD_GET(ecs, WORLD_ACTIVITY, world_activity, slot)->value,
    };
    return true;
}

bool world_find_entity(const struct world *world, uint64_t id, struct world_entity_view *out)
{
    return world_entity_at_slot(world, world_slot_of_id(world, id), out);
}

bool world_next_entity(const struct world *world, uint32_t *cursor, struct world_entity_view *out)
{
    uint32_t slot = world_ecs_next(&world->ecs, *cursor);
    if (slot == WORLD_SLOT_NONE)
        return false;
    *cursor = slot;
    return world_entity_at_slot(world, slot, out);
}

bool world_empire(const struct world *world, uint32_t number, struct world_empire_view *out)
{
    if (number == 0 || number > world->empires.count)
        return false;
    const struct world_empire_row *row = &world->empires.items[number - 1];
    const struct world_player *player = world_player_find(world, row->player_id);
    *out = (struct world_empire_view){
        .number = number,
        .id = world_empire_public_id(world, number),
        .player_id = row->player_id,
        .name = player ? player->name : "",
        .home = row->home,
        .last_client_seq = player ? player->last_client_seq : 0,
    };
    return true;
}

bool world_empire_of_player(const struct world *world, uint64_t player_id,
                            struct world_empire_view *out)
{
    const struct world_player *player = world_player_find(world, player_id);
    return player && world_empire(world, player->empire, out);
}

int world_terrain_at(const struct world *world, struct hex_axial at)
{
    uint32_t cell = world_map_cell(&world->map, at);
    return cell == WORLD_CELL_NONE ? -1 : world->map.terrain[cell];
}
