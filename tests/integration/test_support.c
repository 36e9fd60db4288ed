// The harness that other tests stand on: servers that can be killed and come back, programs that
// are always reaped.
#include "tests/support/process.h"
#include "tests/support/servers.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <mysql.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = TEST_PATIENCE_MS };

static void sql(const struct test_address *address, const char *statement, char *first, size_t size)
{
    MYSQL *db = mysql_init(NULL);
    cr_assert(mysql_real_connect(db, address->host, address->user, address->password, NULL,
                                 address->port, NULL, 0),
              "%s", mysql_error(db));
    cr_assert_eq(mysql_query(db, statement), 0, "%s", mysql_error(db));
    MYSQL_RES *result = mysql_store_result(db);
    if (first) {
        MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
        snprintf(first, size, "%s", row && row[0] ? row[0] : "");
    }
    mysql_free_result(result);
    mysql_close(db);
    mysql_library_end();
}

Test(support, mariadb_keeps_its_data_and_port_over_kill_and_restart, .timeout = 300)
{
    struct test_server *server = test_mariadb_start();
    struct test_address before = *test_server_address(server);
    cr_assert(before.port < 32768);
    sql(&before, "CREATE DATABASE kept", NULL, 0);
    sql(&before, "CREATE TABLE kept.t (n INT)", NULL, 0);
    sql(&before, "INSERT INTO kept.t VALUES (41), (1)", NULL, 0);

    test_server_kill(server);
    MYSQL *db = mysql_init(NULL);
    cr_assert_null(mysql_real_connect(db, before.host, before.user, before.password, NULL,
                                      before.port, NULL, 0));
    mysql_close(db);
    test_server_restart(server);

    cr_assert_eq(test_server_address(server)->port, before.port);
    char sum[16];
    sql(&before, "SELECT SUM(n) FROM kept.t", sum, sizeof sum);
    cr_assert_str_eq(sum, "42");
    test_server_free(server);
}

static char *redis_say(const struct test_address *address, const char *password,
                       const char *command)
{
    redisContext *redis = redisConnect(address->host, address->port);
    cr_assert(redis && !redis->err);
    if (password)
        freeReplyObject(redisCommand(redis, "AUTH %s", password));
    redisReply *reply = redisCommand(redis, command);
    cr_assert_not_null(reply);
    char *text = strdup(reply->str ? reply->str : "(nil)");
    freeReplyObject(reply);
    redisFree(redis);
    return text;
}

Test(support, redis_password_and_durability, .timeout = 300)
{
    struct test_server *durable = test_redis_start("s3cret", true);
    struct test_server *fleeting = test_redis_start(NULL, false);
    const struct test_address *durable_at = test_server_address(durable);
    const struct test_address *fleeting_at = test_server_address(fleeting);

    char *refused = redis_say(durable_at, NULL, "SET a 1");
    cr_assert(strncmp(refused, "NOAUTH", 6) == 0, "%s", refused);
    free(refused);
    free(redis_say(durable_at, "s3cret", "SET a 1"));
    free(redis_say(fleeting_at, NULL, "SET a 1"));

    test_server_kill(durable);
    test_server_restart(durable);
    test_server_stop(fleeting);
    test_server_restart(fleeting);

    char *kept = redis_say(durable_at, "s3cret", "GET a");
    char *lost = redis_say(fleeting_at, NULL, "GET a");
    cr_assert_str_eq(kept, "1");
    cr_assert_str_eq(lost, "(nil)");
    free(kept);
    free(lost);
    test_server_free(durable);
    test_server_free(fleeting);
}

Test(support, the_shared_pair_answers, .timeout = 300)
{
    const struct test_servers *servers = test_servers_get();
    cr_assert_eq(servers, test_servers_get());
    char one[8];
    sql(&servers->mariadb, "SELECT 1", one, sizeof one);
    cr_assert_str_eq(one, "1");
    char *pong = redis_say(&servers->redis, NULL, "PING");
    cr_assert_str_eq(pong, "PONG");
    free(pong);
    char *name = test_name_unique("db");
    char *other = test_name_unique("db");
    cr_assert_str_neq(name, other);
    free(name);
    free(other);
}

Test(support, a_program_gets_arguments_and_environment_and_is_reaped, .timeout = 300)
{
    const char *argv[] = {"sh", "-c", "echo \"$0 $GREETING\"; exit 7", "hello", NULL};
    const char *env[] = {"GREETING=world", NULL};
    struct test_process *process = test_process_start(argv, env);
    cr_assert(test_process_wait_log(process, "hello world\n", WAIT_MS));
    int status = test_process_wait(process, WAIT_MS);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 7);
    cr_assert_not(test_process_running(process));
    cr_assert_not(test_process_wait_log(process, "never said", WAIT_MS));
    test_process_free(process);
}

