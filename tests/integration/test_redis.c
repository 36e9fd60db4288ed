// The Redis client against a real server.

#include "libcommon/base/clock.h"
#include "libcommon/io/redis.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct mm_loop *loop;
static struct test_server *server;
static struct mm_redis *redis;
static struct mm_redis_options options;
static bool state_is_up, state_is_down;
static int state_changes;

static void on_state(bool is_up, void *arg)
{
    (void)arg;
    cr_assert_eq(is_up, mm_redis_is_up(redis));
    state_is_up = is_up;
    state_is_down = !is_up;
    state_changes++;
}

static void setup_with(const char *password)
{
    cr_assert_eq(mm_loop_create(NULL, &loop), MM_OK);
    server = test_redis_start(password, false);
    const struct test_address *address = test_server_address(server);
    options = (struct mm_redis_options){.host = address->host,
                                        .port = address->port,
                                        .password = password,
                                        .command_timeout_ms = TEST_PATIENCE_MS / 2,
                                        .connect_timeout_ms = TEST_PATIENCE_MS / 2,
                                        .on_state = on_state};
}

static void setup(void)
{
    setup_with("s3cret with spaces");
}

static void teardown(void)
{
    mm_redis_destroy(redis);
    test_server_free(server);
    mm_loop_destroy(loop);
}

TestSuite(redis, .init = setup, .fini = teardown, .timeout = 300);

// For what hangs: given up soon.
static void be_impatient(void)
{
    options.command_timeout_ms = 1000;
    options.connect_timeout_ms = 1600;
}

static void start(void)
{
    cr_assert_eq(mm_redis_create(loop, &options, &redis), MM_OK);
    cr_assert_not(mm_redis_is_up(redis));
    cr_assert(mm_loop_run_until(loop, &state_is_up, TEST_PATIENCE_MS));
}

struct answer {
    bool done;
    int calls;
    enum mm_err err;
    int type;
    long long integer;
    char text[256];
    size_t size;
};

static void answered(enum mm_err err, const redisReply *reply, void *arg)
{
    struct answer *answer = arg;
    answer->done = true;
    answer->calls++;
    answer->err = err;
    if (!reply)
        return;
    answer->type = reply->type;
    answer->integer = reply->integer;
    if (reply->str) {
        answer->size = reply->len;
        memcpy(answer->text, reply->str, reply->len < 255 ? reply->len : 255);
    }
}

#define ASK(answer, ...)                                                                           \
    do {                                                                                           \
        memset(&(answer), 0, sizeof(answer));                                                      \
        cr_assert_eq(mm_redis_command(redis, answered, &(answer), __VA_ARGS__), MM_OK);            \
        cr_assert_not((answer).done, "called back too early");                                     \
        cr_assert(mm_loop_run_until(loop, &(answer).done, TEST_PATIENCE_MS), "no callback");       \
    } while (0)

Test(redis, commands_are_binary_safe)
{
    start();
    struct answer answer;
    char binary[200];
    for (size_t i = 0; i < sizeof binary; i++)
        binary[i] = (char)i;
    ASK(answer, "SET %b %b", "key\0with zero", (size_t)13, binary, sizeof binary);
    cr_assert_eq(answer.err, MM_OK);
    ASK(answer, "GET %b", "key\0with zero", (size_t)13);
    cr_assert_eq(answer.size, sizeof binary);
    cr_assert_arr_eq(answer.text, binary, sizeof binary);
    const char *argv[] = {"SET", "two words", "", "PX", "60000"};
    answer.done = false;
    cr_assert_eq(mm_redis_command_argv(redis, answered, &answer, 5, argv, NULL), MM_OK);
    cr_assert(mm_loop_run_until(loop, &answer.done, TEST_PATIENCE_MS));
    ASK(answer, "STRLEN %s", "two words");
    cr_assert_eq(answer.type, REDIS_REPLY_INTEGER);
    cr_assert_eq(answer.integer, 0);
}

Test(redis, error_replies_have_their_class)
{
    start();
    struct answer answer;
    ASK(answer, "LPUSH list a");
    ASK(answer, "GET list");
    cr_assert_eq(answer.err, MM_FAILED_PRECONDITION);
    cr_assert(strncmp(answer.text, "WRONGTYPE", 9) == 0);
    ASK(answer, "NOSUCHCOMMAND");
    cr_assert_eq(answer.err, MM_INTERNAL);
    cr_assert_eq(mm_redis_command(redis, answered, &answer, "SUBSCRIBE a"), MM_INVALID_ARGUMENT);
    cr_assert_eq(mm_redis_command(redis, answered, &answer, "monitor"), MM_INVALID_ARGUMENT);
    cr_assert_eq(answer.calls, 1);
    // None of it has hurt the connection.
    cr_assert_eq(state_changes, 1);
}

