#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The deterministic simulator: the cores of world, vision, production and sync in one process,
// between them a simulated network, below them a simulated store, in front of them simulated
// players. One seed decides everything: two runs of a seed are the same to the byte.
// docs/simulator.md.

// Bugs that are planted on purpose, around the cores. Those within vision's core are in
// test_faults.c.
enum sim_fault {
    SIM_FAULT_NONE,
    SIM_FAULT_LOST_REPLAY_FRAME,        // what a frame says is lost when it is replayed
    SIM_FAULT_VIEW_FROM_WRONG_TICK,     // a view is continued from the tick after its own
    SIM_FAULT_TICK_GOES_BACK,           // an update bears an older tick
    SIM_FAULT_OWNER_ONLY_LEAKED,        // a stranger's unit is shown with what it carries
    SIM_FAULT_UNEXPLORED_HEX_TOLD,      // a hex is told that was never seen
    SIM_FAULT_PUBLISHED_BEFORE_DURABLE, // world publishes what a crash can take back
    SIM_FAULT_TICKS_USED_TWICE,         // world forgets how far it had reserved ticks
    SIM_FAULT_INPUT_LOST_IN_RECOVERY,   // a journal row is not replayed
    SIM_FAULT_SHARE_NOT_SAVED,          // a restarted vision does not know who shares
    SIM_FAULT_EXPLORED_NOT_SAVED,       // a restarted vision has forgotten explored hexes
    SIM_FAULT_UPDATE_DROPPED,           // a client's update is lost between sync and client
    SIM_FAULT_DESPAWN_DROPPED,          // a despawn is missing in what sync hears
    SIM_FAULT_JOB_NOT_SAVED,            // production's transaction lacks a job
    SIM_FAULT_STEP_ASTRAY,              // binary: a unit steps in the next direction
    SIM_FAULT_NUMBER_OFF_BY_ONE,        // binary: what changed is what has the next number
    SIM_FAULT_STEP_TWICE,               // binary: an update is applied twice
    SIM_FAULT_RESUMED_TOO_LATE,         // who comes back is told what changed from a tick too late
    SIM_FAULT_RESUMED_BEFORE_FULL,      // a client goes on from before a full state
    SIM_FAULT_OWED_FORGOTTEN,           // what a budget did not allow is never told
    SIM_FAULT_SET_NOT_AWAITED,          // parts: a view is given before its frames are
    SIM_FAULT_OLDER_SET_WINS,           // parts: what was served before replaces what is
    SIM_FAULT_SET_IN_EFFECT_LATE,       // parts: a frame too late
    SIM_FAULT_RETURN_NOT_TOLD,          // what comes back as it left is taken for unchanged
    SIM_FAULT_TARGET_NOT_TOLD,          // the changes of where units go are lost
    SIM_FAULT_NOT_ALIGNED,              // several of a player's are told from one's tick
    SIM_FAULT_ALIGNED_TAKEN_FOR_TOLD,   // what one was only led to is taken for told
    SIM_FAULT_OTHERS_FORGOTTEN,         // names begin anew while another client knows them
    SIM_FAULT_COUNT,
};
extern const char *const sim_fault_names[SIM_FAULT_COUNT];

struct sim_options {
    uint64_t seed;
    uint32_t ticks; // rounds of 50 ms; world makes at most one tick in each
    enum sim_fault fault;
    bool verbose; // tells what happens on stderr
};

