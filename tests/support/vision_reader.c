#include "tests/support/vision_world_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// A reader of vision frames for every empire, strict about each of them, and the comparison of what
// it knows with the truth.

void vision_world_differ(struct vision_world *world, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (world->differences++ == 0)
        snprintf(world->first, sizeof world->first, "tick %" PRIu64 ": %s", world->tick, text);
    if (!world->quiet && world->differences < 20)
        fprintf(stderr, "seed %" PRIu64 " tick %" PRIu64 ": %s\n", world->options.seed, world->tick,
                text);
}

struct cursor {
    size_t hex, entered, left, remembered, forgotten;
};

static uint32_t told_slot(const struct knowledge *told, uint64_t id)
{
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        if (told->sees[slot] && told->sees_id[slot] == id)
            return slot;
    }
    return 0;
}

static void read_forgotten(struct vision_world *world, uint32_t empire, uint64_t id)
{
    struct truth_memory *memory = memory_of(&world->told[empire], id);
    if (memory)
        memory->used = false;
    else
        vision_world_differ(world, "empire %u forgets %016" PRIx64 " that it was not told of",
                            empire, id);
}

static void read_left(struct vision_world *world, uint32_t empire, uint64_t id)
{
    uint32_t slot = told_slot(&world->told[empire], id);
    if (slot)
        world->told[empire].sees[slot] = false;
    else
        vision_world_differ(
            world, "empire %u is told that %016" PRIx64 " left, which it did not see", empire, id);
}

static void read_remembered(struct vision_world *world, uint32_t empire,
                            const Mmorts__Frame__MemoryColumns *m, size_t i)
{
    if (memory_of(&world->told[empire], m->id[i]))
        vision_world_differ(world, "empire %u remembers %016" PRIx64 " twice", empire, m->id[i]);
    struct truth_memory *memory = memory_slot(&world->told[empire]);
    memory->used = true;
    memory->row = (struct vision_memory){
        .empire = empire,
        .id = m->id[i],
        .type = m->type[i],
        .owner = m->owner[i],
        .at = {m->q[i], m->r[i]},
        .health = m->health[i],
        .first_seen = m->first_seen[i],
        .last_seen = m->last_seen[i],
        .expires_at = m->expires_at[i],
    };
    if ((m->mode[i] == MMORTS__FRAME__CACHE_MODE__CACHE_PERMANENT) != (m->expires_at[i] == 0))
        vision_world_differ(world, "empire %u: mode and expiry of %016" PRIx64 " disagree", empire,
                            m->id[i]);
}

static void read_entered(struct vision_world *world, uint32_t empire, uint32_t slot)
{
    struct knowledge *told = &world->told[empire];
    if (slot == 0 || slot >= SLOTS || !world->now[slot].alive || told->sees[slot]) {
        vision_world_differ(world, "empire %u is told that entity %u entered", empire, slot);
        return;
    }
    told->sees[slot] = true;
    told->sees_id[slot] = world->now[slot].id;
    struct truth_memory *memory = memory_of(told, told->sees_id[slot]);
    if (memory)
        memory->used = false;
}

static void read_hex(struct vision_world *world, uint32_t empire,
                     const Mmorts__Frame__VisionFrame *frame, size_t i)
{
    struct knowledge *told = &world->told[empire];
    int hex = hex_at(frame->hex_q[i], frame->hex_r[i]);
    if (hex < 0) {
        // Without fog whole chunks are seen, also where they reach beyond what is compared here.
        if (world->options.fog_of_war)
            vision_world_differ(world, "empire %u is told of a hex out of its reach", empire);
        return;
    }
    if (told->state[hex] == (uint8_t)frame->hex_state[i])
        vision_world_differ(world, "empire %u: hex (%d, %d) changes to what it was", empire,
                            frame->hex_q[i], frame->hex_r[i]);
    if ((told->state[hex] == 0) != (frame->hex_terrain[i] != 0))
        vision_world_differ(world, "empire %u: terrain of (%d, %d) told twice or not at all",
                            empire, frame->hex_q[i], frame->hex_r[i]);
    told->state[hex] = (uint8_t)frame->hex_state[i];
    if (frame->hex_terrain[i])
        told->terrain[hex] = (uint8_t)frame->hex_terrain[i];
}