#define PIPELINED 10000

static int pipeline_next;
static bool pipeline_done;

static void pipeline_answered(enum mm_err err, const redisReply *reply, void *arg)
{
    cr_assert_eq(err, MM_OK);
    cr_assert_eq((int)(intptr_t)arg, pipeline_next, "out of order");
    cr_assert_eq(reply->integer, pipeline_next + 1);
    pipeline_done = ++pipeline_next == PIPELINED;
}

Test(redis, ten_thousand_commands_at_once)
{
    start();
    for (intptr_t i = 0; i < PIPELINED; i++)
        cr_assert_eq(mm_redis_command(redis, pipeline_answered, (void *)i, "INCR %s", "counter"),
                     MM_OK);
    struct mm_redis_stats stats;
    mm_redis_stats(redis, &stats, false);
    cr_assert_eq(stats.outstanding, PIPELINED);
    cr_assert(mm_loop_run_until(loop, &pipeline_done, TEST_PATIENCE_MS));
    mm_redis_stats(redis, &stats, true);
    cr_assert_eq(stats.outstanding, 0);
    cr_assert_eq(stats.commands, PIPELINED);
}

Test(redis, bounds_refuse_and_the_refused_have_no_callback)
{
    options.commands_max = 4;
    options.send_bytes_max = 10000;
    start();
    struct answer answers[5] = {0};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(mm_redis_command(redis, answered, &answers[i], "PING"), MM_OK);
    cr_assert_eq(mm_redis_command(redis, answered, &answers[4], "PING"), MM_RESOURCE_EXHAUSTED);
    cr_assert(mm_loop_run_until(loop, &answers[3].done, TEST_PATIENCE_MS));
    static char large[20000];
    cr_assert_eq(mm_redis_command(redis, answered, &answers[4], "SET a %b", large, sizeof large),
                 MM_RESOURCE_EXHAUSTED);
    cr_assert_eq(answers[4].calls, 0);
    struct answer answer;
    ASK(answer, "SET a %b", large, (size_t)5000);
    cr_assert_eq(answer.err, MM_OK);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(answers[i].calls, 1);
}

Test(redis, script_unknown_to_the_server_is_sent)
{
    start();
    struct mm_redis_script script = {.source = "return redis.call('INCRBY', KEYS[1], ARGV[1])"};
    const char *argv[] = {"scripted", "5"};
    struct answer answer;
    for (long long round = 1; round <= 6; round++) {
        if (round == 4) {
            ASK(answer, "SCRIPT FLUSH");
        }
        answer = (struct answer){0};
        cr_assert_eq(mm_redis_eval(redis, &script, answered, &answer, 1, 2, argv, NULL), MM_OK);
        cr_assert(mm_loop_run_until(loop, &answer.done, TEST_PATIENCE_MS));
        cr_assert_eq(answer.err, MM_OK, "%s", answer.text);
        cr_assert_eq(answer.integer, 5 * round);
        cr_assert_eq(answer.calls, 1);
    }
    ASK(answer, "INFO commandstats");
    struct mm_redis_script broken = {.source = "this is no lua"};
    answer = (struct answer){0};
    cr_assert_eq(mm_redis_eval(redis, &broken, answered, &answer, 0, 0, NULL, NULL), MM_OK);
    cr_assert(mm_loop_run_until(loop, &answer.done, TEST_PATIENCE_MS));
    cr_assert_eq(answer.err, MM_INTERNAL);
}

// Another client makes the server know the script between the first two calls.
Test(redis, scripts_run_in_their_order_at_their_first_use_too)
{
    start();
    struct mm_redis_script script = {.source = "return redis.call('APPEND', KEYS[1], ARGV[1])"};
    struct answer answers[3] = {0}, answer;
    bool never = false;
    redisContext *other = redisConnect(options.host, options.port);
    for (size_t i = 0; i < 3; i++) {
        const char *argv[] = {"order", (const char *[]){"a", "b", "c"}[i]};
        cr_assert_eq(mm_redis_eval(redis, &script, answered, &answers[i], 1, 2, argv, NULL), MM_OK);
        if (i > 0)
            continue;
        mm_loop_run_until(loop, &never, 0); // it goes out
        freeReplyObject(redisCommand(other, "AUTH %s", options.password));
        redisReply *loaded = redisCommand(other, "SCRIPT LOAD %s", script.source);
        cr_assert(loaded && loaded->type == REDIS_REPLY_STRING);
        freeReplyObject(loaded);
    }
    redisFree(other);
    for (size_t i = 0; i < 3; i++)
        cr_assert(mm_loop_run_until(loop, &answers[i].done, TEST_PATIENCE_MS));
    ASK(answer, "GET order");
    cr_assert_str_eq(answer.text, "abc");
}

