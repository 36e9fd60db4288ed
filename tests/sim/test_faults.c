// The simulator's oracles are proven by bugs that they must find: some planted around the cores
// (sim.h), some within vision's core, of which this program has one of its own: the real sources
// compiled with the fault hooks of services/vision/core/internal.h switched on.

enum vision_fault {
    FAULT_NONE,
    FAULT_COUNT_UNDERFLOW,         // an observer that leaves is uncounted twice
    FAULT_RING_OFF_BY_ONE,         // a step uncounts the ring within the one that was left
    FAULT_MISSED_LEAVE_UNDER_FOG,  // fog moves over a standing entity, nobody is told
    FAULT_LEAKED_ID_AFTER_DESPAWN, // who could not see it is told of an end
    FAULT_SLOT_KEEPS_VIEWERS,      // a slot's next holder inherits who saw the last one
    FAULT_STALE_SHARE,             // what was lent stays when sharing ends
    FAULT_STEALTH_IGNORED,         // stealthed entities are seen by everybody
    FAULT_MEMORY_KNOWS_TOO_MUCH,   // remembered as it is, not as it was seen
    FAULT_MEMORY_OUTLIVES_REVEAL,  // its place is seen again without it, the memory stays
    FAULT_BEACONS_UNLENT,          // allies do not see what beacons see
    FAULT_ALLY_STAYS,              // who left an alliance goes on lending and borrowing
    FAULT_ONE_SIDED_LINES,         // a line along a border is looked at on one side only
    FAULT_LINES_KEEP_OLD_MAP,      // terrain that appears shortens nobody's sight
    FAULT_UNDERFLOW_UNCHECKED,     // with any fault: goes on where the core would abort
};
static enum vision_fault planted;
#define VISION_FAULT(name)                                                                         \
    (planted == FAULT_##name ||                                                                    \
     (FAULT_##name == FAULT_UNDERFLOW_UNCHECKED && planted != FAULT_NONE))

#include "services/vision/core/check.c"
#include "services/vision/core/footprint.c"
#include "services/vision/core/lines.c"
#include "services/vision/core/memory.c"
#include "services/vision/core/mirror.c"
#include "services/vision/core/order.c"
#include "services/vision/core/output.c"
#include "services/vision/core/query.c"
#include "services/vision/core/save.c"
#include "services/vision/core/settle.c"
#include "services/vision/core/share.c"
#include "services/vision/core/sight.c"
#include "services/vision/core/vision.c"
#include "services/vision/core/watch.c"

#include "tests/sim/sim.h"

#include <criterion/criterion.h>

enum { SEEDS_MAX = 40, TICKS = 1500 };

// Plays seeds until one fails, and returns how many that took; the failure's words in `out`.
static unsigned seeds_until_found(enum vision_fault inside, enum sim_fault around, char *out,
                                  size_t out_bytes)
{
    planted = inside;
    for (unsigned seed = 1; seed <= SEEDS_MAX; seed++) {
        struct sim_options options = {.seed = seed, .ticks = TICKS, .fault = around};
        struct sim_report report;
        if (sim_run(&options, &report))
            continue;
        snprintf(out, out_bytes, "%s", report.failure);
        return seed;
    }
    return 0;
}

// Whether one of the alternatives, separated by |, is in the text.
static bool has_words(const char *text, const char *words)
{
    char part[64];
    for (const char *at = words; *at != '\0';) {
        size_t len = strcspn(at, "|");
        snprintf(part, sizeof part, "%.*s", (int)len, at);
        if (strstr(text, part))
            return true;
        at += len + (at[len] == '|');
    }
    return false;
}

static void expect_found(const char *name, enum vision_fault inside, enum sim_fault around,
                         const char *words)
{
    char failure[400] = "";
    unsigned seeds = seeds_until_found(inside, around, failure, sizeof failure);
    cr_expect_neq(seeds, 0, "%s was not found in %d seeds", name, SEEDS_MAX);
    if (seeds == 0)
        return;
    cr_expect(has_words(failure, words), "%s was found by something else (not \"%s\"): %s", name,
              words, failure);
    cr_log_info("%s: seed %u: %s", name, seeds, failure);
}

Test(sim_faults, nothing_is_found_where_nothing_is_planted, .timeout = 120)
{
    char failure[400] = "";
    cr_expect_eq(seeds_until_found(FAULT_NONE, SIM_FAULT_NONE, failure, sizeof failure), 0, "%s",
                 failure);
}

// What a difference between a client and the oracle is told in.
#define VIEW "visible|explored|sight|remembered|shown|terrain"

#define INSIDE(test, NAME, words)                                                                  \
    Test(sim_faults, test, .timeout = 120)                                                         \
    {                                                                                              \
        expect_found(#test, FAULT_##NAME, SIM_FAULT_NONE, words);                                  \
    }

INSIDE(count_underflow, COUNT_UNDERFLOW, VIEW)
INSIDE(ring_off_by_one, RING_OFF_BY_ONE, VIEW)
INSIDE(missed_leave_under_fog, MISSED_LEAVE_UNDER_FOG, VIEW)
INSIDE(leaked_id_after_despawn, LEAKED_ID_AFTER_DESPAWN, "not there, or not in sight")
INSIDE(slot_keeps_viewers, SLOT_KEEPS_VIEWERS, VIEW)
INSIDE(stale_share, STALE_SHARE, VIEW)
INSIDE(stealth_ignored, STEALTH_IGNORED, VIEW)
INSIDE(memory_knows_too_much, MEMORY_KNOWS_TOO_MUCH, VIEW)
INSIDE(memory_outlives_reveal, MEMORY_OUTLIVES_REVEAL, VIEW)

#define AROUND(test, NAME, words)                                                                  \
    Test(sim_faults, test, .timeout = 120)                                                         \
    {                                                                                              \
        expect_found(#test, FAULT_NONE, SIM_FAULT_##NAME, words);                                  \
    }

AROUND(lost_replay_frame, LOST_REPLAY_FRAME, VIEW)
AROUND(view_from_wrong_tick, VIEW_FROM_WRONG_TICK, VIEW)
AROUND(tick_goes_back, TICK_GOES_BACK, " after ")
AROUND(owner_only_leaked, OWNER_ONLY_LEAKED, "only the owner")
AROUND(unexplored_hex_told, UNEXPLORED_HEX_TOLD, VIEW)
AROUND(published_before_durable, PUBLISHED_BEFORE_DURABLE, "uninterrupted run")
AROUND(ticks_used_twice, TICKS_USED_TWICE, "uninterrupted run")
AROUND(input_lost_in_recovery, INPUT_LOST_IN_RECOVERY, "journal|uninterrupted run")
AROUND(share_not_saved, SHARE_NOT_SAVED, VIEW)
AROUND(explored_not_saved, EXPLORED_NOT_SAVED, VIEW)
AROUND(update_dropped, UPDATE_DROPPED,
       VIEW "|health|carries|target|appears|changes|disappears|named")
AROUND(despawn_dropped, DESPAWN_DROPPED, "refused|sight|shown")
AROUND(job_not_saved, JOB_NOT_SAVED, "is worth")
