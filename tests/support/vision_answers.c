#include "tests/support/vision_world_internal.h"

#include <inttypes.h>
#include <string.h>

// The core's answers to questions, against the truth.

// --- explanations ----------------------------------------------------------------------------

// How many observers' sight of the hex the empire has.
static size_t count_observers(const struct vision_world *world, uint32_t empire, int q, int r,
                              bool detectors_only, size_t *own_out)
{
    size_t count = 0;
    *own_out = 0;
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        const struct truth_entity *observer = &world->now[slot];
        bool detects = observer->looks_sense == MMORTS__FRAME__SIGHT_TYPE__SIGHT_DETECTOR;
        if (!vision_truth_reaches(world, observer, q, r) ||
            !vision_truth_lends(world, observer, empire) || (detectors_only && !detects))
            continue;
        count++;
        *own_out += observer->owner == empire;
    }
    return count;
}

static void compare_sources(struct vision_world *world, uint32_t empire,
                            const struct vision_explanation *have, bool detectors_only)
{
    size_t own = 0, own_listed = 0;
    size_t count = count_observers(world, empire, have->at.q, have->at.r, detectors_only, &own);
    if (have->source_count != count)
        vision_world_differ(world, "empire %u: hex (%d, %d) is explained by %zu observers, not %zu",
                            empire, have->at.q, have->at.r, have->source_count, count);
    for (size_t i = 0; i < have->source_count && i < VISION_SOURCES_MAX; i++) {
        const struct vision_source_of *source = &have->sources[i];
        const struct truth_entity *observer = NULL;
        for (uint32_t slot = 1; slot < SLOTS && !observer; slot++)
            observer = world->now[slot].alive && world->now[slot].id == source->id
                           ? &world->now[slot]
                           : NULL;
        bool is_own = source->share == VISION_SHARE_OWN;
        own_listed += is_own;
        bool ordered = world->shares[source->empire][empire];
        bool right = observer && observer->owner == source->empire &&
                     is_own == (source->empire == empire) &&
                     vision_truth_lends(world, observer, empire) &&
                     vision_truth_reaches(world, observer, have->at.q, have->at.r) &&
                     source->at.q == observer->looks_q && source->at.r == observer->looks_r &&
                     (is_own || ordered == (source->share == VISION_SHARE_ORDERED)) &&
                     (is_own || ordered || world->allied[source->alliance][source->empire]);
        if (!right)
            vision_world_differ(world, "empire %u: hex (%d, %d) is explained by %016" PRIx64,
                                empire, have->at.q, have->at.r, source->id);
    }
    if (own_listed != (own < VISION_SOURCES_MAX ? own : VISION_SOURCES_MAX))
        vision_world_differ(world, "empire %u: hex (%d, %d): %zu own observers of %zu", empire,
                            have->at.q, have->at.r, own_listed, own);
}

static void compare_hex(struct vision_world *world, const struct vision *core, uint32_t empire,
                        int hex)
{
    struct hex_axial at = {hex_q(hex), hex_r(hex)};
    struct vision_explanation have;
    if (vision_explain(core, empire, 0, at, &have) != MM_OK) {
        vision_world_differ(world, "empire %u: no explanation", empire);
        return;
    }
    uint8_t state = world->truth[empire].state[hex];
    size_t own = 0;
    size_t count = count_observers(world, empire, at.q, at.r, false, &own);
    enum vision_reason want = !world->hex_known[hex] ? VISION_UNSEEN_NO_MAP
                              : state == 0           ? VISION_UNSEEN_SHROUD
                              : state == 1           ? VISION_UNSEEN_FOG
                              : own > 0              ? VISION_SEEN_OWN_SIGHT
                              : count > 0            ? VISION_SEEN_LENT
                                                     : VISION_SEEN_WITHOUT_FOG;
    if (have.reason != want || have.visible != (state == 2) || (int)have.state != state)
        vision_world_differ(world, "empire %u: hex (%d, %d) is explained by reason %d, not %d",
                            empire, at.q, at.r, (int)have.reason, (int)want);
    if (state == 2)
        compare_sources(world, empire, &have, false);
}

static void compare_entity(struct vision_world *world, const struct vision *core, uint32_t empire,
                           uint32_t slot)
{
    const struct truth_entity *entity = &world->now[slot];
    struct vision_explanation have;
    if (entity->id == 0 ||
        vision_explain(core, empire, entity->id, (struct hex_axial){0, 0}, &have) != MM_OK)
        return;
    if (!entity->alive) {
        if (have.visible || have.reason != VISION_UNSEEN_NO_ENTITY)
            vision_world_differ(world, "empire %u: the dead entity %u is explained", empire, slot);
        return;
    }
    bool hex_seen = world->truth[empire].state[hex_at(entity->q, entity->r)] == 2;
    bool sees = world->truth[empire].sees[slot];
    if (have.visible != sees ||
        (entity->owner == empire) != (have.reason == VISION_SEEN_OWN_ENTITY))
        vision_world_differ(world, "empire %u: entity %u is explained by reason %d", empire, slot,
                            (int)have.reason);
    if (entity->owner == empire)
        return;
    bool hidden = hex_seen && !sees;
    if (hidden != (have.reason == VISION_UNSEEN_STEALTH))
        vision_world_differ(world, "empire %u: hidden entity %u is explained by reason %d", empire,
                            slot, (int)have.reason);
    if (hex_seen)
        compare_sources(world, empire, &have, entity->stealthed && sees);
}

