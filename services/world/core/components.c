#include "services/world/core/components.h"

#include "libcommon/base/hash.h"
#include <string.h>

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15) // 2^64 over the golden ratio

#define FIELD(type, member)                                                                        \
    {                                                                                              \
#member, offsetof(struct type, member), sizeof(((struct type *)0)->member), 0, 1, 0, 0     \
    }
// One that states before this version have not.
#define FIELD_SINCE(version, type, member)                                                         \
    {                                                                                              \
#member, offsetof(struct type, member), sizeof(((struct type *)0)->member), 0, 1, 0,       \
            version                                                                                \
    }
#define RAW(type, member)                                                                          \
    {                                                                                              \
#member, offsetof(struct type, member), 0, sizeof(((struct type *)0)->member), 1, 0, 0     \
    }
#define EACH(type, list, member, element, n)                                                       \
    {                                                                                              \
#list "." #member, offsetof(struct type, list) + offsetof(struct element, member),         \
            sizeof(((struct element *)0)->member), 0, n, sizeof(struct element), 0                 \
    }

static const struct world_field identity_fields[] = {
    FIELD(world_identity, serial),
    FIELD(world_identity, owner),
    FIELD(world_identity, type),
    FIELD(world_identity, kind),
};
static const struct world_field place_fields[] = {
    FIELD(world_place, q),
    FIELD(world_place, r),
    FIELD(world_place, cell),
};
static const struct world_field health_fields[] = {FIELD(world_health, value)};
static const struct world_field activity_fields[] = {FIELD(world_activity, value)};
static const struct world_field amount_fields[] = {FIELD(world_amount, value)};
static const struct world_field orders_fields[] = {
    FIELD(world_orders, count),
    FIELD(world_orders, begun),
    EACH(world_orders, list, target, world_order, WORLD_ORDERS_MAX),
    EACH(world_orders, list, q, world_order, WORLD_ORDERS_MAX),
    EACH(world_orders, list, r, world_order, WORLD_ORDERS_MAX),
    EACH(world_orders, list, kind, world_order, WORLD_ORDERS_MAX),
    EACH(world_orders, list, type, world_order, WORLD_ORDERS_MAX),
};
static const struct world_field mover_fields[] = {
    FIELD(world_mover, since),   FIELD(world_mover, due),   FIELD(world_mover, next),
    FIELD(world_mover, best),    FIELD(world_mover, phase), FIELD(world_mover, blocked),
    FIELD(world_mover, replans), FIELD(world_mover, avoid),
};
static const struct world_field route_fields[] = {
    FIELD(world_route, goal_q),   FIELD(world_route, goal_r), FIELD(world_route, steps),
    FIELD(world_route, complete), RAW(world_route, packed),
};
static const struct world_field fight_fields[] = {
    FIELD(world_fight, target),   FIELD(world_fight, ready),    FIELD(world_fight, look),
    FIELD(world_fight, anchor_q), FIELD(world_fight, anchor_r), FIELD(world_fight, ordered),
    FIELD(world_fight, tries),
};
static const struct world_field gather_fields[] = {
    FIELD(world_gather, node),  FIELD(world_gather, due),   FIELD(world_gather, type),
    FIELD(world_gather, phase), FIELD(world_gather, tries), FIELD(world_gather, last),
};
static const struct world_field cargo_fields[] = {
    FIELD(world_cargo, amount),
    FIELD(world_cargo, type),
};
static const struct world_field veteran_fields[] = {
    FIELD(world_veteran, kills),
    FIELD(world_veteran, rank),
};

static const struct world_field site_fields[] = {
    FIELD(world_site, work),
    FIELD(world_site, needed),
    {"paid", offsetof(struct world_site, paid), 4, 0, WORLD_ITEMS_MAX, 4, 0},
};
static const struct world_field work_fields[] = {
    FIELD(world_work, target),
    FIELD(world_work, due),
    FIELD(world_work, phase),
    FIELD(world_work, tries),
};
static const struct world_field sight_fields[] = {
    FIELD(world_sight, off),
    FIELD_SINCE(12, world_sight, own),
    FIELD_SINCE(12, world_sight, hexes),
    FIELD_SINCE(12, world_sight, type),
    FIELD_SINCE(12, world_sight, stealthed),
};
static const struct world_field rally_fields[] = {
    FIELD(world_rally, node),
    FIELD(world_rally, q),
    FIELD(world_rally, r),
    FIELD(world_rally, type),
};

static const struct world_field camp_fields[] = {
    {"guard", offsetof(struct world_camp, guard), 8, 0, WORLD_CAMP_GUARDS_MAX, 8, 0},
    {"due", offsetof(struct world_camp, due), 8, 0, WORLD_CAMP_GUARDS_MAX, 8, 0},
    {"type", offsetof(struct world_camp, type), 2, 0, WORLD_CAMP_GUARDS_MAX, 2, 0},
    FIELD(world_camp, respawn_ticks),
    FIELD(world_camp, guard_count),
    FIELD(world_camp, roam_hexes),
};