// --- outages -----------------------------------------------------------------------------------

Test(redis, wrong_password_never_comes_up)
{
    options.password = "wrong";
    options.backoff_max_ms = 100;
    cr_assert_eq(mm_redis_create(loop, &options, &redis), MM_OK);
    struct mm_redis_stats stats = {0};
    for (int i = 0; i < TEST_PATIENCE_MS / 500 && stats.connects_failed < 2; i++) {
        cr_assert_not(mm_loop_run_until(loop, &state_is_up, 500));
        mm_redis_stats(redis, &stats, false);
    }
    cr_assert_geq(stats.connects_failed, 2);
    cr_assert_eq(mm_redis_command(redis, answered, NULL, "PING"), MM_UNAVAILABLE);
}

Test(redis, kill_answers_every_command_once_and_the_server_is_found_again)
{
    start();
    enum { COMMANDS = 6000 };
    static struct answer answers[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) {
        cr_assert_eq(mm_redis_command(redis, answered, &answers[i], "INCR n"), MM_OK);
        // Half of them are on their way, some answered, when the rest is queued.
        if (i == COMMANDS / 2)
            cr_assert(mm_loop_run_until(loop, &answers[0].done, TEST_PATIENCE_MS));
    }
    test_server_kill(server);
    cr_assert(mm_loop_run_until(loop, &state_is_down, TEST_PATIENCE_MS));
    for (int i = 0; i < COMMANDS; i++) {
        cr_assert_eq(answers[i].calls, 1);
        cr_assert(answers[i].err == MM_OK || answers[i].err == MM_UNAVAILABLE);
    }
    cr_assert_eq(answers[0].err, MM_OK);
    cr_assert_eq(answers[COMMANDS - 1].err, MM_UNAVAILABLE);
    struct answer refused = {0};
    cr_assert_eq(mm_redis_command(redis, answered, &refused, "PING"), MM_UNAVAILABLE);
    test_server_restart(server);
    cr_assert(mm_loop_run_until(loop, &state_is_up, TEST_PATIENCE_MS));
    struct answer answer;
    ASK(answer, "PING");
    cr_assert_eq(answer.err, MM_OK);
    cr_assert_eq(refused.calls, 0);
    cr_assert_eq(state_changes, 3);
}

Test(redis, server_that_does_not_answer_is_given_up)
{
    be_impatient();
    start();
    test_server_signal(server, SIGSTOP);
    struct answer first = {0}, late = {0};
    uint64_t begin_ms = mm_clock_ms();
    cr_assert_eq(mm_redis_command(redis, answered, &first, "INCR n"), MM_OK);
    const bool never = false;
    (void)mm_loop_run_until(loop, &never, 500);
    uint64_t late_ms = mm_clock_ms();
    cr_assert_eq(mm_redis_command(redis, answered, &late, "INCR n"), MM_OK);
    cr_assert(mm_loop_run_until(loop, &late.done, TEST_PATIENCE_MS));
    uint64_t took_ms = mm_clock_ms() - begin_ms;
    cr_assert(took_ms >= 990, "%lu ms", (unsigned long)took_ms);
    cr_assert_eq(first.err, MM_DEADLINE_EXCEEDED);
    // With the first, whose time is over: its own is not, unless this thread was held up for long.
    bool in_time = mm_clock_ms() - late_ms < options.command_timeout_ms;
    cr_assert(late.err == MM_UNAVAILABLE || (!in_time && late.err == MM_DEADLINE_EXCEEDED), "%s",
              mm_err_name(late.err));
    cr_assert(state_is_down);
    test_server_signal(server, SIGCONT);
    cr_assert(mm_loop_run_until(loop, &state_is_up, TEST_PATIENCE_MS));
    cr_assert_eq(first.calls + late.calls, 2);
}

Test(redis, idle_connection_notices_a_server_that_hangs)
{
    be_impatient();
    start();
    test_server_signal(server, SIGSTOP);
    cr_assert(mm_loop_run_until(loop, &state_is_down, TEST_PATIENCE_MS));
    test_server_signal(server, SIGCONT);
    cr_assert(mm_loop_run_until(loop, &state_is_up, TEST_PATIENCE_MS));
}

