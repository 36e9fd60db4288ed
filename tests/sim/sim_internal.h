#ifndef TESTS_SIM_INTERNAL_H
#define TESTS_SIM_INTERNAL_H

#include "tests/sim/sim_types.h"

// What the simulator's parts do for each other.

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
// A stream's ring by itself.
void sim_publisher_push(struct sim_publisher *publisher, uint64_t tick, struct sim_bytes *bytes);
void sim_publisher_clear(struct sim_publisher *publisher);
uint64_t sim_publisher_oldest(const struct sim_publisher *publisher);
struct sim_bytes *sim_replay_pack(const struct sim_publisher *publisher, uint64_t from);
// Takes the message at that place of a packed answer, with bytes of its own; the next place.
size_t sim_replay_next(const struct sim_bytes *packed, size_t at, struct sim_message *out);

// sim_parts.c: parts of the vision stream; nothing where sync reads the whole stream
void sim_parts_open(struct sim *sim);
void sim_parts_close(struct sim *sim);
void sim_parts_round(struct sim *sim);
void sim_parts_restart(struct sim *sim);
void sim_parts_frame(struct sim *sim, const Mmorts__Frame__VisionFrame *frame);
void sim_parts_take(struct sim *sim, const struct sim_message *message);
// The part that goes on with the view that is asked for; NULL: none does.
const struct sim_publisher *sim_parts_of_view(struct sim *sim, const struct sim_message *message);
void sim_serving_start(struct sim *sim);
void sim_serving_round(struct sim *sim);
void sim_serving_take(struct sim *sim, const struct sim_message *reply);

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
void sim_vision_jumped(struct sim *sim); // a snapshot of world's was applied
void sim_vision_take(struct sim *sim, const struct sim_message *message);
void sim_vision_frame(struct sim *sim, const struct sim_message *message, bool snapshot);
void sim_vision_live(struct sim *sim);      // its reader has caught up
uint64_t sim_vision_epoch(struct sim *sim); // another one, for a stream that begins

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

// sim_return.c: what comes back into sight as it was, and was not meanwhile
void sim_return_note(struct sim *sim, uint32_t empire, const struct sim_moment *before,
                     const struct sim_moment *now, const struct sim_entity *entity, bool sees);
// A change that somebody does not see, or one back to what he saw last. False: none for now.
bool sim_return_prepare(struct sim *sim, struct sim_op *out);
// Whether the entity in the slot came back in that tick with all values that it had left with.
bool sim_returned_whole(struct sim *sim, uint32_t empire, uint32_t slot, uint64_t tick);

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
static inline struct sim_seat *sim_seat_of(struct sim *sim, const struct sim_client *client)
{
    return &sim->seats[(size_t)(client - sim->clients) % SIM_EMPIRES];
}
static inline uint64_t sim_player_of(const struct sim *sim, const struct sim_client *client)
{
    return (uint64_t)(client - sim->clients) % SIM_EMPIRES + 1;
}
static inline bool sim_is_seated(const struct sim_client *client)
{
    return client->state == SIM_LOOKING || client->state == SIM_PLAYING;
}
// The seat's next client that sits on it, after `previous` (NULL: the first); NULL: there is none.
struct sim_client *sim_seat_next(struct sim *sim, const struct sim_seat *seat,
                                 const struct sim_client *previous);
void sim_sync_production(struct sim *sim, const struct sim_message *message);
void sim_sync_init(struct sim *sim);
// The client's connection breaks: less than so many messages more will arrive.
void sim_sync_break(struct sim *sim, struct sim_client *client, uint64_t messages);
void sim_sync_free(struct sim *sim);
void sim_sync_start(struct sim *sim);
void sim_sync_crash(struct sim *sim);
void sim_sync_round(struct sim *sim);
void sim_sync_deliver(struct sim *sim);
void sim_sync_take(struct sim *sim, const struct sim_message *message);
void sim_sync_tick(struct sim *sim, const struct sim_message *message, bool snapshot);
void sim_sync_vision(struct sim *sim, const struct sim_message *message);

// sim_wire.c: whether the next message still gets through; and messages
bool sim_wire_arrives(struct sim_client *client);
void sim_wire_bytes(struct sim *sim, struct sim_client *client, const void *data, size_t len);
void sim_wire_message(struct sim *sim, struct sim_client *client,
                      const struct sync_message *message);

// sim_deliver.c: what sync tells its clients
void sim_deliver_step(struct sim *sim);
void sim_deliver_again(struct sim *sim, struct sim_client *client); // the answer to `join`
void sim_owing_forget(struct sim_client *client);

// sim_trails.c: going on where a client stopped; what is to be told goes to sync.out and sync.news
bool sim_trail_keep(struct sim *sim, struct sim_client *client);
void sim_trails_expire(struct sim *sim, struct sim_seat *seat);
bool sim_trail_resume(struct sim *sim, struct sim_client *client);
bool sim_trail_catch_up(struct sim *sim, struct sim_client *client);
void sim_trail_told_all(struct sim *sim, struct sim_client *client);

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
