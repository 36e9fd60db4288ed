#ifndef TESTS_SIM_TYPES_H
#define TESTS_SIM_TYPES_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/arena.h"
#include "libcommon/base/buf.h"
#include "libcommon/base/rng.h"
#include "libcommon/base/vec.h"
#include "services/production/core/production.h"
#include "services/sync/core/backlog.h"
#include "services/sync/core/budget.h"
#include "services/sync/core/resume.h"
#include "services/sync/core/served.h"
#include "services/sync/core/update.h"
#include "services/vision/core/subscribers.h"
#include "services/vision/core/vision.h"
#include "services/world/core/world.h"
#include "tests/sim/sim.h"
#include "tests/support/wire_decoder.h"
#include "tests/support/world_fixture.h"

// The parts of the simulator. Time is in rounds of 50 ms; a round goes: the weather changes, world
// makes a tick, then everything is delivered that is due, until nothing is left.

enum {
    SIM_EMPIRES = 5,
    SIM_SIDE = 64, // the map fits into [-32, 32)²: a row is a word
    SIM_HALF = SIM_SIDE / 2,
    SIM_ENTITIES = 128,
    SIM_MEMORIES = 64,
    SIM_MEMORIES_MANY = SIM_MEMORIES - 8, // a limit that no empire reaches
    SIM_HISTORY = 1024,                   // ticks the truth is kept for
    SIM_TYPES = 10,
    SIM_SIGHT_MAX = 6,
    SIM_TERRAINS = 4,
};

// --- the truth, and what follows from it ---------------------------------------------------------

struct sim_entity {
    uint64_t id;
    uint32_t slot, type, owner;
    int32_t q, r, health, sight, amount, carried, progress, rank, target_q, target_r;
    uint32_t activity;
    uint32_t sense; // mmorts.frame.SightType
    bool sight_enabled, stealthed;
};

struct sim_memory {
    uint64_t id, last_seen, expires_at;
    uint32_t type, owner;
    int32_t q, r, health;
};

// What one empire may know after a tick.
struct sim_fog {
    uint64_t visible[SIM_SIDE], explored[SIM_SIDE]; // a row is a word, a bit a hex
    bool sees[SIM_ENTITIES];                        // by position in the moment's entities
    uint32_t memory_count;
    struct sim_memory memories[SIM_MEMORIES];
};

struct sim_moment {
    uint64_t tick;
    uint32_t count;
    struct sim_entity entities[SIM_ENTITIES];
    uint64_t map[SIM_SIDE];
    uint64_t map_version; // no other map has it
    uint32_t lineage;     // of the fog; 0: none yet
    struct sim_fog fog[SIM_EMPIRES + 1];
};

enum { SIM_ALLIANCES = 4 }; // numbered from 1
struct sim_share_order {
    uint32_t alliance; // 0: from lends to `to`; else `from` is a member of it
    uint32_t from, to;
    uint64_t tick;
    bool begin;
};

// An entity in an empire's eyes: in sight, or away since it was so.
enum { SIM_ABSENCES = 256 }; // by slot
struct sim_absence {
    uint64_t id;
    bool seen, away;
    uint32_t changed; // values that were others meanwhile
    uint64_t whole_tick;
    struct sim_entity left;
};

// --- the network ---------------------------------------------------------------------------------

enum sim_node { SIM_WORLD, SIM_VISION, SIM_SYNC, SIM_PRODUCTION, SIM_NODES };
enum sim_stream { SIM_TICKS, SIM_VISIONS, SIM_PRODUCTIONS, SIM_STREAMS };

enum sim_kind {
    SIM_STREAM_MESSAGE,
    SIM_REPLAY,
    SIM_REPLAY_REPLY,
    SIM_SNAPSHOT,
    SIM_SNAPSHOT_REPLY,
    SIM_GET_VIEW,
    SIM_GET_VIEW_REPLY,
    SIM_JOIN,
    SIM_JOIN_REPLY,
    SIM_COMMAND,
    SIM_SHARE,
    SIM_TRAIN,
    SIM_SERVE,
    SIM_SERVE_REPLY,
    SIM_FOLLOW,
    SIM_FOLLOW_REPLY,
};

