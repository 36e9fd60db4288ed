// The simulator's oracles are proven by bugs that they must find: some planted around the cores
// (sim.h), some within vision's core, of which this program has one of its own: the real sources
// compiled with the fault hooks of services/vision/core/fault.h switched on.

#include "tests/sim/sim.h"
#include "tests/support/vision_faults.h"

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

Test(sim_faults, nothing_is_found_where_nothing_is_planted, .timeout = 300)
{
    char failure[400] = "";
    cr_expect_eq(seeds_until_found(FAULT_NONE, SIM_FAULT_NONE, failure, sizeof failure), 0, "%s",
                 failure);
}

// What a difference between a client and the oracle is told in.
#define VIEW "visible|explored|explained|sight|remembered|shown|terrain|its cache has"

#define INSIDE(test, NAME, words)                                                                  \
    Test(sim_faults, test, .timeout = 300)                                                         \
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
    Test(sim_faults, test, .timeout = 300)                                                         \
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
       VIEW "|health|carries|target|appears|changes|disappears|named|is at tick")
AROUND(despawn_dropped, DESPAWN_DROPPED, "refused|sight|shown")
AROUND(job_not_saved, JOB_NOT_SAVED, "is worth")
AROUND(step_astray, STEP_ASTRAY, "is shown at|shown otherwise")
AROUND(number_off_by_one, NUMBER_OFF_BY_ONE, "is shown at|shown otherwise|not in sight|unreadable")
AROUND(step_twice, STEP_TWICE, "is shown at|shown otherwise|is at tick|not in sight")
AROUND(resumed_too_late, RESUMED_TOO_LATE, VIEW "|health|carries|target|unreadable|changes|named")
AROUND(resumed_before_full, RESUMED_BEFORE_FULL, VIEW "|named|health|unreadable")
AROUND(return_not_told, RETURN_NOT_TOLD, "in sight and not shown")
AROUND(target_not_told, TARGET_NOT_TOLD, "target|otherwise")
AROUND(set_not_awaited, SET_NOT_AWAITED, VIEW "|health|not there, or not in sight")
AROUND(older_set_wins, OLDER_SET_WINS, VIEW "|health|not there, or not in sight")
AROUND(set_in_effect_late, SET_IN_EFFECT_LATE, VIEW "|health|not there, or not in sight")
AROUND(not_aligned, NOT_ALIGNED, "is at tick|otherwise|is shown at|unreadable")
AROUND(aligned_taken_for_told, ALIGNED_TAKEN_FOR_TOLD,
       VIEW "|health|carries|target|unreadable|named")
AROUND(others_forgotten, OTHERS_FORGOTTEN, "owned by|named|unreadable|an empire's number|otherwise")
AROUND(owed_forgotten, OWED_FORGOTTEN, VIEW "|health|changes|unreadable|otherwise")
