#ifndef TESTS_SUPPORT_SOCIAL_H
#define TESTS_SUPPORT_SOCIAL_H

#include "gen/social.pb-c.h"
#include "tests/support/call.h"

// The social service on a MariaDB and a Redis of the test's own, as often as wanted. One set of
// servers at a time; failures of the harness abort (process.h).

struct test_listener;
struct test_server;

void test_social_servers_start(void);
void test_social_servers_free(void);
struct test_server *test_social_redis(void);
struct test_server *test_social_mariadb(void);

// Redis, which was stopped, is there again. The services (NULL at the end) stand still until the
// listener listens, or it would miss what they publish at once.
void test_social_redis_return(struct test_listener *listener, struct test_service *const *services);

// An instance on these servers. extra: one more variable, NAME=value.
struct test_service *test_social_start(const char *extra);

// A call of a method of mmorts.social.Social; see test_call.
enum mm_err test_social_call(struct test_service *service, const char *method, const void *request,
                             void *reply_out);

// Player N as member "pN". Names of players whose numbers differ by 16 share their place.
Mmorts__Social__Member test_social_member(uint64_t player_id);

#endif