// Shared bytes of messages.
struct sim_bytes {
    uint32_t references;
    size_t len;
    uint8_t data[];
};
struct sim_bytes *sim_bytes_new(const void *data, size_t len);
struct sim_bytes *sim_bytes_of(const ProtobufCMessage *message);
struct sim_bytes *sim_bytes_hold(struct sim_bytes *bytes);
void sim_bytes_drop(struct sim_bytes *bytes);

struct sim_message {
    enum sim_kind kind;
    enum sim_node from, to;
    uint32_t from_life, to_life; // a node that was started again is another one
    uint32_t stream, reader;
    uint64_t call; // of a call and its reply
    uint64_t epoch, seq, tick;
    uint64_t a, b;
    bool flag;
    uint32_t late_rounds; // beyond what is usual
    int32_t q, r;
    uint64_t units[4];
    struct sim_bytes *bytes;
};

enum { SIM_WHEEL = 64 };
struct sim_mail {
    MM_VEC(struct sim_message);
};

struct sim_published {
    uint64_t seq, tick;
    struct sim_bytes *bytes;
};
enum { SIM_RING = 96 };
struct sim_publisher {
    uint64_t epoch, seq; // epoch 0: closed
    struct sim_published ring[SIM_RING];
};

enum { SIM_READER_BUFFER = 32 };
struct sim_reader {
    enum sim_node node;
    enum sim_stream stream;
    uint64_t epoch, seq; // position; epoch 0: nowhere
    bool open, catching_up, wants_snapshot;
    uint64_t call, call_until, heard;
    struct sim_message buffer[SIM_READER_BUFFER];
    size_t buffered;
};
enum sim_reader_name {
    SIM_VISION_TICKS,
    SIM_SYNC_TICKS,
    SIM_SYNC_VISIONS,
    SIM_PRODUCTION_TICKS,
    SIM_SYNC_PRODUCTIONS,
    SIM_READERS
};

// --- world ---------------------------------------------------------------------------------------

enum sim_attribute {
    SIM_HEALTH,
    SIM_OWNER,
    SIM_PROGRESS,
    SIM_CARRIED,
    SIM_ATTRIBUTES,
};

// World's core has no rules yet that change these: the simulator does, as a system of world's that
// is journaled, saved and published with the rest.
struct sim_overlay_row {
    uint64_t id;
    uint32_t mask; // bits of enum sim_attribute
    int32_t value[SIM_ATTRIBUTES];
};
struct sim_overlay {
    struct sim_overlay_row rows[SIM_ENTITIES];
    uint32_t count;
};
struct sim_op {
    uint64_t id;
    enum sim_attribute attribute;
    int32_t value;
};

enum { SIM_OPS = 4, SIM_PENDING = 16, SIM_WAITERS = 8 };
struct sim_row {
    uint64_t tick, hash;
    struct sim_bytes *inputs;
    struct sim_op ops[SIM_OPS];
    uint32_t op_count;
};

struct sim_pending {
    uint64_t tick, hash;
    bool journaled;
    struct sim_row row;
    struct sim_bytes *frame;
    struct sim_message answers[SIM_WAITERS]; // joins of this tick
    uint32_t answer_count;
    struct sim_message snapshots[SIM_WAITERS]; // asked for after this tick
    uint32_t snapshot_count;
};

// What survives crashes.
struct sim_world_store {
    struct {
        MM_VEC(struct sim_row);
    } rows;
    struct sim_bytes *saved;
    struct sim_overlay overlay;
    uint64_t saved_tick, reserved, epoch;
};

struct sim_world {
    bool up;
    uint32_t life;
    uint64_t up_at;
    struct world *core;
    struct sim_overlay overlay;
    struct sim_pending pending[SIM_PENDING];
    uint32_t pending_first, pending_count;
    uint64_t published, committed;
    uint64_t commit_at; // round in which the running commit ends; 0: none
    uint64_t commit_upto, commit_reserve;
    bool commit_reserves;
    struct sim_bytes *save; // waits for its tick to be published
    struct sim_overlay save_overlay;
    uint64_t save_tick;
    struct {
        MM_VEC(struct sim_message);
    } inbox;
    struct fixture_inputs inputs;
    uint64_t spawns, changes; // server commands so far
    struct sim_world_store store;
    // The uninterrupted run: never saved, never loaded, never crashed.
    struct world *shadow;
    struct mm_arena *shadow_arena;
};

// --- vision --------------------------------------------------------------------------------------

