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
    SIM_FAULT_COUNT,
};
extern const char *const sim_fault_names[SIM_FAULT_COUNT];

struct sim_options {
    uint64_t seed;
    uint32_t ticks; // rounds of 50 ms; world makes at most one tick in each
    enum sim_fault fault;
    bool verbose; // tells what happens on stderr
};

// What a run came across, so that a run in which nothing happened cannot pass for a proof.
struct sim_report {
    uint64_t ticks;    // made by world
    uint64_t compared; // client views held against the oracle
    uint64_t entities; // of these views, together
    uint64_t memories;
    uint64_t joins, fulls;
    uint64_t world_crashes, vision_crashes, sync_crashes, production_crashes;
    uint64_t stocks, jobs;       // stocks compared; jobs that ended well
    uint64_t replays, snapshots; // by which readers caught up
    uint64_t resumes;            // vision's restarts that went on from a checkpoint
    uint64_t jumps;              // ticks of which vision only learned the outcome
    uint64_t shares, lost, doubled;
    uint64_t asked;    // ticks in which vision's answers were held against the oracle
    uint64_t digest;   // of every message that a client read, in order
    char failure[400]; // "" if all is well
};

// Plays one seed. True if everything that was checked held.
bool sim_run(const struct sim_options *options, struct sim_report *report);

#endif
