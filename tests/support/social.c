#include "tests/support/social.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/process.h"
#include "tests/support/servers.h"
#include "tests/support/social_listener.h"

static struct test_server *redis, *mariadb;
static char variables[4][96];

void test_social_servers_start(void)
{
    redis = test_redis_start(NULL, false);
    mariadb = test_mariadb_start();
    const struct test_address *db = test_server_address(mariadb);
    snprintf(variables[0], sizeof variables[0], "MMORTS_REDIS_PORT=%u",
             test_server_address(redis)->port);
    snprintf(variables[1], sizeof variables[1], "MMORTS_DB_PORT=%u", db->port);
    snprintf(variables[2], sizeof variables[2], "MMORTS_DB_USER=%s", db->user);
    snprintf(variables[3], sizeof variables[3], "MMORTS_DB_PASSWORD=%s", db->password);
}

void test_social_servers_free(void)
{
    test_server_free(redis);
    test_server_free(mariadb);
    redis = mariadb = NULL;
}

struct test_server *test_social_redis(void)
{
    return redis;
}

struct test_server *test_social_mariadb(void)
{
    return mariadb;
}

void test_social_redis_return(struct test_listener *listener, struct test_service *const *services)
{
    for (size_t i = 0; services[i]; i++)
        test_process_signal(test_service_process(services[i]), SIGSTOP);
    test_server_restart(redis);
    test_listener_reopen(listener);
    for (size_t i = 0; services[i]; i++)
        test_process_signal(test_service_process(services[i]), SIGCONT);
}

struct test_service *test_social_start(const char *extra)
{
    char *directory = test_dir_make();
    // Whoever is online stays so, however slowly the test goes on.
    const char *const env[] = {
        variables[0], variables[1], variables[2], variables[3], "MMORTS_SOCIAL_LEASE=300s",
        extra,        NULL};
    struct test_service *service = test_service_start("social", directory, env);
    free(directory);
    return service;
}

enum mm_err test_social_call(struct test_service *service, const char *method, const void *request,
                             void *reply_out)
{
    return test_call(service, &mmorts__social__social__descriptor, method, request, reply_out);
}

Mmorts__Social__Member test_social_member(uint64_t player_id)
{
    static char names[16][16];
    Mmorts__Social__Member member = MMORTS__SOCIAL__MEMBER__INIT;
    char *name = names[player_id % 16];
    snprintf(name, sizeof names[0], "p%d", (int)player_id);
    member.player_id = player_id;
    member.username = name;
    return member;
}