struct sim_vision_store {
    struct {
        MM_VEC(struct vision_explored);
    } explored; // `cells` owned
    struct {
        MM_VEC(struct vision_memory);
    } memories;
    struct {
        MM_VEC(struct sim_share_order);
    } shares;
    uint64_t rows_tick;           // as of which the rows are
    bool rows_all;                // nothing explored was left to be saved then
    struct sim_bytes *checkpoint; // packed TickFrame
    uint64_t checkpoint_tick, epoch, seq;
    struct sim_moment *moment; // the truth and fog at the checkpoint
};

struct sim_vision {
    bool up;
    uint32_t life;
    uint64_t up_at;
    struct vision *core;
    struct mm_arena *arena;
    Mmorts__Frame__Catalogue *catalogue;
    uint64_t epochs;

    bool writing, write_all, write_last; // all: no row is left; last: of its save
    bool between;                        // transactions of one save
    bool hurry, wants_checkpoint;        // the save
    size_t round_rows;                   // of it, that are not written yet
    uint64_t write_at, write_tick;
    struct vision_save save;
    struct sim_bytes *checkpoint;
    uint64_t checkpoint_tick, checkpoint_epoch, checkpoint_seq;
    struct sim_moment *checkpoint_moment;
    struct sim_vision_store store;

    // Those who read parts of the stream; NULL where nobody does.
    struct vision_subscribers *subscribers;
    struct {
        MM_VEC(struct sim_message);
    } waiting; // Replay calls, until there is something new or the round in `tick`
};

// --- production ----------------------------------------------------------------------------------

enum { SIM_ITEMS = 2, SIM_JOBS = 24, SIM_BUILDINGS = 96, SIM_STOCK_HISTORY = 256 };

// What an empire has and is making, after some message of production's stream.
struct sim_holding {
    int64_t stock[SIM_ITEMS];
    uint32_t job_count;
    uint64_t jobs[SIM_JOBS];
    bool waits[SIM_JOBS]; // for its building
};
struct sim_stock_moment {
    uint64_t epoch, seq;
    struct sim_holding of[SIM_EMPIRES + 1];
};

struct sim_building {
    uint32_t slot, owner, type;
    int32_t progress;
    uint64_t id;
};

struct sim_production {
    bool up;
    uint32_t life;
    uint64_t up_at, epochs;
    struct production *core;
    struct mm_arena *arena;
    struct production_changes changes;
    uint32_t building_count;
    struct sim_building buildings[SIM_BUILDINGS]; // as world's frames tell them
    struct sim_stock_moment history[SIM_STOCK_HISTORY];
    // Durable.
    bool founded[SIM_EMPIRES + 1];
    int64_t stock[SIM_EMPIRES + 1][SIM_ITEMS];
    struct {
        MM_VEC(struct production_job);
    } jobs;
    struct {
        MM_VEC(struct production_change);
    } answers;
};

// --- sync and its clients ------------------------------------------------------------------------

enum sim_client_state { SIM_OFFLINE, SIM_JOINING, SIM_LOOKING, SIM_PLAYING };

struct sim_known {
    uint64_t id;
    uint32_t type, owner;
    int32_t q, r, health, amount, carried, progress, rank, target_q, target_r;
    bool has_target;
    uint32_t activity;
    uint64_t last_seen, expires_at; // of memories
};

// A player's program: what it was told, by docs/client-protocol.md alone.
struct sim_player {
    uint32_t empire;
    uint64_t tick; // never goes back, not across connections either
    uint64_t named;
    uint64_t visible[SIM_SIDE], explored[SIM_SIDE];
    uint32_t entity_count, memory_count;
    struct sim_known entities[SIM_ENTITIES], memories[SIM_MEMORIES];
    int64_t stock[SIM_ITEMS]; // -1: never told
    uint32_t job_count;
    uint64_t jobs[SIM_JOBS]; // open ones
    struct wire_decoder decoder;

    // For coming back.
    uint64_t token; // of the last `welcome`; 0: none
    uint64_t last_tick, settled_tick;
    bool has_budget; // some of what there is to tell may be told later
    bool complete;   // everything was told once since the last reset
    bool resuming;   // `resumed` came, and the update that goes with it has not
};

// Where a client is in its view's stream: its own while it is connected, then the seat's.
struct sim_trail {
    uint64_t secret, first_tick, told_tick, until;
    uint32_t generation, names_epoch;
    enum sync_encoding encoding;
    bool aligned; // it was led to a tick that others of its view were told more in
};