Test(redis, destroy_cancels_what_has_no_reply)
{
    start();
    static struct answer answers[10];
    for (int i = 0; i < 10; i++)
        cr_assert_eq(mm_redis_command(redis, answered, &answers[i], "PING"), MM_OK);
    mm_redis_destroy(redis);
    redis = NULL;
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(answers[i].calls, 1);
        cr_assert_eq(answers[i].err, MM_CANCELLED);
    }
}

Test(redis, names_are_looked_up)
{
    options.host = "localhost";
    start();
    mm_redis_destroy(redis);
    options.host = "no-such-host.invalid";
    state_is_up = false;
    cr_assert_eq(mm_redis_create(loop, &options, &redis), MM_OK);
    cr_assert_not(mm_loop_run_until(loop, &state_is_up, 300));
    // Destroyed while a look-up may be under way.
    mm_redis_destroy(redis);
    redis = NULL;
}

// --- publish and subscribe ---------------------------------------------------------------------

struct inbox {
    bool subscribed, interrupted, got;
    int messages, subscriptions, interruptions;
    char channel[64];
    char last[64];
    size_t size;
    const char *leave; // unsubscribed by the first message
};

static void inbox_event(enum mm_redis_event event, const struct mm_redis_message *message,
                        void *arg)
{
    struct inbox *inbox = arg;
    (void)snprintf(inbox->channel, sizeof inbox->channel, "%s", message->channel);
    switch (event) {
    case MM_REDIS_SUBSCRIBED:
        inbox->subscribed = true;
        inbox->subscriptions++;
        break;
    case MM_REDIS_INTERRUPTED:
        inbox->interrupted = true;
        inbox->interruptions++;
        break;
    case MM_REDIS_MESSAGE:
        inbox->got = true;
        inbox->messages++;
        inbox->size = message->size;
        memcpy(inbox->last, message->data, message->size < 63 ? message->size : 63);
        if (inbox->leave)
            mm_redis_unsubscribe(redis, inbox->leave);
        break;
    }
}

Test(redis, messages_arrive_and_subscriptions_survive_a_kill)
{
    start();
    struct inbox a = {0}, b = {0};
    struct answer answer;
    cr_assert_eq(mm_redis_subscribe(redis, "chan a", inbox_event, &a), MM_OK);
    cr_assert_eq(mm_redis_subscribe(redis, "b", inbox_event, &b), MM_OK);
    cr_assert_eq(mm_redis_subscribe(redis, "b", inbox_event, &b), MM_ALREADY_EXISTS);
    cr_assert(mm_loop_run_until(loop, &a.subscribed, TEST_PATIENCE_MS));
    cr_assert(mm_loop_run_until(loop, &b.subscribed, TEST_PATIENCE_MS));
    ASK(answer, "PUBLISH %s %b", "chan a", "x\0y", (size_t)3);
    cr_assert_eq(answer.integer, 1);
    cr_assert(mm_loop_run_until(loop, &a.got, TEST_PATIENCE_MS));
    cr_assert_eq(a.size, 3);
    cr_assert_arr_eq(a.last, "x\0y", 3);
    cr_assert_eq(b.messages, 0);

    a.subscribed = b.subscribed = a.got = state_is_up = false;
    test_server_kill(server);
    cr_assert(mm_loop_run_until(loop, &a.interrupted, TEST_PATIENCE_MS));
    cr_assert(mm_loop_run_until(loop, &b.interrupted, TEST_PATIENCE_MS));
    test_server_restart(server);
    cr_assert(mm_loop_run_until(loop, &a.subscribed, TEST_PATIENCE_MS));
    cr_assert(mm_loop_run_until(loop, &b.subscribed, TEST_PATIENCE_MS));
    cr_assert(mm_loop_run_until(loop, &state_is_up, TEST_PATIENCE_MS));
    ASK(answer, "PUBLISH %s again", "chan a");
    cr_assert(mm_loop_run_until(loop, &a.got, TEST_PATIENCE_MS));
    cr_assert_str_eq(a.last, "again");
    cr_assert_eq(a.interruptions, 1);
    cr_assert_eq(a.subscriptions, 2);
}