static void compare_explanations(struct vision_world *world, const struct vision *core,
                                 uint32_t empire)
{
    for (int hex = (int)(world->tick % 3); hex < HEXES; hex += 3)
        compare_hex(world, core, empire, hex);
    for (uint32_t slot = 1; slot < SLOTS; slot++)
        compare_entity(world, core, empire, slot);
}

// --- pages -----------------------------------------------------------------------------------

static void read_page(struct vision_world *world, const struct vision_page *page,
                      uint8_t explored[HEXES], struct knowledge *told)
{
    for (size_t i = 0; i < page->chunk_count; i++) {
        const struct vision_explored *chunk = &page->chunks[i];
        if (chunk->first_seen == 0 || chunk->last_seen < chunk->first_seen ||
            chunk->last_seen > world->tick)
            vision_world_differ(world, "page: ticks of a chunk");
        for (uint32_t cell = 0; cell < world->tiling.cells; cell++) {
            struct hex_axial at = hex_chunk_hex(&world->tiling, chunk->chunk, cell);
            int hex = hex_at(at.q, at.r);
            if (hex >= 0 && chunk->cells[cell / 64] >> (cell % 64) & 1)
                explored[hex]++;
        }
    }
    for (size_t i = 0; i < page->memory_count; i++) {
        if (memory_of(told, page->memories[i].id))
            vision_world_differ(world, "page: a memory twice");
        *memory_slot(told) = (struct truth_memory){.used = true, .row = page->memories[i]};
    }
}

static void compare_pages(struct vision_world *world, const struct vision *core, uint32_t empire)
{
    static struct knowledge told;
    static uint8_t explored[HEXES];
    told = world->truth[empire];
    memset(told.memories, 0, sizeof told.memories);
    memset(explored, 0, sizeof explored);
    size_t size = 1 + world->tick % 7;
    struct vision_page_place place = {0};
    for (bool more = true; more;) {
        struct vision_page page;
        if (vision_page(core, empire, place, size, &page) != MM_OK) {
            vision_world_differ(world, "empire %u: no page", empire);
            return;
        }
        if (page.chunk_count + page.memory_count > size ||
            (page.more && page.chunk_count + page.memory_count < size))
            vision_world_differ(world, "empire %u: a page of the wrong size", empire);
        read_page(world, &page, explored, &told);
        more = page.more;
        place = page.next;
        vision_page_free(&page);
    }
    for (int hex = 0; hex < HEXES; hex++) {
        if (explored[hex] != (told.state[hex] != 0))
            vision_world_differ(world, "empire %u: hex (%d, %d) is on %u pages", empire, hex_q(hex),
                                hex_r(hex), explored[hex]);
    }
    vision_world_compare_empire(world, empire, &told);
}

// --- everything ------------------------------------------------------------------------------

size_t vision_world_compare_answers(struct vision_world *world, const struct vision *core)
{
    static struct knowledge told;
    size_t before = world->differences;
    for (uint32_t empire = 1; empire <= world->options.empires; empire++) {
        vision_world_read_view(world, core, empire, &told);
        vision_world_compare_empire(world, empire, &told);
        compare_explanations(world, core, empire);
        compare_pages(world, core, empire);
        const struct knowledge *truth = &world->truth[empire];
        for (int hex = 0; hex < HEXES; hex++) {
            struct hex_axial at = {hex_q(hex), hex_r(hex)};
            if ((int)vision_hex_state(core, empire, at) != truth->state[hex])
                vision_world_differ(world, "empire %u: asked for hex (%d, %d)", empire, at.q, at.r);
        }
        for (uint32_t slot = 1; slot < SLOTS; slot++) {
            const struct truth_entity *entity = &world->now[slot];
            struct hex_axial at;
            bool sees = vision_sees_entity(core, empire, entity->id, &at);
            if (sees != (truth->sees[slot] && entity->alive) ||
                (sees && (at.q != entity->q || at.r != entity->r)))
                vision_world_differ(world, "empire %u: asked for entity %u", empire, slot);
        }
        for (uint32_t to = 1; to <= world->options.empires; to++) {
            if (vision_shares(core, empire, to) != world->ordered[empire][to])
                vision_world_differ(world, "empires %u, %u: sharing", empire, to);
        }
        for (uint32_t alliance = 1; alliance < ALLIANCES; alliance++) {
            if (vision_is_ally(core, alliance, empire) != world->allied_ordered[alliance][empire])
                vision_world_differ(world, "empire %u, alliance %u: membership", empire, alliance);
        }
    }
    return world->differences - before;
}