Test(support, a_program_that_does_not_end_is_killed_at_the_deadline, .timeout = 300)
{
    const char *argv[] = {"sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done", NULL};
    struct test_process *process = test_process_start(argv, NULL);
    cr_assert(test_process_wait_log(process, "up", WAIT_MS));
    pid_t pid = test_process_pid(process);
    test_process_signal(process, SIGTERM);
    cr_assert_eq(test_process_wait(process, 200), -1);
    cr_assert_eq(kill(pid, 0), -1);
    cr_assert_eq(errno, ESRCH);
    cr_assert_not(test_process_wait_ready(process, test_port_free(), 100));
    test_process_free(process);
}

Test(support, a_child_dies_with_the_process_that_started_it, .timeout = 300)
{
    int channel[2];
    cr_assert_eq(pipe(channel), 0);
    char *dir = test_dir_make(); // ours to remove: the process in the middle never cleans up
    pid_t middle = fork();
    if (middle == 0) {
        setenv("TMPDIR", dir, 1);
        const char *argv[] = {"sleep", "1000", NULL};
        pid_t child = test_process_pid(test_process_start(argv, NULL));
        _exit(write(channel[1], &child, sizeof child) == sizeof child ? 0 : 1);
    }
    pid_t child = 0;
    cr_assert_eq(read(channel[0], &child, sizeof child), (ssize_t)sizeof child);
    cr_assert_eq(waitpid(middle, NULL, 0), middle);
    // Reaped by init, or a zombie until then: either way it is not running.
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    int64_t deadline_ms = test_now_ms() + WAIT_MS;
    char state = 'S';
    while (state != 'Z' && state != '\0') {
        cr_assert(test_now_ms() < deadline_ms, "the child outlived its parent");
        FILE *file = fopen(path, "re");
        if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
            state = '\0';
        if (file)
            fclose(file);
    }
    free(dir);
    close(channel[0]);
    close(channel[1]);
}

Test(support, a_sanitizers_report_is_seen_in_what_a_program_has_written, .timeout = 300)
{
    int channel[2];
    cr_assert_eq(pipe(channel), 0);
    pid_t middle = fork();
    if (middle == 0) {
        dup2(channel[1], STDERR_FILENO);
        close(channel[1]);
        char *dir = test_dir_make();
        const char script[] = "mkdir $0/log; echo quiet >$0/log/a.log;"
                              "echo 'b.c:1:2: runtime error: planted' >$0/log/b.log;"
                              "echo 'ERROR: AddressSanitizer: planted' >$0/log/c.log.1";
        const char *argv[] = {"sh", "-c", script, dir, NULL};
        struct test_process *process = test_process_start(argv, NULL);
        bool is_written = test_process_wait(process, WAIT_MS) == 0;
        free(dir);
        exit(is_written ? 0 : 1);
    }
    close(channel[1]);
    FILE *said = fdopen(channel[0], "r");
    char line[256], logs[8] = "";
    while (fgets(line, sizeof line, said)) {
        const char *log = strstr(line, "/log/");
        if (strncmp(line, "test harness: a sanitizer", 25) == 0 && log && strlen(logs) < 4)
            strncat(logs, log + 5, 1);
    }
    fclose(said);
    int status;
    cr_assert_eq(waitpid(middle, &status, 0), middle);
    cr_assert_eq(status, 0);
    cr_assert(strcmp(logs, "bc") == 0 || strcmp(logs, "cb") == 0, "reports in: %s", logs);
}

// Other tests, at the same time and of both languages, try to take this name before they take a
// port.
static bool is_claimed(unsigned port)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char text[32];
    int len = snprintf(text, sizeof text, "mmorts-test-port-%u", port);
    memset(name.sun_path + 1, '.', sizeof name.sun_path - 1);
    memcpy(name.sun_path + 1, text, (size_t)len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    bool is_taken = bind(fd, (struct sockaddr *)&name, sizeof name) != 0 && errno == EADDRINUSE;
    close(fd);
    return is_taken;
}

Test(support, a_port_is_given_once_on_this_machine, .timeout = 300)
{
    enum { SOME = 60 };
    cr_assert(is_claimed(test_port_free()));
    unsigned first = test_ports_free(SOME);
    for (unsigned i = 0; i < SOME; i++)
        cr_assert(is_claimed(first + i), "port %u is not", first + i);
}

Test(support, http_get_reads_status_and_body, .timeout = 300)
{
    uint16_t port = test_port_free();
    char script[512];
    snprintf(
        script, sizeof script,
        "require('http').createServer((q, a) => { a.statusCode = q.url == '/readyz' ? 200 : 418;"
        " a.end('you asked ' + q.url); }).listen(%u, '127.0.0.1')",
        port);
    const char *argv[] = {"node", "-e", script, NULL};
    struct test_process *process = test_process_start(argv, NULL);
    cr_assert(test_process_wait_ready(process, port, WAIT_MS));
    char *body;
    cr_assert_eq(test_http_get(port, "/tea", WAIT_MS, &body), 418);
    cr_assert_str_eq(body, "you asked /tea");
    free(body);
    test_process_kill(process);
    cr_assert_eq(test_http_get(port, "/tea", 1000, &body), -1);
    cr_assert_null(body);
    test_process_free(process);
}
