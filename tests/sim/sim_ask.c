#include "tests/sim/sim_internal.h"

#include <stdlib.h>
#include <string.h>

// What vision answers when it is asked why, and what it knows: it must be what the fog says.

static const struct sim_entity *entity_by_id(const struct sim_moment *now, uint64_t id)
{
    for (uint32_t i = 0; i < now->count; i++) {
        if (now->entities[i].id == id)
            return &now->entities[i];
    }
    return NULL;
}

// Whether any observer whose sight the empire has sees the hex; its own only.
static bool own_observer(const struct sim *sim, const struct sim_moment *now, uint32_t empire,
                         int32_t q, int32_t r)
{
    for (uint32_t i = 0; i < now->count; i++) {
        if (now->entities[i].owner == empire && sim_fog_reaches(sim, now, &now->entities[i], q, r))
            return true;
    }
    return false;
}

static void ask_hex(struct sim *sim, const struct sim_moment *now, uint32_t empire, int32_t q,
                    int32_t r)
{
    const struct sim_fog *fog = &now->fog[empire];
    struct vision_explanation have;
    if (vision_explain(sim->vision.core, empire, 0, (struct hex_axial){q, r}, &have) != MM_OK)
        return;
    bool visible = sim_bit(fog->visible, q, r);
    enum vision_reason want = !sim_bit(now->map, q, r)               ? VISION_UNSEEN_NO_MAP
                              : !sim_bit(fog->explored, q, r)        ? VISION_UNSEEN_SHROUD
                              : !visible                             ? VISION_UNSEEN_FOG
                              : own_observer(sim, now, empire, q, r) ? VISION_SEEN_OWN_SIGHT
                                                                     : VISION_SEEN_LENT;
    if (have.reason != want || have.visible != visible)
        sim_fail(sim, "empire %u: hex (%d, %d) is explained by reason %d, not %d", empire, q, r,
                 (int)have.reason, (int)want);
    for (size_t i = 0; visible && i < have.source_count && i < VISION_SOURCES_MAX; i++) {
        const struct sim_entity *observer = entity_by_id(now, have.sources[i].id);
        if (!observer || !sim_fog_reaches(sim, now, observer, q, r) ||
            !sim_fog_lends(sim, now, observer, empire))
            sim_fail(sim, "empire %u: hex (%d, %d) is explained by a wrong observer", empire, q, r);
    }
}

static void ask_entities(struct sim *sim, const struct sim_moment *now, uint32_t empire)
{
    const struct sim_fog *fog = &now->fog[empire];
    for (uint32_t i = 0; i < now->count; i++) {
        const struct sim_entity *entity = &now->entities[i];
        struct vision_explanation have;
        if (vision_explain(sim->vision.core, empire, entity->id, (struct hex_axial){0, 0}, &have) !=
            MM_OK)
            return;
        bool hidden = !fog->sees[i] && sim_bit(fog->visible, entity->q, entity->r);
        if (have.visible != fog->sees[i] ||
            (have.reason == VISION_SEEN_OWN_ENTITY) != (entity->owner == empire) ||
            (have.reason == VISION_UNSEEN_STEALTH) != hidden)
            sim_fail(sim, "empire %u: a %s is explained by reason %d", empire,
                     sim_types[entity->type].name, (int)have.reason);
    }
}

static void read_page(const struct sim *sim, const struct vision_page *page,
                      const struct hex_tiling *tiling, uint64_t *explored)
{
    (void)sim;
    for (size_t i = 0; i < page->chunk_count; i++) {
        for (uint32_t cell = 0; cell < tiling->cells; cell++) {
            struct hex_axial at = hex_chunk_hex(tiling, page->chunks[i].chunk, cell);
            if ((page->chunks[i].cells[cell / 64] >> (cell % 64) & 1) && sim_on_map(at.q, at.r))
                explored[at.r + SIM_HALF] |= UINT64_C(1) << (at.q + SIM_HALF);
        }
    }
}

static bool is_remembered(const struct sim_fog *fog, const struct vision_memory *row)
{
    for (uint32_t i = 0; i < fog->memory_count; i++) {
        const struct sim_memory *memory = &fog->memories[i];
        if (memory->id == row->id && memory->q == row->at.q && memory->r == row->at.r &&
            memory->last_seen == row->last_seen && memory->expires_at == row->expires_at)
            return true;
    }
    return false;
}

static void ask_cache(struct sim *sim, const struct sim_moment *now, uint32_t empire)
{
    const struct sim_fog *fog = &now->fog[empire];
    struct hex_tiling tiling;
    uint64_t explored[SIM_SIDE] = {0};
    if (hex_tiling_init(&tiling, (int32_t)sim->rules->map.chunk_radius) != MM_OK)
        abort();
    struct vision_page_place place = {0};
    size_t memories = 0;
    for (bool more = true; more;) {
        struct vision_page page;
        if (vision_page(sim->vision.core, empire, place, 5, &page) != MM_OK)
            return;
        read_page(sim, &page, &tiling, explored);
        for (size_t i = 0; i < page.memory_count; i++) {
            if (!is_remembered(fog, &page.memories[i]))
                sim_fail(sim, "empire %u: its cache has what is not remembered so", empire);
        }
        memories += page.memory_count;
        more = page.more;
        place = page.next;
        vision_page_free(&page);
    }
    if (memories != fog->memory_count)
        sim_fail(sim, "empire %u: its cache has %zu memories, not %u", empire, memories,
                 fog->memory_count);
    if (memcmp(explored, fog->explored, sizeof explored) != 0)
        sim_fail(sim, "empire %u: its cache has other hexes than it explored", empire);
}

void sim_vision_ask(struct sim *sim, const struct sim_moment *now)
{
    if (now->lineage == 0 || sim_failed(sim))
        return;
    for (uint32_t empire = 1; empire <= SIM_EMPIRES; empire++) {
        if (!vision_knows_empire(sim->vision.core, empire))
            continue;
        // Every hex in the end, a few lines at a time.
        int32_t first = (int32_t)(now->tick / 50 % 8);
        for (int32_t r = -SIM_HALF + first; r < SIM_HALF; r += 8) {
            for (int32_t q = -SIM_HALF; q < SIM_HALF; q++)
                if (sim_bit(now->map, q, r) || (q - first) % 4 == 0)
                    ask_hex(sim, now, empire, q, r);
        }
        ask_entities(sim, now, empire);
        ask_cache(sim, now, empire);
    }
    sim->report->asked++;
}
