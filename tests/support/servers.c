#include "tests/support/servers.h"

#include "tests/support/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ACCEPT_TIMEOUT_MS = 120000, // the first start of all makes MariaDB's system tables
    START_TRIES = 5,            // a free port may be taken between the look and the start
};

enum server_kind { SERVER_MARIADB, SERVER_REDIS };

struct test_server {
    enum server_kind kind;
    bool durable;
    char *directory;
    struct test_address address;
    struct test_process *process;
};

static uint64_t random_number(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        test_fail("getrandom: %s", strerror(errno));
    return number;
}

char *test_name_unique(const char *prefix)
{
    char *name;
    if (asprintf(&name, "%s_%012llx", prefix, (unsigned long long)(random_number() >> 16)) < 0)
        test_fail("out of memory");
    return name;
}

static void start_process(struct test_server *server)
{
    const struct test_address *address = &server->address;
    char port[8];
    snprintf(port, sizeof port, "%u", address->port);
    const char *kind = server->kind == SERVER_MARIADB ? "mariadb" : "redis";
    const char *mariadb[] = {
        "tests/support/server.sh", kind, server->directory, port, address->user,
        address->password,         NULL};
    const char *redis[] = {"tests/support/server.sh",
                           kind,
                           server->directory,
                           port,
                           address->password,
                           server->durable ? "durable" : "volatile",
                           NULL};
    server->process = test_process_start(server->kind == SERVER_MARIADB ? mariadb : redis, NULL);
}

// Both servers say in their logs that they accept, after their data is loaded. A restart begins a
// log of its own, so an older line cannot be mistaken for the new one.
static bool wait_accepting(struct test_server *server)
{
    const char *line =
        server->kind == SERVER_MARIADB ? "ready for connections" : "Ready to accept connections";
    return test_process_wait_log(server->process, line, ACCEPT_TIMEOUT_MS);
}

static struct test_server *start_new(enum server_kind kind, const char *user, const char *password,
                                     bool durable)
{
    struct test_server *server = calloc(1, sizeof *server);
    if (!server)
        test_fail("out of memory");
    server->kind = kind;
    server->durable = durable;
    server->directory = test_dir_make();
    snprintf(server->address.host, sizeof server->address.host, "127.0.0.1");
    snprintf(server->address.user, sizeof server->address.user, "%s", user);
    snprintf(server->address.password, sizeof server->address.password, "%s", password);
    for (int i = 0; i < START_TRIES; i++) {
        server->address.port = test_port_free();
        start_process(server);
        if (wait_accepting(server))
            return server;
        test_process_free(server->process);
        server->process = NULL;
    }
    test_fail("%s does not start", kind == SERVER_MARIADB ? "MariaDB" : "Redis");
}

struct test_server *test_mariadb_start(void)
{
    char *password = test_name_unique("secret");
    struct test_server *server = start_new(SERVER_MARIADB, "mmorts", password, true);
    free(password);
    return server;
}

struct test_server *test_redis_start(const char *password, bool durable)
{
    return start_new(SERVER_REDIS, "", password ? password : "", durable);
}

const struct test_address *test_server_address(const struct test_server *server)
{
    return &server->address;
}

void test_server_stop(struct test_server *server)
{
    if (!server->process)
        return;
    test_process_signal(server->process, SIGTERM);
    if (test_process_wait(server->process, TEST_PATIENCE_MS) == -1)
        test_fail("a server did not stop");
    test_process_free(server->process);
    server->process = NULL;
}

void test_server_kill(struct test_server *server)
{
    test_process_free(server->process);
    server->process = NULL;
}

void test_server_signal(struct test_server *server, int signal)
{
    test_process_signal(server->process, signal);
    // Its threads stop one by one; the wait ends when the last one has.
    siginfo_t info;
    if (signal == SIGSTOP &&
        waitid(P_PID, (id_t)test_process_pid(server->process), &info, WSTOPPED) != 0)
        test_fail("a server does not stop: %s", strerror(errno));
}

void test_server_restart(struct test_server *server)
{
    test_server_stop(server);
    start_process(server);
    if (!wait_accepting(server))
        test_fail("a server did not come back");
}

void test_server_free(struct test_server *server)
{
    if (!server)
        return;
    test_server_kill(server);
    free(server->directory);
    free(server);
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

static void address_from_environment(struct test_address *address, const char *prefix)
{
    char name[64];
    snprintf(name, sizeof name, "%s_HOST", prefix);
    snprintf(address->host, sizeof address->host, "%s", environment(name));
    snprintf(name, sizeof name, "%s_PORT", prefix);
    unsigned long port = strtoul(environment(name), NULL, 10);
    if (port == 0 || port > UINT16_MAX)
        test_fail("%s=%s is no port", name, environment(name));
    address->port = (uint16_t)port;
    snprintf(name, sizeof name, "%s_USER", prefix);
    snprintf(address->user, sizeof address->user, "%s", environment(name));
    snprintf(name, sizeof name, "%s_PASSWORD", prefix);
    snprintf(address->password, sizeof address->password, "%s", environment(name));
}

const struct test_servers *test_servers_get(void)
{
    static struct test_servers servers;
    static pid_t started_by;
    if (*environment("MM_TEST_DB_HOST") && *environment("MM_TEST_REDIS_HOST")) {
        address_from_environment(&servers.mariadb, "MM_TEST_DB");
        address_from_environment(&servers.redis, "MM_TEST_REDIS");
    } else if (started_by != getpid()) {
        // Left to the clean-up at exit.
        struct test_server *mariadb = test_mariadb_start();
        struct test_server *redis = test_redis_start(NULL, false);
        servers.mariadb = mariadb->address;
        servers.redis = redis->address;
        free(mariadb->directory);
        free(mariadb);
        free(redis->directory);
        free(redis);
        started_by = getpid();
    }
    return &servers;
}
