#ifndef TESTS_SIM_INTERNAL_H
#define TESTS_SIM_INTERNAL_H

#include "gen/frame.pb-c.h"
#include "libcommon/base/arena.h"
#include "libcommon/base/buf.h"
#include "libcommon/base/rng.h"
#include "libcommon/base/vec.h"
#include "services/production/core/production.h"
#include "services/sync/core/backlog.h"
#include "services/sync/core/budget.h"
#include "services/sync/core/resume.h"
#include "services/sync/core/update.h"
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
    SIM_HISTORY = 4096,                   // ticks the truth is kept for
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
    bool rows_all;                // nothing more was to be saved then
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

    bool writing, write_all;
    bool between;          // transactions of one save
    bool wants_checkpoint; // with the last of them
    bool torn;             // goes on from a save that was cut in two
    uint64_t write_at, write_tick;
    struct vision_save save;
    struct sim_bytes *checkpoint;
    uint64_t checkpoint_epoch, checkpoint_seq;
    struct sim_moment *checkpoint_moment;
    struct sim_vision_store store;
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

// What sync keeps of a client whose connection ended.
struct sim_trail {
    uint64_t secret, first_tick, told_tick, until;
    uint32_t generation, names_epoch;
    enum sync_encoding encoding;
    bool kept; // the client is away; its view lives on
};

struct sim_client {
    struct sim_player player;
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
    struct sim_trail trail;
    uint64_t call_until, offline_until;
    uint64_t next_seq;
    uint64_t tick_min, updated_tick;
    unsigned blocked;
    struct sync_view *view;
    struct sync_full full;
    uint64_t view_call, view_until, view_retry;
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
};

// --- all of it -----------------------------------------------------------------------------------

// Chances are per 10,000 rounds.
struct sim_weather {
    uint32_t delay_max, loss, doubled, partition;
    uint32_t world_crash, vision_crash, sync_crash, world_clean_stop;
    uint32_t store_away, commit_max;
    uint32_t production_crash;
    uint32_t reconnect, slow, share, spawn, despawn, change, command, train;
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
    struct sim_client clients[SIM_EMPIRES];

    struct sim_moment *history; // by tick modulo
    uint64_t fog_tick;          // newest tick for which vision's work was foreseen
    uint32_t memories_max;      // vision's limit per empire
    bool terrain_blocks;        // terrain shortens sight
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
    uint8_t terrain[SIM_SIDE][SIM_SIDE];
    uint32_t map_chunks; // that `map` is of
    uint64_t map[SIM_SIDE], map_version;
    uint64_t empire_ids[SIM_EMPIRES + 1];
    struct world_rules *rules;
    bool fault_done;
};

