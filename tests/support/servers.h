#ifndef MM_TESTS_SUPPORT_SERVERS_H
#define MM_TESTS_SUPPORT_SERVERS_H

// Private MariaDB and Redis servers for tests, on 127.0.0.1, with data directories of their own.
// Same rules as process.h: nothing outlives the test, failure aborts, one thread.

#include <stdbool.h>
#include <stdint.h>

struct test_address {
    char host[16];
    uint16_t port;
    char user[32];     // empty for Redis
    char password[64]; // empty if none is needed
};

// The pair that a test without special wishes uses: shared with the other test programs of a
// `make test` run (so: use database names and key prefixes of your own, see test_name_unique),
// or started for this process alone when the test program is run by hand.
struct test_servers {
    struct test_address mariadb;
    struct test_address redis;
};
const struct test_servers *test_servers_get(void);

// "<prefix>_<something no other test uses>": for databases, key prefixes, sockets. Caller frees.
char *test_name_unique(const char *prefix);

// A server of the test's own, for tests that stop or kill it.
struct test_server;

// A fresh MariaDB that accepts connections: user and password as in its address, all rights.
struct test_server *test_mariadb_start(void);

// A fresh Redis that accepts connections; `password` NULL: none needed; `durable`: with an
// append-only file synced at every write, so that a killed server comes back with its data.
struct test_server *test_redis_start(const char *password, bool durable);

// Valid until test_server_free; the port stays the same across restarts.
const struct test_address *test_server_address(const struct test_server *server);

// Ends it in good order; data and port are kept for test_server_restart.
void test_server_stop(struct test_server *server);

// kill -9; data and port are kept for test_server_restart.
void test_server_kill(struct test_server *server);

// Sends it a signal. SIGSTOP makes a server that is there but does not answer (every thread of it
// has stopped when this returns), SIGCONT lets it go on.
void test_server_signal(struct test_server *server, int signal);

// Stops it if it runs and starts it on the same port and data; returns when it accepts connections.
void test_server_restart(struct test_server *server);

// Kills it and removes its data. NULL is allowed.
void test_server_free(struct test_server *server);

#endif
