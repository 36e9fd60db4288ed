#include "services/world/core/compare.h"

#include "services/world/core/state.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct comparison {
    const struct world *a, *b;
    size_t count, told_max;
    world_difference_fn tell;
    void *ctx;
};

MM_PRINTF(2, 3) static void differ(struct comparison *c, const char *format, ...)
{
    if (c->count++ >= c->told_max)
        return;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->tell(c->ctx, text);
}

static void number(struct comparison *c, const char *what, uint64_t a, uint64_t b)
{
    if (a != b)
        differ(c, "%s: %" PRIu64 " and %" PRIu64, what, a, b);
}

static void compare_session(struct comparison *c)
{
    const struct world *a = c->a, *b = c->b;
    number(c, "tick", a->tick, b->tick);
    number(c, "paused", a->paused, b->paused);
    number(c, "seed", a->seed, b->seed);
    number(c, "next serial", a->serial_next, b->serial_next);
    number(c, "next path ticket", a->ticket_next, b->ticket_next);
    number(c, "spawns", a->spawns_total, b->spawns_total);
    number(c, "what allies lend", a->allies_lend, b->allies_lend);
    if (memcmp(a->secret, b->secret, sizeof a->secret) != 0)
        differ(c, "the secret of the public ids");
    if (a->rules_hash != b->rules_hash)
        differ(c, "the rules of the game");
}

static void compare_map(struct comparison *c)
{
    const struct world_map *a = &c->a->map, *b = &c->b->map;
    number(c, "chunks", a->chunk_count, b->chunk_count);
    uint32_t chunks = a->chunk_count < b->chunk_count ? a->chunk_count : b->chunk_count;
    uint32_t cells = (uint32_t)a->tiling.cells;
    for (uint32_t i = 0; i < chunks && a->tiling.cells == b->tiling.cells; i++) {
        if (a->chunks[i].a != b->chunks[i].a || a->chunks[i].b != b->chunks[i].b)
            differ(c, "chunk %u: at (%d, %d) and (%d, %d)", i, a->chunks[i].a, a->chunks[i].b,
                   b->chunks[i].a, b->chunks[i].b);
        else if (memcmp(a->terrain + (size_t)i * cells, b->terrain + (size_t)i * cells, cells) != 0)
            differ(c, "terrain of chunk %u at (%d, %d)", i, a->chunks[i].a, a->chunks[i].b);
    }
    for (uint32_t i = 0; i < chunks; i++)
        if (mm_bitset_get(c->a->grid.charted, i) != mm_bitset_get(c->b->grid.charted, i))
            differ(c, "chunk %u is charted in one only", i);
}

static void compare_players(struct comparison *c)
{
    const struct world *a = c->a, *b = c->b;
    number(c, "empires", a->empires.count, b->empires.count);
    for (size_t i = 0; i < a->empires.count && i < b->empires.count; i++)
        if (world_empire_hash((uint32_t)i + 1, &a->empires.items[i]) !=
            world_empire_hash((uint32_t)i + 1, &b->empires.items[i]))
            differ(c, "empire %zu: home (%d, %d) and (%d, %d)", i + 1, a->empires.items[i].home.q,
                   a->empires.items[i].home.r, b->empires.items[i].home.q,
                   b->empires.items[i].home.r);
    number(c, "players", a->players.count, b->players.count);
    for (size_t i = 0; i < a->players.count && i < b->players.count; i++) {
        const struct world_player *x = &a->players.items[i], *y = &b->players.items[i];
        if (world_player_hash(x) != world_player_hash(y))
            differ(c,
                   "player %" PRIu64 ": command %" PRIu64 " and %" PRIu64 ", allowance %" PRIu64
                   " and %" PRIu64 " (or name or kept results)",
                   x->player_id, x->last_client_seq, y->last_client_seq, x->allowance,
                   y->allowance);
    }
    number(c, "spawn keys", a->spawn_keys.count, b->spawn_keys.count);
    for (size_t i = 0; i < a->spawn_keys.count && i < b->spawn_keys.count; i++)
        if (world_spawn_key_hash(&a->spawn_keys.items[i]) !=
            world_spawn_key_hash(&b->spawn_keys.items[i]))
            differ(c, "spawn key in place %zu", i);
    number(c, "shares", a->shares.count, b->shares.count);
    for (size_t i = 0; i < a->shares.count && i < b->shares.count; i++)
        if (a->shares.items[i] != b->shares.items[i])
            differ(c, "share in place %zu: empire %u of %u and %u of %u", i,
                   (unsigned)(a->shares.items[i] >> 32), (unsigned)a->shares.items[i],
                   (unsigned)(b->shares.items[i] >> 32), (unsigned)b->shares.items[i]);
}