static inline bool sim_failed(const struct sim *sim)
{
    return sim->report->failure[0] != '\0';
}
// The first one is kept.
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_tell(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline uint64_t sim_below(struct sim *sim, uint64_t bound)
{
    return mm_rng_below(&sim->rng, bound);
}
static inline bool sim_chance(struct sim *sim, uint32_t per_myriad)
{
    return per_myriad > 0 && mm_rng_below(&sim->rng, 10000) < per_myriad;
}
static inline bool sim_on_map(int32_t q, int32_t r)
{
    return q >= -SIM_HALF && q < SIM_HALF && r >= -SIM_HALF && r < SIM_HALF;
}
static inline bool sim_bit(const uint64_t *rows, int32_t q, int32_t r)
{
    return sim_on_map(q, r) && (rows[r + SIM_HALF] >> (q + SIM_HALF) & 1);
}

// sim_net.c
void sim_send(struct sim *sim, struct sim_message message);
void sim_deliver_due(struct sim *sim);
void sim_mail_free(struct sim *sim);
uint32_t sim_life(const struct sim *sim, enum sim_node node);
void sim_publisher_open(struct sim *sim, enum sim_stream stream, uint64_t epoch);
void sim_publisher_close(struct sim *sim, enum sim_stream stream);
void sim_publish(struct sim *sim, enum sim_stream stream, uint64_t tick, struct sim_bytes *bytes);
void sim_reader_open(struct sim *sim, enum sim_reader_name name, uint64_t epoch, uint64_t seq);
void sim_reader_close(struct sim *sim, enum sim_reader_name name);
void sim_reader_restart(struct sim *sim, enum sim_reader_name name);
void sim_readers_tick(struct sim *sim);
void sim_reader_take(struct sim *sim, const struct sim_message *message);
void sim_reader_catch_up_reply(struct sim *sim, const struct sim_message *message);
void sim_replay_asked(struct sim *sim, const struct sim_message *message);

// sim_world.c, sim_recover.c
enum { SIM_RESERVE_TICKS = 40, SIM_INPUTS_MAX = 64 };
void sim_store_commit(struct sim *sim);
void sim_save_begin(struct sim_world *world);
void sim_save_durable(struct sim_world *world);
void sim_shadow_step(struct sim_world *world, const struct sim_row *row, uint64_t upto);
struct world_rules *sim_rules_new(void);
void sim_world_init(struct sim *sim);
void sim_world_free(struct sim *sim);
void sim_world_start(struct sim *sim);
void sim_world_crash(struct sim *sim);
void sim_world_round(struct sim *sim);
void sim_world_take(struct sim *sim, const struct sim_message *message);

// sim_frame.c: world's frames with the simulator's own attributes in them, and the truth
void sim_overlay_apply(struct sim_overlay *overlay, const struct sim_op *ops, uint32_t count,
                       const struct world *core);
struct sim_bytes *sim_frame_pack(const struct sim_world *world, const struct sim_op *ops,
                                 uint32_t count, bool snapshot, struct mm_arena *arena);
void sim_truth_take(struct sim *sim, struct sim_moment *moment);

// sim_vision.c, sim_vision_store.c
void sim_vision_init(struct sim *sim);
void sim_vision_make(struct sim *sim); // a core with what is stored, but for the checkpoint
void sim_vision_free(struct sim *sim);
void sim_vision_start(struct sim *sim);
void sim_vision_crash(struct sim *sim);
void sim_vision_round(struct sim *sim);
void sim_vision_take(struct sim *sim, const struct sim_message *message);
void sim_vision_frame(struct sim *sim, const struct sim_message *message, bool snapshot);
void sim_vision_live(struct sim *sim); // its reader has caught up

// sim_fog.c: the oracle
static inline struct sim_moment *sim_moment(struct sim *sim, uint64_t tick)
{
    return &sim->history[tick % SIM_HISTORY];
}
// What follows for everybody from what was known after `before` and from `now`; before->lineage 0:
// nothing was known.
// Whether the entity, an observer, sees the hex; and whether the empire has its sight.
bool sim_fog_reaches(const struct sim *sim, const struct sim_moment *now,
                     const struct sim_entity *entity, int32_t q, int32_t r);
bool sim_fog_lends(const struct sim *sim, const struct sim_moment *now,
                   const struct sim_entity *entity, uint32_t to);
void sim_fog_step(struct sim *sim, const struct sim_moment *before, struct sim_moment *now,
                  uint64_t previous_tick);
// Gives the core an order about sharing.
void sim_vision_order(struct sim *sim, const struct sim_share_order *order);

// sim_ask.c: vision's answers to questions, against the truth of the tick.
void sim_vision_ask(struct sim *sim, const struct sim_moment *now);

// What types are like, by the rules of the game.
struct sim_type {
    const char *name;
    Mmorts__Frame__Kind kind;
    uint32_t sight, sense, flags, ticks_per_hex; // sense: mmorts.frame.SightType
    int32_t memory_ticks;                        // -1: not remembered, 0: for ever
};
extern const struct sim_type sim_types[SIM_TYPES];
static inline uint32_t sim_health_max(uint32_t type)
{
    return 100 + type;
}
extern const char *const sim_terrains[SIM_TERRAINS];
extern const uint32_t sim_sight_costs[SIM_TERRAINS];

// sim_production.c
extern const char *const sim_items[SIM_ITEMS];
extern const char *const sim_recipes[2];
void sim_production_init(struct sim *sim);
void sim_production_free(struct sim *sim);
void sim_production_crash(struct sim *sim);
void sim_production_round(struct sim *sim);
void sim_production_take(struct sim *sim, const struct sim_message *message);
void sim_production_frame(struct sim *sim, const struct sim_message *message);

// sim_sync.c
void sim_sync_production(struct sim *sim, const struct sim_message *message);
void sim_sync_init(struct sim *sim);
void sim_sync_free(struct sim *sim);
void sim_sync_start(struct sim *sim);
void sim_sync_crash(struct sim *sim);
void sim_sync_round(struct sim *sim);
void sim_sync_deliver(struct sim *sim);
void sim_sync_take(struct sim *sim, const struct sim_message *message);
void sim_sync_tick(struct sim *sim, const struct sim_message *message, bool snapshot);
void sim_sync_vision(struct sim *sim, const struct sim_message *message);

// sim_deliver.c: what sync tells its clients
void sim_deliver_step(struct sim *sim);
void sim_owing_forget(struct sim_client *client);

// sim_player.c
void sim_player_reset(struct sim_player *player);
void sim_player_welcome(struct sim_player *player, uint64_t token, bool resumed);
void sim_player_take(struct sim *sim, struct sim_player *player, const char *text, size_t len);
// What both encodings say, with what is known of an entity or memory.
void sim_player_appeared(struct sim *sim, struct sim_player *player, struct sim_known known);
void sim_player_disappeared(struct sim *sim, struct sim_player *player, uint64_t id);
void sim_player_hex(struct sim *sim, struct sim_player *player, int32_t q, int32_t r,
                    uint32_t state, bool with_terrain);
void sim_player_remember(struct sim *sim, struct sim_player *player, struct sim_known known,
                         bool was_in_sight);
void sim_player_job(struct sim_player *player, uint64_t id, bool open);
void sim_player_update(struct sim *sim, struct sim_player *player, uint64_t tick);
void sim_player_updated(struct sim_player *player, bool full, bool only_names, uint64_t deferred);
void sim_player_resumed(struct sim_player *player);
struct sim_known *sim_player_find(struct sim_known *list, uint32_t count, uint64_t id);
bool sim_player_drop(struct sim_known *list, uint32_t *count, uint64_t id);
// sim_binary.c: the same, of a binary message
void sim_player_take_binary(struct sim *sim, struct sim_player *player, const uint8_t *data,
                            size_t len);
// sim_compare.c
// Of a player that was not told everything: no more is missing or old than it was told.
void sim_player_compare_part(struct sim *sim, const struct sim_player *player,
                             const struct sim_moment *moment, uint64_t deferred);
void sim_player_compare(struct sim *sim, const struct sim_player *player,
                        const struct sim_moment *moment);
void sim_player_compare_stock(struct sim *sim, const struct sim_player *player);

// sim_play.c
void sim_weather_choose(struct sim *sim);
void sim_play_round(struct sim *sim);

#endif