#define COMPONENT(name, storage, type, fields)                                                     \
    {                                                                                              \
        name, storage, sizeof(struct type), sizeof(fields) / sizeof(fields)[0], fields             \
    }

const struct world_component world_components[WORLD_COMPONENTS] = {
    [WORLD_IDENTITY] = COMPONENT("identity", WORLD_TABLE, world_identity, identity_fields),
    [WORLD_PLACE] = COMPONENT("place", WORLD_TABLE, world_place, place_fields),
    [WORLD_HEALTH] = COMPONENT("health", WORLD_TABLE, world_health, health_fields),
    [WORLD_ACTIVITY] = COMPONENT("activity", WORLD_TABLE, world_activity, activity_fields),
    [WORLD_AMOUNT] = COMPONENT("amount", WORLD_SPARSE, world_amount, amount_fields),
    [WORLD_ORDERS] = COMPONENT("orders", WORLD_SPARSE, world_orders, orders_fields),
    [WORLD_MOVER] = COMPONENT("mover", WORLD_SPARSE, world_mover, mover_fields),
    [WORLD_ROUTE] = COMPONENT("route", WORLD_SPARSE, world_route, route_fields),
    [WORLD_FIGHT] = COMPONENT("fight", WORLD_SPARSE, world_fight, fight_fields),
    [WORLD_GATHER] = COMPONENT("gather", WORLD_SPARSE, world_gather, gather_fields),
    [WORLD_CARGO] = COMPONENT("cargo", WORLD_SPARSE, world_cargo, cargo_fields),
    [WORLD_SITE] = COMPONENT("site", WORLD_SPARSE, world_site, site_fields),
    [WORLD_WORK] = COMPONENT("work", WORLD_SPARSE, world_work, work_fields),
    [WORLD_SIGHT] = COMPONENT("sight", WORLD_SPARSE, world_sight, sight_fields),
    [WORLD_RALLY] = COMPONENT("rally", WORLD_SPARSE, world_rally, rally_fields),
    [WORLD_VETERAN] = COMPONENT("veteran", WORLD_SPARSE, world_veteran, veteran_fields),
    [WORLD_CAMP] = COMPONENT("camp", WORLD_SPARSE, world_camp, camp_fields),
};

static uint64_t field_value(const uint8_t *at, unsigned bytes)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (bytes) {
    case 1:
        return *at;
    case 2:
        memcpy(&u16, at, 2);
        return u16;
    case 4:
        memcpy(&u32, at, 4);
        return u32;
    default:
        memcpy(&u64, at, 8);
        return u64;
    }
}

// Every word is mixed with a constant of its own and they are summed, so that they do not wait for
// one another; the row's place closes it.
static inline uint64_t hash_words(enum world_component_id id, uint32_t slot, const uint8_t *row,
                                  size_t bytes)
{
    uint64_t sum = 0, salt = 0, word;
    for (; bytes >= 8; bytes -= 8, row += 8) {
        memcpy(&word, row, 8);
        sum += mm_mix64(word + (salt += GOLDEN));
    }
    if (bytes > 0) {
        word = 0;
        memcpy(&word, row, bytes);
        sum += mm_mix64(word + salt + GOLDEN);
    }
    return mm_mix64(sum ^ mm_mix64((uint64_t)id << 32 | slot));
}

static void put_field(uint8_t *image, const uint8_t *row, size_t offset, unsigned bytes)
{
    uint64_t value = field_value(row + offset, bytes);
    for (unsigned i = 0; i < bytes; i++)
        image[offset + i] = (uint8_t)(value >> (8 * i));
}

uint64_t world_component_hash_fields(enum world_component_id id, uint32_t slot, const void *row)
{
    const struct world_component *component = &world_components[id];
    uint8_t image[WORLD_ROW_BYTES_MAX] = {0};
    uint64_t words[WORLD_ROW_BYTES_MAX / 8] = {0};
    for (unsigned f = 0; f < component->field_count; f++) {
        const struct world_field *field = &component->fields[f];
        if (field->raw)
            memcpy(image + field->offset, (const uint8_t *)row + field->offset, field->raw);
        for (unsigned i = 0; !field->raw && i < field->count; i++)
            put_field(image, row, field->offset + (size_t)i * field->stride, field->bytes);
    }
    // hash_words takes words as the machine has them.
    for (size_t i = 0; i < component->bytes; i++)
        words[i / 8] |= (uint64_t)image[i] << (i % 8 * 8);
    return hash_words(id, slot, (const uint8_t *)words, (component->bytes + 7u) / 8 * 8);
}

uint64_t world_component_hash(enum world_component_id id, uint32_t slot, const void *row)
{
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    return world_component_hash_fields(id, slot, row);
#else
    return hash_words(id, slot, row, world_components[id].bytes);
#endif
}
