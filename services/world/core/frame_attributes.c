#include "services/world/core/frame.h"

// Which component an attribute is in, and what an entity has that was never told otherwise.
struct attribute {
    Mmorts__Frame__Attribute attribute;
    enum world_component_id component;
    int32_t (*value)(const struct world *world, uint32_t slot);
    int32_t (*fallback)(const struct world *world, uint32_t slot);
};

static int32_t value_health(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_HEALTH, world_health, slot)->value;
}
static int32_t fallback_health(const struct world *world, uint32_t slot)
{
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    return (int32_t)world->rules.types[identity->type].health_max;
}
static int32_t value_owner(const struct world *world, uint32_t slot)
{
    return (int32_t)WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->owner;
}
static int32_t value_activity(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_ACTIVITY, world_activity, slot)->value;
}
static int32_t value_amount(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_AMOUNT, world_amount, slot)->value;
}
static int32_t value_target_q(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slot)->goal_q;
}
static int32_t value_target_r(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_ROUTE, world_route, slot)->goal_r;
}

static int32_t value_carried(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_CARGO, world_cargo, slot)->amount;
}

static int32_t value_sight(const struct world *world, uint32_t slot)
{
    return !world_is_blind(world, slot);
}
static int32_t fallback_sight(const struct world *world, uint32_t slot)
{
    (void)world;
    (void)slot;
    return 1;
}

static int32_t value_sight_hexes(const struct world *world, uint32_t slot)
{
    return (int32_t)world_sight_hexes(world, slot);
}
static int32_t value_sight_type(const struct world *world, uint32_t slot)
{
    return (int32_t)world_sight_type(world, slot);
}
static int32_t value_stealthed(const struct world *world, uint32_t slot)
{
    return world_is_stealthed(world, slot);
}
static const struct world_type *type_of(const struct world *world, uint32_t slot)
{
    return &world->rules.types[WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot)->type];
}
static int32_t fallback_sight_hexes(const struct world *world, uint32_t slot)
{
    return (int32_t)type_of(world, slot)->sight_hexes;
}
static int32_t fallback_sight_type(const struct world *world, uint32_t slot)
{
    return (int32_t)type_of(world, slot)->sight_type;
}
static int32_t fallback_stealthed(const struct world *world, uint32_t slot)
{
    return (type_of(world, slot)->flags & MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH) != 0;
}

static int32_t value_progress(const struct world *world, uint32_t slot)
{
    const struct world_site *site = WORLD_GET(&world->ecs, WORLD_SITE, world_site, slot);
    return world_site_open(site) ? (int32_t)((uint64_t)site->work * 1000 / site->needed) : 1000;
}
static int32_t fallback_progress(const struct world *world, uint32_t slot)
{
    (void)world;
    (void)slot;
    return 1000;
}

static int32_t value_rally_q(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_RALLY, world_rally, slot)->q;
}
static int32_t value_rally_r(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_RALLY, world_rally, slot)->r;
}

static int32_t value_rank(const struct world *world, uint32_t slot)
{
    return WORLD_GET(&world->ecs, WORLD_VETERAN, world_veteran, slot)->rank;
}

static const struct attribute attributes[] = {
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH, WORLD_HEALTH, value_health, fallback_health},
    // The spawn tells whose it is.
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER, WORLD_IDENTITY, value_owner, value_owner},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_ACTIVITY, WORLD_ACTIVITY, value_activity, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_AMOUNT, WORLD_AMOUNT, value_amount, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_CARRIED, WORLD_CARGO, value_carried, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_ENABLED, WORLD_SIGHT, value_sight, fallback_sight},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_HEXES, WORLD_SIGHT, value_sight_hexes,
     fallback_sight_hexes},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_TYPE, WORLD_SIGHT, value_sight_type,
     fallback_sight_type},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_STEALTHED, WORLD_SIGHT, value_stealthed,
     fallback_stealthed},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_PROGRESS, WORLD_SITE, value_progress, fallback_progress},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RANK, WORLD_VETERAN, value_rank, NULL},
    // A target has no default: where there is one it is told, be it 0.
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_TARGET_Q, WORLD_ROUTE, value_target_q, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_TARGET_R, WORLD_ROUTE, value_target_r, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RALLY_Q, WORLD_RALLY, value_rally_q, NULL},
    {MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_RALLY_R, WORLD_RALLY, value_rally_r, NULL},
};
enum { ATTRIBUTES = sizeof attributes / sizeof attributes[0] };

// Fresh entities, and everybody in a snapshot, are told of only where they differ from the default.
static bool told(const struct world_frame_maker *maker, const struct attribute *attribute,
                 uint32_t slot, int32_t value)
{
    if (attribute->component == WORLD_ROUTE || attribute->component == WORLD_RALLY)
        return true;
    // Most who have the component were only blind for a while.
    if (attribute->component == WORLD_SIGHT && attribute->value != value_sight &&
        WORLD_GET(&maker->world->ecs, WORLD_SIGHT, world_sight, slot)->own == 0)
        return false;
    if (attribute->component == WORLD_VETERAN)
        return value != 0; // a rank is never lost while the session runs
    if (!maker->full && !mm_bitset_get(maker->world->ecs.spawned, slot))
        return true;
    return value != (attribute->fallback ? attribute->fallback(maker->world, slot) : 0);
}

static Mmorts__Frame__AttributeColumn *gather_attribute(struct world_frame_maker *maker,
                                                        const struct attribute *attribute)
{
    size_t count = 0;
    WORLD_FRAME_EACH(maker, attribute->component, slot, true)
    {
        int32_t value = attribute->value(maker->world, (uint32_t)slot);
        count += told(maker, attribute, (uint32_t)slot, value);
    }
    if (count == 0)
        return NULL;
    Mmorts__Frame__AttributeColumn *column = world_frame_take(maker, 1, sizeof *column);
    if (maker->failed)
        return NULL;
    mmorts__frame__attribute_column__init(column);
    column->attribute = attribute->attribute;
    WORLD_FRAME_TAKE(maker, column->entity, count);
    WORLD_FRAME_TAKE(maker, column->value, count);
    if (maker->failed)
        return NULL;
    WORLD_FRAME_EACH(maker, attribute->component, slot, true)
    {
        int32_t value = attribute->value(maker->world, (uint32_t)slot);
        if (!told(maker, attribute, (uint32_t)slot, value))
            continue;
        column->entity[column->n_entity++] = (uint32_t)slot;
        column->value[column->n_value++] = value;
    }
    return column;
}

void world_frame_attributes(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame)
{
    WORLD_FRAME_TAKE(maker, frame->columns, ATTRIBUTES);
    for (int i = 0; !maker->failed && i < ATTRIBUTES; i++) {
        Mmorts__Frame__AttributeColumn *column = gather_attribute(maker, &attributes[i]);
        if (column)
            frame->columns[frame->n_columns++] = column;
    }
}
