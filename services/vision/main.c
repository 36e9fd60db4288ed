#include "services/vision/app.h"

#include <stddef.h>

#define SETTING(member) offsetof(struct vision_app, settings.member)
#define TICKS_MAX       (INT64_C(1) << 40)

// clang-format off
#define BOOL_FIELD(key, member_, text) \
    {.path = key, .type = MM_CONFIG_BOOL, .offset = SETTING(member_), .fallback = "true", .help = text}
#define INT_FIELD(key, member_, default_, min_, max_, unit_, text) \
    {.path = key, .type = MM_CONFIG_INT, .offset = SETTING(member_), .fallback = default_, \
     .min = min_, .max = max_, .unit = unit_, .help = text}
#define TIME_FIELD(key, member_, default_, min_, max_, text) \
    {.path = key, .type = MM_CONFIG_DURATION, .offset = SETTING(member_), .fallback = default_, \
     .min = min_, .max = max_, .help = text}
// clang-format on

static const struct mm_config_field fields[] = {
    INT_FIELD("vision.update_interval", update_interval_ticks, "1", 1, 1200, "ticks",
              "moves of observers count in ticks divisible by this"),
    BOOL_FIELD("vision.auto_share_group_vision", alliances_share,
               "allies see what each of them sees; false: only what their shared observers see"),
    INT_FIELD("vision.entities_max", entities_max, "1048576", 1, 1 << 24, "entities",
              "highest entity index accepted from world"),
    INT_FIELD("vision.empires_max", empires_max, "65536", 1, 1 << 24, "empires",
              "highest empire number accepted from world"),
    INT_FIELD("vision.chunks_max", chunks_max, "1048576", 1, 1 << 24, "chunks",
              "chunks known at most"),
    {.path = "alliances.kind",
     .type = MM_CONFIG_STRING,
     .offset = SETTING(alliance_kind),
     .fallback = "alliance",
     .help = "kind of social's groups whose members are allies; empty: none"},
    TIME_FIELD("alliances.reread", alliance_reread_ms, "30s", 100, 3600000,
               "memberships are read anew so often, besides following social's events"),
    BOOL_FIELD("vision_cache.enable", memory_enabled, "remember entities that left sight"),
    BOOL_FIELD("vision_cache.cache_buildings", buildings, "remember buildings"),
    BOOL_FIELD("vision_cache.cache_npcs", npcs, "remember creatures"),
    BOOL_FIELD("vision_cache.cache_hero_units", heroes, "remember heroes"),
    BOOL_FIELD("vision_cache.cache_endgame_units", endgame, "remember end-game units"),
    INT_FIELD("vision_cache.settlement_duration", settlement_ticks, "0", 0, TICKS_MAX, "ticks",
              "how long settlements are remembered; 0 = for ever"),
    INT_FIELD("vision_cache.building_duration", building_ticks, "12000", 0, TICKS_MAX, "ticks",
              "how long other buildings are remembered; 0 = for ever"),
    INT_FIELD("vision_cache.npc_duration", npc_ticks, "0", 0, TICKS_MAX, "ticks",
              "how long creatures are remembered; 0 = for ever"),
    INT_FIELD("vision_cache.hero_duration", hero_ticks, "36000", 0, TICKS_MAX, "ticks",
              "how long heroes are remembered; 0 = for ever"),
    INT_FIELD("vision_cache.endgame_duration", endgame_ticks, "0", 0, TICKS_MAX, "ticks",
              "how long end-game units are remembered; 0 = for ever"),
    INT_FIELD("vision_cache.max_per_empire", memories_per_empire_max, "1000", 0, 1 << 20,
              "entities", "remembered at most; beyond, those that expire first give way"),
    INT_FIELD("subscriptions.max", subscriptions_max, "16", 0, 32, "subscriptions",
              "parts of the stream made at once for readers that serve some empires only"),
    TIME_FIELD("subscriptions.lease", lease_ms, "15s", 500, 3600000,
               "a part that nobody asked for so long is not made any more"),
    TIME_FIELD("store.save_interval", save_interval_ms, "15s", 50, 3600000,
               "what was newly explored or remembered is written after this at most"),
    TIME_FIELD("store.checkpoint_interval", checkpoint_interval_ms, "20s", 500, 3600000,
               "time between checkpoints of world's state, from which a restart replays"),
    TIME_FIELD("store.replay_max", replay_max_ms, "1s", 50, 3600000,
               "a checkpoint is due earlier if the ticks since the last took so long to apply"),
    TIME_FIELD("store.hold_max", hold_max_ms, "2s", 50, 3600000,
               "ticks wait so long to know whether a change of sharing is durable"),
    TIME_FIELD("store.retry", retry_ms, "500ms", 10, 60000, "wait after the database failed"),
};

int main(int argc, char **argv)
{
    static const char *const peers[] = {"auth", "world", "social", NULL};
    static const char *const stream_peers[] = {"world", NULL};
    static const struct mm_service_spec spec = {
        .name = "vision",
        .summary = "what every empire sees, has seen and remembers",
        .exits = "3 another process has taken the session over",
        .port = 7120,
        .uses = MM_SERVICE_DB | MM_SERVICE_DB_BACKGROUND | MM_SERVICE_STREAM | MM_SERVICE_REDIS,
        .redis_optional = true,
        .peers = peers,
        .stream_peers = stream_peers,
        .fields = fields,
        .field_count = sizeof fields / sizeof *fields,
        .state_bytes = sizeof(struct vision_app),
        .start = vision_start_service,
        .drain = vision_drain_service,
        .stop = vision_stop_service,
    };
    return mm_service_main(argc, argv, &spec);
}