Test(redis, unsubscribed_channel_is_silent_also_when_left_in_its_own_callback)
{
    start();
    struct inbox a = {.leave = "a"};
    struct answer answer;
    cr_assert_eq(mm_redis_subscribe(redis, "a", inbox_event, &a), MM_OK);
    cr_assert(mm_loop_run_until(loop, &a.subscribed, TEST_PATIENCE_MS));
    for (int i = 0; i < 5; i++)
        cr_assert_eq(mm_redis_command(redis, NULL, NULL, "PUBLISH a %d", i), MM_OK);
    ASK(answer, "PING");
    cr_assert(mm_loop_run_until(loop, &a.got, TEST_PATIENCE_MS));
    ASK(answer, "PUBLISH a last");
    ASK(answer, "PUBSUB NUMSUB a");
    cr_assert_eq(a.messages, 1);
    // Left and entered again in one breath: subscribed is told once, when it is true.
    a = (struct inbox){0};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(mm_redis_subscribe(redis, "a", inbox_event, &a), MM_OK);
        if (i < 2)
            mm_redis_unsubscribe(redis, "a");
    }
    cr_assert(mm_loop_run_until(loop, &a.subscribed, TEST_PATIENCE_MS));
    ASK(answer, "PUBLISH a now");
    cr_assert_eq(answer.integer, 1);
    cr_assert(mm_loop_run_until(loop, &a.got, TEST_PATIENCE_MS));
    cr_assert_eq(a.subscriptions, 1);
}

// What Redis says on a connection beside the loop's.
static void ask_beside(redisContext *beside, const char *command, char *out, size_t out_bytes)
{
    redisReply *reply = redisCommand(beside, command);
    cr_assert_not_null(reply);
    (void)snprintf(out, out_bytes, "%s", reply->str ? reply->str : "");
    freeReplyObject(reply);
}

// The loop may stand still for longer than any answer takes, or the whole machine: what has come
// meanwhile is taken all the same.
Test(redis, answers_that_wait_to_be_read_are_in_time)
{
    // Longer than Redis itself may stand still for, which is another matter.
    enum { ANSWER_MS = 4000, KEEPALIVE_MS = 2000, MORE_MS = 300 };
    options.command_timeout_ms = ANSWER_MS;
    start();
    struct inbox a = {0};
    struct answer answer = {0};
    const bool never = false;
    cr_assert_eq(mm_redis_subscribe(redis, "a", inbox_event, &a), MM_OK);
    cr_assert(mm_loop_run_until(loop, &a.subscribed, TEST_PATIENCE_MS));
    redisContext *beside = redisConnect(options.host, options.port);
    cr_assert(beside && !beside->err);
    freeReplyObject(redisCommand(beside, "AUTH %s", options.password));
    // Turn by turn, so that the subscriptions' sign of life is given and not yet read.
    char text[1024];
    int64_t end_ms = test_now_ms() + TEST_PATIENCE_MS;
    do {
        cr_assert_lt(test_now_ms(), end_ms, "no sign of life is asked for: %s", text);
        (void)mm_loop_run_until(loop, &never, 0);
        usleep(1000);
        ask_beside(beside, "CLIENT LIST TYPE pubsub", text, sizeof text);
    } while (!strstr(text, "cmd=ping"));
    usleep((KEEPALIVE_MS + ANSWER_MS + MORE_MS) * 1000); // the next is due, its answer overdue
    (void)mm_loop_run_until(loop, &never, 500);
    cr_assert_eq(a.interruptions, 0);

    cr_assert_eq(mm_redis_command(redis, answered, &answer, "INCR held"), MM_OK);
    (void)mm_loop_run_until(loop, &never, 0);
    do {
        cr_assert_lt(test_now_ms(), end_ms, "a command is not carried out");
        ask_beside(beside, "GET held", text, sizeof text);
    } while (strcmp(text, "1") != 0);
    ask_beside(beside, "PING", text, sizeof text); // so the answer has been sent, too
    redisFree(beside);
    usleep((ANSWER_MS + MORE_MS) * 1000);
    cr_assert(mm_loop_run_until(loop, &answer.done, TEST_PATIENCE_MS));
    cr_assert_eq(answer.err, MM_OK, "%s", mm_err_name(answer.err));
    cr_assert_eq(state_changes, 1);
}

Test(redis, subscription_notices_a_server_that_hangs)
{
    be_impatient();
    start();
    struct inbox a = {0};
    cr_assert_eq(mm_redis_subscribe(redis, "a", inbox_event, &a), MM_OK);
    cr_assert(mm_loop_run_until(loop, &a.subscribed, TEST_PATIENCE_MS));
    test_server_signal(server, SIGSTOP);
    cr_assert(mm_loop_run_until(loop, &a.interrupted, TEST_PATIENCE_MS));
    a.subscribed = false;
    test_server_signal(server, SIGCONT);
    cr_assert(mm_loop_run_until(loop, &a.subscribed, TEST_PATIENCE_MS));
}