// What sync has of a player: a view for all its connections, and trails of those that ended.
enum { SIM_CONNECTIONS = 2, SIM_CLIENTS = SIM_CONNECTIONS * SIM_EMPIRES, SIM_TRAILS = 4 };
struct sim_seat {
    struct sync_view *view;
    uint64_t view_call, view_until, view_retry;
    uint64_t served_from; // the revision of what is served that the view came with
    uint64_t next_seq;
    uint32_t trail_count;
    struct sim_trail trails[SIM_TRAILS];
};

// Those of one player are SIM_EMPIRES apart.
struct sim_client {
    struct sim_player player;
    bool exists; // else this player has fewer connections
    enum sim_client_state state;
    uint32_t life; // of the connection
    enum sync_encoding encoding;

    // The connection breaks: so many messages still arrive, and in that round sync notices.
    bool breaking;
    uint32_t arrives;
    uint64_t noticed_at;

    // As in services/sync: what it may be sent, is owed, and must be told again.
    uint32_t bytes_per_second, bytes_carried; // 0: any number
    struct sync_budget budget;
    struct sync_backlog *backlog;
    uint64_t sent, settled_tick;
    bool overflowed, behind, catch_up, resuming;
    bool parted; // in this step: told only a part
    struct sim_trail trail;
    uint64_t call_until, offline_until;
    uint64_t tick_min, updated_tick;
    unsigned blocked;
    struct sync_full full;
};

// Where sync reads a part of the vision stream: what it told vision, and its place in the part.
struct sim_serving {
    struct sync_served served;
    uint64_t tell_call, tell_until, tell_at;
    uint64_t follow_call, follow_until, follow_at, retry_rounds;
    bool started; // the place means something
    uint64_t epoch, seq;
};

struct sim_sync {
    bool up;
    uint32_t life;
    uint64_t up_at;
    struct sync_core core;
    struct sync_encoder encoder;
    struct mm_buf out;
    struct sync_delta part, news;
    uint64_t stock_epoch, stock_seq; // production's message applied last
    struct sim_serving serving;
};

// --- all of it -----------------------------------------------------------------------------------

// Chances are per 10,000 rounds.
struct sim_weather {
    uint32_t delay_max, loss, doubled, partition;
    uint32_t world_crash, vision_crash, sync_crash, world_clean_stop;
    uint32_t store_away, commit_max;
    uint32_t production_crash;
    uint32_t reconnect, again, slow, share, spawn, despawn, change, command, train;
};

struct sim {
    struct sim_options options;
    struct sim_report *report;
    struct mm_rng rng;
    struct sim_weather weather;
    bool calm; // the end: nothing breaks any more
    uint64_t round;
    uint64_t calls;
    uint64_t joined; // empires founded so far
    uint64_t cut_until[SIM_NODES][SIM_NODES];
    uint64_t store_away_until;
    struct sim_mail wheel[SIM_WHEEL];
    struct sim_publisher publishers[SIM_STREAMS];
    struct sim_reader readers[SIM_READERS];
    struct sim_world world;
    struct sim_vision vision;
    struct sim_production production;
    struct sim_sync sync;
    struct sim_seat seats[SIM_EMPIRES];
    struct sim_client clients[SIM_CLIENTS];

    struct sim_moment *history; // by tick modulo
    uint64_t fog_tick;          // newest tick for which vision's work was foreseen
    uint32_t memories_max;      // vision's limit per empire
    bool terrain_blocks;        // terrain shortens sight
    bool several;               // some players have several connections
    bool parts;                 // sync reads only what concerns its own empires
    bool beacons_only;          // allies lend only what their beacons see
    uint32_t save_rows;         // of vision's, in a transaction
    uint32_t resume_ticks;      // for how long sync keeps what a client needs to go on; 0: never
    uint32_t lineage;
    struct {
        MM_VEC(uint32_t);
    } lineage_of_epoch; // of the vision stream
    struct {
        MM_VEC(struct sim_share_order);
    } shares;
    struct sim_absence absences[SIM_EMPIRES + 1][SIM_ABSENCES];
    uint8_t terrain[SIM_SIDE][SIM_SIDE];
    uint32_t map_chunks; // that `map` is of
    uint64_t map[SIM_SIDE], map_version;
    uint64_t empire_ids[SIM_EMPIRES + 1];
    struct world_rules *rules;
    bool fault_done;
};

#endif
