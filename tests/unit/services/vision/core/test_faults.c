// The oracle's checker is proven by bugs that it must find: this program has a core of its own, the
// real sources compiled with one planted fault or another switched on.

// So that what a counter cannot hold is a daily matter: 80 entities are no crowd.
#define VISION_COUNT_BITS 1

#include "tests/support/vision_faults.h"
#include "tests/support/vision_world.h"

#include <criterion/criterion.h>

// Plays until the first difference; its words, or NULL if there was none.
static const char *play(uint64_t seed, uint32_t ticks)
{
    static char first[240];
    struct vision_world_options world_options = {
        .seed = seed,
        .empires = 5,
        .entities = 80,
        .chunk_radius = 5,
        .memories_max = 1000,
        .fog_of_war = true,
        .terrain_blocks = planted == FAULT_ONE_SIDED_LINES || planted == FAULT_LINES_KEEP_OLD_MAP,
        .beacons_only = planted == FAULT_BEACONS_UNLENT};
    struct vision_world *world = vision_world_new(&world_options);
    vision_world_set_quiet(world, true);
    struct vision_options options = vision_world_core_options(world);
    struct vision *core;
    cr_assert_eq(vision_new(&options, &core), MM_OK);
    size_t differences = 0;
    for (uint32_t tick = 0; tick < ticks && differences == 0; tick++) {
        const Mmorts__Frame__TickFrame *frame = vision_world_tick(world, tick == 0, core);
        const Mmorts__Frame__VisionFrame *out;
        cr_assert_eq(vision_apply(core, frame, &out), MM_OK, "%s", vision_refusal(core));
        differences += vision_world_compare(world, core, tick == 0 ? NULL : out);
    }
    snprintf(first, sizeof first, "%s", vision_world_first_difference(world));
    vision_free(core);
    vision_world_free(world);
    return differences ? first : NULL;
}

// In every one of a few worlds, and in the words that name what is wrong.
static void must_be_found(enum vision_fault fault, const char *words)
{
    planted = fault;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        const char *found = play(seed, 600);
        cr_assert_not_null(found, "fault %d was not found in world %d", (int)fault, (int)seed);
        cr_expect_not_null(strstr(found, words), "world %d: %s", (int)seed, found);
    }
}

Test(vision_faults, none_no_difference, .timeout = 300)
{
    planted = FAULT_NONE;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        const char *found = play(seed, 300);
        cr_assert_null(found, "%s", found);
    }
}

Test(vision_faults, count_underflow, .timeout = 300)
{
    must_be_found(FAULT_COUNT_UNDERFLOW, "hex (");
}

Test(vision_faults, ring_off_by_one, .timeout = 300)
{
    must_be_found(FAULT_RING_OFF_BY_ONE, "hex (");
}

Test(vision_faults, missed_leave_under_fog, .timeout = 300)
{
    must_be_found(FAULT_MISSED_LEAVE_UNDER_FOG, "wrongly in sight");
}

Test(vision_faults, leaked_id_after_despawn, .timeout = 300)
{
    must_be_found(FAULT_LEAKED_ID_AFTER_DESPAWN, "left, which it did not see");
}

Test(vision_faults, slot_keeps_viewers, .timeout = 300)
{
    must_be_found(FAULT_SLOT_KEEPS_VIEWERS, "");
}

Test(vision_faults, stale_share, .timeout = 300)
{
    must_be_found(FAULT_STALE_SHARE, "is 2, not");
}

Test(vision_faults, ally_stays, .timeout = 300)
{
    must_be_found(FAULT_ALLY_STAYS, "is 2, not");
}

Test(vision_faults, beacons_unlent, .timeout = 300)
{
    must_be_found(FAULT_BEACONS_UNLENT, ", not 2");
}

Test(vision_faults, one_sided_lines, .timeout = 300)
{
    must_be_found(FAULT_ONE_SIDED_LINES, "hex (");
}

Test(vision_faults, lines_keep_old_map, .timeout = 300)
{
    must_be_found(FAULT_LINES_KEEP_OLD_MAP, "hex (");
}

Test(vision_faults, sight_type_kept, .timeout = 300)
{
    must_be_found(FAULT_SIGHT_TYPE_KEPT, "sight");
}

Test(vision_faults, stealth_ignored, .timeout = 300)
{
    must_be_found(FAULT_STEALTH_IGNORED, "wrongly in sight");
}

Test(vision_faults, memory_knows_too_much, .timeout = 300)
{
    must_be_found(FAULT_MEMORY_KNOWS_TOO_MUCH, "remember");
}

Test(vision_faults, memory_outlives_reveal, .timeout = 300)
{
    must_be_found(FAULT_MEMORY_OUTLIVES_REVEAL, "beyond its time");
}