// What a run came across, so that a run in which nothing happened cannot pass for a proof: its name
// here, how often it must happen at least in a million rounds of many seeds (a quarter or so of how
// often it does), and what it is.
#define SIM_COUNTS(X)                                                                              \
    X(ticks, 500000, "ticks made by world")                                                        \
    X(compared, 1000000, "client views held against the oracle")                                   \
    X(compared_binary, 400000, "of these, of clients told in the binary encoding")                 \
    X(compared_parts, 80000, "views of clients that are owed something")                           \
    X(entities, 40000000, "entities in the views compared")                                        \
    X(memories, 9000000, "memories in them")                                                       \
    X(stocks, 1000000, "stocks compared")                                                          \
    X(asked, 4000, "ticks in which vision was asked for its reasons and caches")                   \
    X(joins, 1000, "connections of clients")                                                       \
    X(fulls, 2000, "full states")                                                                  \
    X(agains, 400, "of these, because a client asked for everything again")                        \
    X(resumed, 300, "clients that came back and went on")                                          \
    X(resumed_binary, 100, "of these, in the binary encoding")                                     \
    X(not_resumed, 1000, "clients that came back too late, or to another process")                 \
    X(catch_ups, 700, "clients that did not read and were told what they missed")                  \
    X(deferrals, 80000, "updates that did not tell all")                                           \
    X(world_crashes, 200, "crashes of world")                                                      \
    X(vision_crashes, 300, "crashes of vision")                                                    \
    X(both_crashes, 70, "of both at once")                                                         \
    X(sync_crashes, 70, "crashes of sync")                                                         \
    X(production_crashes, 100, "crashes of production")                                            \
    X(torn_saves, 100, "crashes of vision between two transactions of a save")                     \
    X(replays, 70000, "messages that readers caught up by")                                        \
    X(snapshots, 1000, "snapshots that they caught up by")                                         \
    X(resumes, 300, "restarts of vision that went on from a checkpoint")                           \
    X(jumps, 300, "ticks of which vision only learned the outcome")                                \
    X(lost, 10000, "messages lost")                                                                \
    X(doubled, 10000, "messages doubled")                                                          \
    X(jobs, 1000, "jobs that ended well")                                                          \
    X(shares, 600, "empires that lent their sight, or ended it")                                   \
    X(allied, 500, "empires that entered an alliance, or left it")                                 \
    X(lent, 900000, "empires and ticks that had another's sight")                                  \
    X(lent_beacons, 90000, "or what its beacons see")                                              \
    X(spawned, 3000, "entities spawned by commands")                                               \
    X(despawned, 3000, "entities removed by commands")                                             \
    X(owners, 800, "changes of owner")                                                             \
    X(eyes, 10000, "changes of sight and stealth")                                                 \
    X(hidden, 3000000, "stealthed entities that stood unseen in somebody's sight")                 \
    X(detected, 1000000, "stealthed entities seen by somebody's detectors")                        \
    X(shaded, 100000, "hexes in range that terrain hid")                                           \
    X(died_seen, 7000, "entities that ended in somebody's sight")                                  \
    X(died_unseen, 1000, "entities that ended while somebody remembered them")                     \
    X(revealed, 2000, "memories whose place was seen again without them")                          \
    X(expired, 4000, "memories that expired")                                                      \
    X(evicted, 5000, "memories that gave way to the limit")                                        \
    X(torn_resumes, 100, "restarts from a save that a crash cut in two")                           \
    X(compared_parted, 300000, "views compared of clients whose sync reads a part of the stream")  \
    X(parts, 100000, "frames cut for one who serves some empires")                                 \
    X(parts_shared, 500, "of these, such as were cut for another who serves the same")             \
    X(serves, 2000, "sets of empires that vision took")                                            \
    X(serves_older, 150, "sets that came after a later one")                                       \
    X(serves_full, 5, "sets refused because there were too many subscribers")                      \
    X(views_early, 400, "views refused because their frames would not go on")                      \
    X(unknown, 300, "times that vision did not know who reads a part")                             \
    X(leases, 40, "parts that nobody read any more")                                               \
    X(compared_beside, 300000, "views compared of clients whose player has another one")           \
    X(beside, 80000, "updates told to several clients of a player")                                \
    X(joins_beside, 500, "clients that came when their player was connected already")              \
    X(resumed_beside, 70, "of these, those that went on where they had stopped")                   \
    X(aligned, 150, "clients led to the tick of others")                                           \
    X(returned, 15000,                                                                             \
      "values that came back into sight as they had left it, and were others between")             \
    X(returned_health, 3000, "of these, healths")                                                  \
    X(returned_owner, 8, "owners")                                                                 \
    X(returned_whole, 2500, "entities of which nothing else had changed either")

struct sim_report {
#define SIM_COUNT(name, least, what) uint64_t name;
    SIM_COUNTS(SIM_COUNT)
#undef SIM_COUNT
    uint64_t digest;   // of every message that a client read, in order
    char failure[400]; // "" if all is well
};

// Plays one seed. True if everything that was checked held.
bool sim_run(const struct sim_options *options, struct sim_report *report);

#endif
