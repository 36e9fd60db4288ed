// Commands and their replies. Redis answers in order, so the commands without reply are a queue,
// and one timer, for the oldest, watches over all of them.

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/base/str.h"
#include "libcommon/io/redis_internal.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>

enum mm_err redis_error_class(const redisReply *reply)
{
    static const struct {
        const char *prefix;
        enum mm_err err;
    } classes[] = {
        {"WRONGTYPE ", MM_FAILED_PRECONDITION},
        {"EXECABORT ", MM_FAILED_PRECONDITION},
        {"NOSCRIPT ", MM_NOT_FOUND},
        {"NOAUTH ", MM_UNAUTHENTICATED},
        {"WRONGPASS ", MM_UNAUTHENTICATED},
        {"NOPERM ", MM_PERMISSION_DENIED},
        {"OOM ", MM_RESOURCE_EXHAUSTED},
        {"LOADING ", MM_UNAVAILABLE},
        {"BUSY ", MM_UNAVAILABLE},
        {"READONLY ", MM_UNAVAILABLE},
        {"MASTERDOWN ", MM_UNAVAILABLE},
        {"MISCONF ", MM_UNAVAILABLE},
        {"CLUSTERDOWN ", MM_UNAVAILABLE},
        {"TRYAGAIN ", MM_UNAVAILABLE},
        {"NOREPLICAS ", MM_UNAVAILABLE},
    };
    if (reply->type != REDIS_REPLY_ERROR)
        return MM_OK;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (mm_str_starts_with(reply->str, classes[i].prefix))
            return classes[i].err;
    return MM_INTERNAL;
}

static struct redis_command command_pop(struct mm_redis *redis)
{
    MM_CHECK(redis->count > 0);
    struct redis_command command = redis->commands[redis->first];
    redis->first = (redis->first + 1) % redis->config.commands_max;
    redis->count--;
    return command;
}

static void command_finish(struct mm_redis *redis, const struct redis_command *command,
                           enum mm_err err, const redisReply *reply)
{
    free(command->fallback);
    if (err != MM_OK)
        redis->stats.commands_failed++;
    if (command->fn)
        command->fn(err, reply, command->arg);
}

static enum mm_err command_push(struct mm_redis *redis, const char *bytes, size_t size,
                                const struct redis_command *command)
{
    if (redis->conn.state != REDIS_CONN_UP)
        return MM_UNAVAILABLE;
    if (redis->count == redis->config.commands_max)
        return MM_RESOURCE_EXHAUSTED;
    enum mm_err err = redis_conn_send(&redis->conn, bytes, size);
    if (err != MM_OK)
        return err;
    uint64_t now_ns = mm_clock_ns();
    uint32_t place = (redis->first + redis->count++) % redis->config.commands_max;
    redis->commands[place] = *command;
    redis->commands[place].sent_ns = now_ns;
    redis->stats.commands++;
    if (!redis->command_timer.active)
        mm_loop_timer_start_at(redis->loop, &redis->command_timer,
                               now_ns + MM_LOOP_MS(redis->config.command_timeout_ms), 0);
    return MM_OK;
}

void redis_commands_end(struct mm_redis *redis, enum mm_err err)
{
    mm_loop_timer_stop(redis->loop, &redis->command_timer);
    uint64_t expired_ns = mm_clock_ns() - MM_LOOP_MS(redis->config.command_timeout_ms);
    while (redis->count > 0) {
        struct redis_command command = command_pop(redis);
        bool expired = err == MM_UNAVAILABLE && command.sent_ns <= expired_ns;
        command_finish(redis, &command, expired ? MM_DEADLINE_EXCEEDED : err, NULL);
    }
}