static void read_group(struct vision_world *world, const Mmorts__Frame__VisionFrame *frame,
                       size_t e, struct cursor *at)
{
    uint32_t empire = frame->empire[e];
    if (empire == 0 || empire > world->options.empires ||
        (e > 0 && frame->empire[e - 1] >= empire)) {
        vision_world_differ(world, "frame speaks of empire %u", empire);
        return;
    }
    if (frame->hex_count[e] + frame->entered_count[e] + frame->left_count[e] +
            frame->remembered_count[e] + frame->forgotten_count[e] ==
        0)
        vision_world_differ(world, "frame has nothing for empire %u", empire);
    for (uint32_t i = 0; i < frame->forgotten_count[e]; i++)
        read_forgotten(world, empire, frame->forgotten[at->forgotten++]);
    for (uint32_t i = 0; i < frame->left_count[e]; i++)
        read_left(world, empire, frame->left[at->left++]);
    for (uint32_t i = 0; i < frame->remembered_count[e]; i++)
        read_remembered(world, empire, frame->remembered, at->remembered++);
    for (uint32_t i = 0; i < frame->entered_count[e]; i++)
        read_entered(world, empire, frame->entered[at->entered++]);
    for (uint32_t i = 0; i < frame->hex_count[e]; i++)
        read_hex(world, empire, frame, at->hex++);
}

static void read_frame(struct vision_world *world, const Mmorts__Frame__VisionFrame *frame)
{
    size_t n = frame->n_empire;
    if (n > 0 &&
        (frame->n_hex_count != n || frame->n_entered_count != n || frame->n_left_count != n ||
         frame->n_remembered_count != n || frame->n_forgotten_count != n || !frame->remembered)) {
        vision_world_differ(world, "counts of unequal length");
        return;
    }
    if (frame->tick != world->tick || frame->snapshot)
        vision_world_differ(world, "frame of tick %" PRIu64, frame->tick);
    struct cursor at = {0};
    for (size_t e = 0; e < n; e++)
        read_group(world, frame, e, &at);
    if (at.hex != frame->n_hex_q || at.entered != frame->n_entered || at.left != frame->n_left ||
        at.forgotten != frame->n_forgotten ||
        at.remembered != (frame->remembered ? frame->remembered->n_id : 0))
        vision_world_differ(world, "counts do not add up to the columns");
}

// --- comparison ------------------------------------------------------------------------------

static void compare_memories(struct vision_world *world, uint32_t empire, struct knowledge *told)
{
    struct knowledge *truth = &world->truth[empire];
    for (size_t i = 0; i < MEMORIES; i++) {
        if (told->memories[i].used && !memory_of(truth, told->memories[i].row.id))
            vision_world_differ(world, "empire %u remembers %016" PRIx64 " beyond its time", empire,
                                told->memories[i].row.id);
        if (!truth->memories[i].used)
            continue;
        const struct vision_memory *want = &truth->memories[i].row;
        const struct truth_memory *memory = memory_of(told, want->id);
        if (!memory) {
            vision_world_differ(world, "empire %u does not remember %016" PRIx64 " (%s)", empire,
                                want->id, vision_world_types[want->type].name);
            continue;
        }
        const struct vision_memory *have = &memory->row;
        if (have->type != want->type || have->owner != want->owner || have->at.q != want->at.q ||
            have->at.r != want->at.r || have->health != want->health ||
            have->first_seen != want->first_seen || have->last_seen != want->last_seen ||
            have->expires_at != want->expires_at)
            vision_world_differ(
                world,
                "empire %u remembers %s owner %u (%d,%d) health %d %" PRIu64 "-%" PRIu64 "-%" PRIu64
                ", not owner %u (%d,%d) health %d %" PRIu64 "-%" PRIu64 "-%" PRIu64,
                empire, vision_world_types[have->type % TYPES].name, have->owner, have->at.q,
                have->at.r, have->health, have->first_seen, have->last_seen, have->expires_at,
                want->owner, want->at.q, want->at.r, want->health, want->first_seen,
                want->last_seen, want->expires_at);
    }
}

