// The Redis client's life: options, both connections, keep-alive, statistics.

#include "libcommon/io/redis.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/str.h"
#include "libcommon/io/redis_internal.h"

static uint32_t or_default(uint32_t value, uint32_t default_value)
{
    return value ? value : default_value;
}

static enum mm_err config_fill(struct redis_config *config, const struct mm_redis_options *options)
{
    *config = (struct redis_config){
        .port = options->port,
        .connect_timeout_ms = or_default(options->connect_timeout_ms, 2000),
        .command_timeout_ms = or_default(options->command_timeout_ms, 1000),
        .commands_max = or_default(options->commands_max, 16384),
        .send_bytes_max = options->send_bytes_max ? options->send_bytes_max : 8u << 20,
        .subscriptions_max = or_default(options->subscriptions_max, 1024),
        .backoff_min_ms = or_default(options->backoff_min_ms, 50),
        .backoff_max_ms = or_default(options->backoff_max_ms, 1000),
    };
    if (!options->host || options->port == 0 ||
        !mm_str_copy(config->host, sizeof config->host, options->host) ||
        !mm_str_copy(config->password, sizeof config->password,
                     options->password ? options->password : ""))
        return MM_INVALID_ARGUMENT;
    return MM_OK;
}

static void keepalive(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    (void)loop;
    (void)timer;
    redis_commands_keepalive(arg);
    redis_subscriptions_keepalive(arg);
}

static void redis_free(struct mm_redis *redis)
{
    struct redis_subscriptions *subscriptions = &redis->subscriptions;
    for (uint32_t i = 0; subscriptions->places && i < redis->config.subscriptions_max; i++)
        mm_free(subscriptions->places[i].channel);
    mm_free(subscriptions->places);
    mm_strmap_free(subscriptions->by_channel);
    mm_free(redis->commands);
    mm_free(redis);
}

enum mm_err mm_redis_create(struct mm_loop *loop, const struct mm_redis_options *options,
                            struct mm_redis **out)
{
    *out = NULL;
    struct mm_redis *redis = mm_calloc(1, sizeof *redis);
    if (!redis)
        return MM_RESOURCE_EXHAUSTED;
    redis->loop = loop;
    redis->on_state = options->on_state;
    redis->on_state_arg = options->on_state_arg;
    enum mm_err err = config_fill(&redis->config, options);
    if (err != MM_OK) {
        redis_free(redis);
        return err;
    }
    struct redis_subscriptions *subscriptions = &redis->subscriptions;
    redis->commands = mm_calloc(redis->config.commands_max, sizeof *redis->commands);
    subscriptions->places =
        mm_calloc(redis->config.subscriptions_max, sizeof *subscriptions->places);
    subscriptions->by_channel = mm_strmap_new(redis->config.subscriptions_max);
    if (!redis->commands || !subscriptions->places || !subscriptions->by_channel) {
        redis_free(redis);
        return MM_RESOURCE_EXHAUSTED;
    }
    redis_conn_init(&redis->conn, loop, &redis->config, &redis_command_events, redis, "commands");
    redis_conn_init(&subscriptions->conn, loop, &redis->config, &redis_subscribe_events, redis,
                    "subscriptions");
    redis_commands_init(redis);
    mm_loop_timer_init(&redis->keepalive_timer, keepalive, redis);
    mm_loop_timer_start(loop, &redis->keepalive_timer, MM_LOOP_MS(REDIS_KEEPALIVE_MS),
                        MM_LOOP_MS(REDIS_KEEPALIVE_MS));
    redis_conn_start(&redis->conn);
    *out = redis;
    return MM_OK;
}

void mm_redis_destroy(struct mm_redis *redis)
{
    if (!redis)
        return;
    redis->closing = true;
    mm_loop_timer_stop(redis->loop, &redis->keepalive_timer);
    redis_conn_stop(&redis->conn);
    redis_conn_stop(&redis->subscriptions.conn);
    redis_commands_end(redis, MM_CANCELLED);
    redis_free(redis);
}

bool mm_redis_is_up(const struct mm_redis *redis)
{
    return redis->conn.state == REDIS_CONN_UP;
}

void mm_redis_stats(struct mm_redis *redis, struct mm_redis_stats *out, bool reset_max)
{
    *out = redis->stats;
    out->connects = redis->conn.connects;
    out->connects_failed = redis->conn.connects_failed;
    out->outstanding = redis->count;
    if (reset_max)
        redis->stats.reply_max_ns = 0;
}