// The timer is not moved with every reply: when it fires, it looks at the oldest command and goes
// back to sleep if that one still has time.
static void command_timer_fired(struct mm_loop *loop, struct mm_loop_timer *timer, void *arg)
{
    struct mm_redis *redis = arg;
    if (redis->count == 0)
        return;
    uint64_t sent_ns = redis->commands[redis->first].sent_ns;
    uint64_t deadline_ns = sent_ns + MM_LOOP_MS(redis->config.command_timeout_ms);
    if (mm_clock_ns() < deadline_ns) {
        mm_loop_timer_start_at(loop, timer, deadline_ns, 0);
        return;
    }
    if (redis->overdue_ns != sent_ns) {
        redis->overdue_ns = sent_ns;
        mm_loop_timer_start(loop, timer, MM_LOOP_MS(REDIS_LAST_LOOK_MS), 0);
        return;
    }
    redis->overdue_ns = 0;
    redis->stats.timeouts++;
    // Replies come in order: what is behind this one would wait just as long.
    redis_conn_fail(&redis->conn, "command time-out");
}

void redis_commands_init(struct mm_redis *redis)
{
    mm_loop_timer_init(&redis->command_timer, command_timer_fired, redis);
}

void redis_commands_keepalive(struct mm_redis *redis)
{
    if (redis->conn.state != REDIS_CONN_UP || redis->count > 0)
        return;
    // If it cannot be sent, something is under way that will tell.
    enum mm_err err = mm_redis_command(redis, NULL, NULL, "PING");
    (void)err;
}

// --- events of the connection ------------------------------------------------------------------

static void commands_up(void *owner)
{
    static atomic_uint_fast64_t connections;
    struct mm_redis *redis = owner;
    redis->connection = atomic_fetch_add(&connections, 1) + 1;
    MM_LOG_INFO("redis is up");
    if (redis->on_state)
        redis->on_state(true, redis->on_state_arg);
}

static void commands_down(void *owner)
{
    struct mm_redis *redis = owner;
    redis_commands_end(redis, MM_UNAVAILABLE);
    if (redis->on_state)
        redis->on_state(false, redis->on_state_arg);
}

static void commands_reply(void *owner, const redisReply *reply)
{
    struct mm_redis *redis = owner;
    if (redis->count == 0) {
        redis_conn_fail(&redis->conn, "reply to nothing");
        return;
    }
    struct redis_command command = command_pop(redis);
    uint64_t took_ns = mm_clock_ns() - command.sent_ns;
    if (took_ns > redis->stats.reply_max_ns)
        redis->stats.reply_max_ns = took_ns;
    enum mm_err err = redis_error_class(reply);
    if (err == MM_OK && command.script)
        command.script->known_to = redis->connection;
    if (err == MM_NOT_FOUND && command.fallback) {
        struct redis_command eval = {
            .fn = command.fn, .arg = command.arg, .script = command.script};
        command.script->known_to = 0;
        err = command_push(redis, command.fallback, command.fallback_size, &eval);
        if (err == MM_OK) {
            free(command.fallback);
            return;
        }
        reply = NULL;
    }
    command_finish(redis, &command, err, reply);
}

const struct redis_conn_events redis_command_events = {commands_up, commands_down, commands_reply};

// --- sending -----------------------------------------------------------------------------------

// These change what a connection's replies mean, so they have no place on this one.
static bool is_pushing(const char *bytes, size_t size)
{
    static const char *const names[] = {"subscribe", "psubscribe", "ssubscribe", "monitor",
                                        "reset"};
    const char *name = memchr(bytes, '$', size); // "*2\r\n$9\r\nsubscribe\r\n..."
    const char *begin = name ? memchr(name, '\n', size - (size_t)(name - bytes)) : NULL;
    if (!begin)
        return false;
    begin++;
    size_t left = size - (size_t)(begin - bytes);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t length = strlen(names[i]);
        if (left > length && begin[length] == '\r' && strncasecmp(begin, names[i], length) == 0)
            return true;
    }
    return false;
}

static enum mm_err command_send(struct mm_redis *redis, mm_redis_reply_fn fn, void *arg,
                                char *bytes, int size)
{
    enum mm_err err;
    if (size < 0) {
        err = size == -1 ? MM_RESOURCE_EXHAUSTED : MM_INVALID_ARGUMENT;
    } else if (is_pushing(bytes, (size_t)size)) {
        err = MM_INVALID_ARGUMENT;
    } else {
        struct redis_command command = {.fn = fn, .arg = arg};
        err = command_push(redis, bytes, (size_t)size, &command);
    }
    if (size >= 0)
        redisFreeCommand(bytes);
    if (err != MM_OK)
        redis->stats.commands_refused++;
    return err;
}