void vision_world_compare_empire(struct vision_world *world, uint32_t empire,
                                 struct knowledge *told)
{
    const struct knowledge *truth = &world->truth[empire];
    for (int hex = 0; hex < HEXES; hex++) {
        if (told->state[hex] != truth->state[hex])
            vision_world_differ(world, "empire %u: hex (%d, %d) is %u, not %u", empire, hex_q(hex),
                                hex_r(hex), told->state[hex], truth->state[hex]);
        if (told->terrain[hex] != truth->terrain[hex])
            vision_world_differ(world, "empire %u: terrain of (%d, %d)", empire, hex_q(hex),
                                hex_r(hex));
    }
    for (uint32_t slot = 1; slot < SLOTS; slot++) {
        bool same = !truth->sees[slot] || told->sees_id[slot] == truth->sees_id[slot];
        if (told->sees[slot] != truth->sees[slot] || !same)
            vision_world_differ(world, "empire %u: entity %u (%s, owner %u) is %s sight", empire,
                                slot, vision_world_types[world->now[slot].type].name,
                                world->now[slot].owner,
                                told->sees[slot] ? "wrongly in" : "missing from");
    }
    compare_memories(world, empire, told);
}

// Everything a whole view tells, as a reader would have it.
void vision_world_read_view(struct vision_world *world, const struct vision *core, uint32_t empire,
                            struct knowledge *told)
{
    memset(told, 0, sizeof *told);
    Mmorts__Frame__VisionFrame *view;
    if (vision_view(core, empire, &view) != MM_OK) {
        vision_world_differ(world, "no view of empire %u", empire);
        return;
    }
    for (size_t i = 0; i < view->n_hex_q; i++) {
        int hex = hex_at(view->hex_q[i], view->hex_r[i]);
        if (hex < 0 && !world->options.fog_of_war)
            continue;
        if (hex < 0 || told->state[hex] != 0 || view->hex_terrain[i] == 0) {
            vision_world_differ(world, "empire %u: view has hex (%d, %d) wrong", empire,
                                view->hex_q[i], view->hex_r[i]);
            continue;
        }
        told->state[hex] = (uint8_t)view->hex_state[i];
        told->terrain[hex] = (uint8_t)view->hex_terrain[i];
    }
    for (size_t i = 0; i < view->n_entered; i++) {
        uint32_t slot = view->entered[i];
        if (slot >= SLOTS || told->sees[slot])
            vision_world_differ(world, "empire %u: view has entity %u twice", empire, slot);
        else
            told->sees[slot] = true;
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        told->sees_id[slot] = world->now[slot].id;
    struct knowledge kept = world->told[empire];
    world->told[empire] = *told;
    for (size_t i = 0; i < view->remembered->n_id; i++)
        read_remembered(world, empire, view->remembered, i);
    *told = world->told[empire];
    world->told[empire] = kept;
    if (view->tick != world->tick || !view->snapshot)
        vision_world_differ(world, "view of tick %" PRIu64, view->tick);
    vision_view_free(view);
}

size_t vision_world_compare(struct vision_world *world, const struct vision *core,
                            const Mmorts__Frame__VisionFrame *frame)
{
    static struct knowledge told;
    size_t before = world->differences;
    if (frame)
        read_frame(world, frame);
    for (uint32_t empire = 1; empire <= world->options.empires; empire++) {
        if (!frame) {
            vision_world_read_view(world, core, empire, &told);
            world->told[empire] = told;
        }
        vision_world_compare_empire(world, empire, &world->told[empire]);
    }
    return world->differences - before;
}
