#ifndef TESTS_SUPPORT_SOCIAL_LISTENER_H
#define TESTS_SUPPORT_SOCIAL_LISTENER_H

#include <stdbool.h>

#include "gen/social.pb-c.h"
#include "tests/support/servers.h"

// Hears what social publishes of the session "main". Events of groups and mail may be published
// twice (social.proto): of those it tells the first. Failures of the harness abort (process.h).
struct test_listener;

struct test_listener *test_listener_open(const struct test_server *redis);
// NULL is allowed.
void test_listener_close(struct test_listener *listener);
// Listens anew, after Redis was gone.
void test_listener_reopen(struct test_listener *listener);
// The next event, the caller's to free; NULL if none comes within the time.
Mmorts__Social__Event *test_listener_next(struct test_listener *listener, int timeout_ms);
// Whether nothing comes for 300 ms.
bool test_listener_is_silent(struct test_listener *listener);

#endif
