#ifndef SYNC_BOUNDS_H
#define SYNC_BOUNDS_H

// The shell's bounds and times, but for those that may be configured (settings.h).

enum {
    SYNC_COMMANDS_PER_CLIENT_MAX = 32, // unanswered; beyond: queue_full
    SYNC_COMMANDS_WAITING_MAX = 8192,  // of all clients, not yet sent to world; beyond: queue_full
    SYNC_BATCH_COMMANDS_MAX = 512,     // in one call of world
    SYNC_BATCHES_MAX = 4,              // calls of world under way, but for those of a building
    SYNC_BUILDS_MAX = 64,              // buildings unanswered, of all clients; beyond: queue_full
    SYNC_VIEW_CALLS_MAX = 32,          // calls of vision under way
    SYNC_RECHECKS_MAX = 32,            // tokens being verified again
    SYNC_HEARTBEAT_PARTS = 10,         // of the players, told one after the other
    SYNC_REFUSED_CLIENTS_MAX = 64,     // connections being told that the server is full
    SYNC_TOKEN_BYTES_MAX = 4096,
    SYNC_USERNAME_BYTES = 129,
    SYNC_READ_BYTES = 16384,            // taken from one socket in one turn
    SYNC_CLOSE_MS = 2000,               // for the peer's half of a close
    SYNC_SWEEP_MS = 250,                // how often deadlines are looked at
    SYNC_STALL_MS = 1500,               // without a tick the session counts as paused
    SYNC_TALK_MS = 50,                  // talk waits so long for an update to go with
    SYNC_NEWS_MS = 150,                 // news of production wait so long for a tick to go with
    SYNC_IDLE_TICKS = 20,               // an update at least that often
    SYNC_STEPS_PER_TURN = 64,           // then other sockets get their turn
    SYNC_FOLD_TICKS = 4,                // so many that wait are told as one
    SYNC_FOLD_ON_TICKS = 2,             // by a process that has just done that
    SYNC_FULL_CHUNK_BYTES = 65536,      // of one client's full state at once
    SYNC_FULL_BYTES_PER_TURN = 8 << 20, // of all clients' full states
    SYNC_ROSTER_MAX = 10000,
    SYNC_ROSTER_TOLD_MAX = 100,  // players that clients know by name
    SYNC_ROSTER_NEWS = 10,       // who comes and goes, told by name in a second
    SYNC_ROSTER_NEWS_BURST = 40, // and at once
    SYNC_ROSTER_MS = 1000,       // what is beyond is told so often
    SYNC_INSTANCE_BYTES = 8,
    SYNC_SECRET_BYTES = 16,
    SYNC_RESUME_TEXT_BYTES = 49, // of a resume token, with the NUL
    SYNC_TRAILS_MAX = 4,         // of one player's connections that ended
    SYNC_RATES_KEYS_MAX = 65536, // addresses, and players, whose handshakes and logins are counted
    SYNC_EXCESS_MAX = 100,       // messages dropped over the rate before the connection is closed
};

#endif