enum mm_err mm_redis_command(struct mm_redis *redis, mm_redis_reply_fn fn, void *arg,
                             const char *format, ...)
{
    char *bytes = NULL;
    va_list args;
    va_start(args, format);
    int size = redisvFormatCommand(&bytes, format, args);
    va_end(args);
    return command_send(redis, fn, arg, bytes, size);
}

enum mm_err mm_redis_command_argv(struct mm_redis *redis, mm_redis_reply_fn fn, void *arg,
                                  size_t argc, const char *const *argv, const size_t *sizes)
{
    char *bytes = NULL;
    // hiredis does not change the strings, it only lacks the const.
    int size = redisFormatCommandArgv(&bytes, (int)argc, (const char **)(uintptr_t)argv, sizes);
    return command_send(redis, fn, arg, bytes, size);
}

// --- scripts -----------------------------------------------------------------------------------

static enum mm_err script_digest(struct mm_redis_script *script)
{
    if (script->sha1_hex[0])
        return MM_OK;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(script->source, strlen(script->source), digest, &size, EVP_sha1(), NULL) != 1)
        return MM_INTERNAL;
    mm_hex_encode(digest, size, script->sha1_hex);
    return MM_OK;
}

// The command with the script's digest or source in it; hiredis memory, NULL without memory.
static char *eval_format(size_t argc, const char **argv, size_t *sizes, const char *name,
                         const char *script, size_t *size)
{
    char *bytes = NULL;
    argv[0] = name;
    sizes[0] = strlen(name);
    argv[1] = script;
    sizes[1] = strlen(script);
    int length = redisFormatCommandArgv(&bytes, (int)argc, argv, sizes);
    *size = length > 0 ? (size_t)length : 0;
    return length > 0 ? bytes : NULL;
}

static enum mm_err eval_send(struct mm_redis *redis, mm_redis_reply_fn fn, void *arg, size_t argc,
                             const char **argv, size_t *sizes, struct mm_redis_script *script)
{
    size_t digest_size = 0, source_size = 0;
    bool known = script->known_to == redis->connection;
    char *by_source = eval_format(argc, argv, sizes, "EVAL", script->source, &source_size);
    char *by_digest =
        known ? eval_format(argc, argv, sizes, "EVALSHA", script->sha1_hex, &digest_size) : NULL;
    struct redis_command command = {.fn = fn, .arg = arg, .script = script};
    enum mm_err err = MM_RESOURCE_EXHAUSTED;
    if (by_source && by_digest) {
        command.fallback = by_source;
        command.fallback_size = source_size;
        err = command_push(redis, by_digest, digest_size, &command);
    } else if (by_source && !known) {
        err = command_push(redis, by_source, source_size, &command);
    }
    if (by_digest)
        redisFreeCommand(by_digest);
    if (by_source && (err != MM_OK || !command.fallback))
        redisFreeCommand(by_source);
    return err;
}

enum mm_err mm_redis_eval(struct mm_redis *redis, struct mm_redis_script *script,
                          mm_redis_reply_fn fn, void *arg, size_t key_count, size_t argc,
                          const char *const *argv, const size_t *sizes)
{
    MM_CHECK(argc <= MM_REDIS_EVAL_ARGS_MAX && key_count <= argc);
    const char *all[MM_REDIS_EVAL_ARGS_MAX + 3];
    size_t all_sizes[MM_REDIS_EVAL_ARGS_MAX + 3];
    char keys[24];
    int keys_size = snprintf(keys, sizeof keys, "%zu", key_count);
    all[2] = keys;
    all_sizes[2] = (size_t)keys_size;
    for (size_t i = 0; i < argc; i++) {
        all[i + 3] = argv[i];
        all_sizes[i + 3] = sizes ? sizes[i] : strlen(argv[i]);
    }
    enum mm_err err = script_digest(script);
    if (err == MM_OK)
        err = eval_send(redis, fn, arg, argc + 3, all, all_sizes, script);
    if (err != MM_OK)
        redis->stats.commands_refused++;
    return err;
}
