// How the workers of the MariaDB pool connect, shown through a relay that holds up or breaks what
// it is told to.

#include "libcommon/io/db.h"
#include "libcommon/io/db_conn.h"
#include "tests/support/db_options.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

// --- the relay -----------------------------------------------------------------------------------

// One connection to the server, for one of the pool's.
struct relayed {
    pthread_t thread;
    int client, server;
};

static bool pass(int from, int to)
{
    char bytes[65536];
    ssize_t got = recv(from, bytes, sizeof bytes, 0);
    return got > 0 && send(to, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

static void *relay(void *arg)
{
    struct relayed *self = arg;
    struct pollfd fds[2] = {{.fd = self->client, .events = POLLIN},
                            {.fd = self->server, .events = POLLIN}};
    for (bool going = true; going;) {
        (void)poll(fds, 2, -1);
        if (fds[0].revents)
            going = pass(self->client, self->server);
        if (going && fds[1].revents)
            going = pass(self->server, self->client);
    }
    close(self->client);
    close(self->server);
    return NULL;
}

static void relay_begin(struct relayed *self, int client, uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    *self = (struct relayed){.client = client, .server = socket(AF_INET, SOCK_STREAM, 0)};
    cr_assert_eq(connect(self->server, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(pthread_create(&self->thread, NULL, relay, self), 0);
}

// --- jobs ----------------------------------------------------------------------------------------

struct outcome {
    bool done;
    enum mm_err err;
};

static void outcome_done(enum mm_err err, void *arg)
{
    *(struct outcome *)arg = (struct outcome){.done = true, .err = err};
}

static atomic_bool gate_open;

static enum mm_err work_nothing(struct mm_db_conn *conn, void *arg)
{
    (void)arg;
    return mm_db_exec(conn, "DO 1", MM_DB_NO_ARGS, NULL);
}

static enum mm_err work_gate(struct mm_db_conn *conn, void *arg)
{
    while (!atomic_load(&gate_open))
        (void)poll(NULL, 0, 1);
    return work_nothing(conn, arg);
}

static void submit(struct mm_db *db, mm_db_work_fn work, struct outcome *outcome)
{
    struct mm_db_job job = {
        .work = work, .done = outcome_done, .arg = outcome, .deadline_ms = TEST_PATIENCE_MS};
    cr_assert_eq(mm_db_submit(db, &job), MM_OK);
}

static bool failed_one(struct mm_loop *loop, struct mm_db *db)
{
    const bool never = false;
    struct mm_db_stats stats = {0};
    for (int64_t end_ms = test_now_ms() + TEST_PATIENCE_MS;
         stats.connects_failed == 0 && test_now_ms() < end_ms; mm_db_stats(db, &stats, false))
        (void)mm_loop_run_until(loop, &never, 5);
    return stats.connects_failed == 1;
}

static void on_state(bool is_up, void *arg)
{
    *(bool *)arg = is_up;
}

// Two workers look for the server at once. One finds it; the other's attempt, begun before, fails
// only afterwards: that says nothing of the server, and no job is refused for it.
Test(db_connect, an_attempt_that_fails_behind_a_good_one_holds_nobody_up, .timeout = 300)
{
    const struct test_address *server = &test_servers_get()->mariadb;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 8), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);

    bool is_up = false;
    struct mm_loop *loop;
    struct mm_db *db;
    struct mm_db_options options = test_db_options(server, "information_schema");
    options.port = ntohs(address.sin_port);
    options.workers = 2;
    options.backoff_min_ms = options.backoff_max_ms = TEST_PATIENCE_MS;
    options.on_state = on_state;
    options.on_state_arg = &is_up;
    cr_assert_eq(mm_loop_create(NULL, &loop), MM_OK);
    cr_assert_eq(mm_db_create(loop, &options, &db), MM_OK);
    int good = accept(listener, NULL, NULL), late = accept(listener, NULL, NULL);
    static struct relayed relays[2];
    relay_begin(&relays[0], good, server->port);
    cr_assert(mm_loop_run_until(loop, &is_up, TEST_PATIENCE_MS));
    close(late);
    cr_assert(failed_one(loop, db));

    // One of these is for the worker that has failed.
    struct outcome outcomes[2] = {0};
    submit(db, work_gate, &outcomes[0]);
    submit(db, work_nothing, &outcomes[1]);
    relay_begin(&relays[1], accept(listener, NULL, NULL), server->port);
    atomic_store(&gate_open, true);
    for (int i = 0; i < 2; i++) {
        cr_assert(mm_loop_run_until(loop, &outcomes[i].done, TEST_PATIENCE_MS));
        cr_assert_eq(outcomes[i].err, MM_OK, "%s", mm_err_name(outcomes[i].err));
    }
    mm_db_destroy(db, 0);
    for (int i = 0; i < 2; i++)
        pthread_join(relays[i].thread, NULL);
    close(listener);
    mm_loop_destroy(loop);
}