// --- entities ------------------------------------------------------------------------------------

static uint64_t field_value(const uint8_t *at, unsigned bytes)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (bytes) {
    case 1:
        memcpy(&u8, at, 1);
        return u8;
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

// "entity 17 (unit_...)", so that it is found again in other tools.
static void entity_name(const struct comparison *c, uint32_t slot, char *out, size_t out_bytes)
{
    const struct world *world = world_ecs_alive(&c->a->ecs, slot) ? c->a : c->b;
    const struct world_identity *identity =
        WORLD_GET(&world->ecs, WORLD_IDENTITY, world_identity, slot);
    char id[MM_ID_TEXT_BYTES];
    mm_id_format(id, "", world_entity_public_id(world, slot));
    snprintf(out, out_bytes, "entity %u (%s ..._%s)", slot, world->rules.types[identity->type].name,
             id);
}

static void compare_row(struct comparison *c, uint32_t slot, enum world_component_id id,
                        const uint8_t *a, const uint8_t *b)
{
    const struct world_component *component = &world_components[id];
    if (memcmp(a, b, component->bytes) == 0)
        return;
    char name[WORLD_NAME_BYTES + 64];
    entity_name(c, slot, name, sizeof name);
    for (unsigned f = 0; f < component->field_count; f++) {
        const struct world_field *field = &component->fields[f];
        if (field->raw) {
            if (memcmp(a + field->offset, b + field->offset, field->raw) != 0)
                differ(c, "%s, %s.%s", name, component->name, field->name);
            continue;
        }
        for (unsigned i = 0; i < field->count; i++) {
            size_t at = field->offset + (size_t)i * field->stride;
            uint64_t x = field_value(a + at, field->bytes), y = field_value(b + at, field->bytes);
            if (x != y)
                differ(c, "%s, %s.%s[%u]: %" PRIu64 " and %" PRIu64, name, component->name,
                       field->name, i, x, y);
        }
    }
}

static void compare_entity(struct comparison *c, uint32_t slot)
{
    const struct world_ecs *a = &c->a->ecs, *b = &c->b->ecs;
    bool in_a = world_ecs_alive(a, slot), in_b = world_ecs_alive(b, slot);
    uint32_t generation_a = slot < a->slot_end ? a->generations[slot] : 0;
    uint32_t generation_b = slot < b->slot_end ? b->generations[slot] : 0;
    char name[WORLD_NAME_BYTES + 64];
    if (generation_a != generation_b)
        differ(c, "entity %u: generation %u and %u", slot, generation_a, generation_b);
    if (in_a != in_b) {
        entity_name(c, slot, name, sizeof name);
        differ(c, "%s lives only in the %s", name, in_a ? "first" : "second");
    }
    for (int id = 0; in_a && in_b && id < WORLD_COMPONENTS; id++) {
        const uint8_t *x = world_ecs_row(a, (enum world_component_id)id, slot);
        const uint8_t *y = world_ecs_row(b, (enum world_component_id)id, slot);
        if (x && y) {
            compare_row(c, slot, (enum world_component_id)id, x, y);
        } else if (x || y) {
            entity_name(c, slot, name, sizeof name);
            differ(c, "%s has %s only in the %s", name, world_components[id].name,
                   x ? "first" : "second");
        }
    }
}

size_t world_compare(const struct world *a, const struct world *b, size_t told_max,
                     world_difference_fn tell, void *ctx)
{
    struct comparison c = {.a = a, .b = b, .told_max = told_max, .tell = tell, .ctx = ctx};
    compare_session(&c);
    compare_map(&c);
    compare_players(&c);
    uint32_t slots = a->ecs.slot_end > b->ecs.slot_end ? a->ecs.slot_end : b->ecs.slot_end;
    for (uint32_t slot = 1; slot < slots; slot++)
        compare_entity(&c, slot);
    return c.count;
}
