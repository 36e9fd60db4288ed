// Presence and chat with two instances of the service on one real Redis.

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/social.pb-c.h"
#include "libcommon/base/clock.h"
#include "tests/support/call.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"
#include "tests/support/social_listener.h"

static struct test_server *redis;
static struct test_service *first, *second;
static struct test_listener *listener;
static char port_variable[64], db_variables[3][96];

static void set_up_with(const char *lease)
{
    char *one = test_dir_make();
    char *two = test_dir_make();
    redis = test_redis_start(NULL, false);
    const struct test_address *address = test_server_address(redis);
    snprintf(port_variable, sizeof port_variable, "MMORTS_REDIS_PORT=%u", address->port);
    const struct test_address *db = &test_servers_get()->mariadb;
    snprintf(db_variables[0], sizeof db_variables[0], "MMORTS_DB_PORT=%u", db->port);
    snprintf(db_variables[1], sizeof db_variables[1], "MMORTS_DB_USER=%s", db->user);
    snprintf(db_variables[2], sizeof db_variables[2], "MMORTS_DB_PASSWORD=%s", db->password);
    const char *const env[] = {port_variable,   lease,           db_variables[0],
                               db_variables[1], db_variables[2], NULL};
    first = test_service_start("social", one, env);
    second = test_service_start("social", two, env);
    listener = test_listener_open(redis);
    free(one);
    free(two);
}

// No lease ends while the test goes on, however slowly.
static void set_up(void)
{
    set_up_with("MMORTS_SOCIAL_LEASE=300s");
}

// It is short enough to be waited for, and long enough for a few calls on a busy machine.
#define SHORT_LEASE_MS 12000

static void set_up_short_leases(void)
{
    static char variable[48];
    (void)snprintf(variable, sizeof variable, "MMORTS_SOCIAL_LEASE=%dms", SHORT_LEASE_MS);
    set_up_with(variable);
}

static void tear_down(void)
{
    test_listener_close(listener);
    test_service_free(first);
    test_service_free(second);
    test_server_free(redis);
}

TestSuite(social, .init = set_up, .fini = tear_down, .timeout = 300);
TestSuite(social_lease, .init = set_up_short_leases, .fini = tear_down, .timeout = 300);

static enum mm_err call(struct test_service *service, const char *method, void *request,
                        void *reply_out)
{
    return test_call(service, &mmorts__social__social__descriptor, method, request, reply_out);
}

static void expect_member(Mmorts__Social__Event__EventCase which, uint64_t player_id,
                          int timeout_ms)
{
    Mmorts__Social__Event *event = test_listener_next(listener, timeout_ms);
    cr_assert(event != NULL, "no event about player %lu", (unsigned long)player_id);
    cr_assert_eq(event->event_case, which);
    cr_assert_eq(event->joined->player_id, player_id); // joined and left share the union
    mmorts__social__event__free_unpacked(event, NULL);
}

static void expect_silence(void)
{
    cr_assert(test_listener_is_silent(listener));
}

static Mmorts__Social__Member member(uint64_t player_id, char *username)
{
    Mmorts__Social__Member m = MMORTS__SOCIAL__MEMBER__INIT;
    m.player_id = player_id;
    m.username = username;
    return m;
}

static uint32_t online(struct test_service *service, uint64_t player_id, char *instance,
                       uint64_t connection)
{
    Mmorts__Social__Member m = member(player_id, "ada");
    Mmorts__Social__SetOnlineRequest request = MMORTS__SOCIAL__SET_ONLINE_REQUEST__INIT;
    request.session = "main";
    request.instance = instance;
    request.member = &m;
    request.connection = connection;
    Mmorts__Social__SetOnlineReply *reply = NULL;
    cr_assert(call(service, "SetOnline", &request, &reply) == MM_OK);
    uint32_t count = reply->online;
    mmorts__social__set_online_reply__free_unpacked(reply, NULL);
    return count;
}

static void offline_said(struct test_service *service, uint64_t player_id, char *instance,
                         uint64_t connection, uint64_t said_us)
{
    Mmorts__Social__SetOfflineRequest request = MMORTS__SOCIAL__SET_OFFLINE_REQUEST__INIT;
    request.session = "main";
    request.instance = instance;
    request.player_id = player_id;
    request.connection = connection;
    request.said_us = said_us;
    cr_assert(call(service, "SetOffline", &request, NULL) == MM_OK);
}

static void offline(struct test_service *service, uint64_t player_id, char *instance,
                    uint64_t connection)
{
    offline_said(service, player_id, instance, connection, 0);
}

Test(social, a_player_joins_once_and_leaves_once_however_many_connections)
{
    cr_assert_eq(online(first, 7, "sync-1", 1), 1);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    cr_assert_eq(online(second, 7, "sync-2", 5), 1, "the same player on another instance");
    cr_assert_eq(online(first, 7, "sync-1", 2), 1, "a newer connection replaces the older");
    offline(first, 7, "sync-1", 1); // the older one goes: nothing happens
    offline(second, 7, "sync-2", 5);
    expect_silence();
    offline(first, 7, "sync-1", 2);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 7, TEST_PATIENCE_MS);
    offline(first, 7, "sync-1", 2);
    expect_silence();
}

static enum mm_err heartbeat(struct test_service *service, Mmorts__Social__Member *m)
{
    Mmorts__Social__HeartbeatRequest request = MMORTS__SOCIAL__HEARTBEAT_REQUEST__INIT;
    request.session = "main";
    request.instance = "sync-1";
    request.n_members = 1;
    request.members = &m;
    return call(service, "Heartbeat", &request, NULL);
}

Test(social_lease, who_is_not_renewed_goes_by_itself)
{
    online(first, 7, "sync-1", 1);
    online(first, 8, "sync-1", 2);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 8, TEST_PATIENCE_MS);
    int64_t until = test_now_ms() + 13000;
    Mmorts__Social__Member m = member(8, "bob");
    while (test_now_ms() < until)
        cr_assert(heartbeat(second, &m) == MM_OK);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 7, TEST_PATIENCE_MS);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 8, TEST_PATIENCE_MS);
}

static Mmorts__Social__SetOnlineReply claim_as(struct test_service *service, char *instance,
                                               uint64_t connection, Mmorts__Social__Claim kind,
                                               uint64_t said_us, uint64_t came_us)
{
    Mmorts__Social__Member m = member(7, "ada");
    Mmorts__Social__SetOnlineRequest request = MMORTS__SOCIAL__SET_ONLINE_REQUEST__INIT;
    request.session = "main";
    request.instance = instance;
    request.member = &m;
    request.connection = connection;
    request.claim = kind;
    request.said_us = said_us;
    request.came_us = came_us;
    Mmorts__Social__SetOnlineReply *reply = NULL;
    cr_assert(call(service, "SetOnline", &request, &reply) == MM_OK);
    Mmorts__Social__SetOnlineReply copy = *reply;
    mmorts__social__set_online_reply__free_unpacked(reply, NULL);
    return copy;
}

static Mmorts__Social__SetOnlineReply claim(struct test_service *service, char *instance,
                                            uint64_t connection, Mmorts__Social__Claim kind)
{
    return claim_as(service, instance, connection, kind, 0, 0);
}

static bool is_wanted(const Mmorts__Social__Event *event)
{
    return event != NULL && event->event_case == MMORTS__SOCIAL__EVENT__EVENT_WANTED;
}

// Whoever holds player 7 hears of each claim that is refused.
static void expect_wanted(void)
{
    Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
    cr_assert(is_wanted(event));
    cr_assert_eq(event->wanted->player_id, 7);
    mmorts__social__event__free_unpacked(event, NULL);
}

static void expect_claimed(const char *instance, uint64_t number)
{
    Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
    cr_assert(event != NULL, "nothing claimed");
    cr_assert_eq(event->event_case, MMORTS__SOCIAL__EVENT__EVENT_CLAIMED);
    cr_assert_eq(event->claimed->player_id, 7);
    cr_assert_str_eq(event->claimed->instance, instance);
    cr_assert_eq(event->claimed->claim, number);
    mmorts__social__event__free_unpacked(event, NULL);
}

// Whether an instance that holds player 7 by that claim hears that another one does.
static bool overtaken(struct test_service *service, char *instance, uint64_t number)
{
    Mmorts__Social__Member m = member(7, "ada"), *members[] = {&m};
    Mmorts__Social__HeartbeatRequest request = MMORTS__SOCIAL__HEARTBEAT_REQUEST__INIT;
    request.session = "main";
    request.instance = instance;
    request.n_members = request.n_claims = 1;
    request.members = members;
    request.claims = &number;
    Mmorts__Social__HeartbeatReply *reply = NULL;
    cr_assert(call(service, "Heartbeat", &request, &reply) == MM_OK);
    cr_assert_eq(reply->online, 1);
    cr_assert(reply->n_overtaken == 0 || reply->overtaken[0] == 7);
    bool told = reply->n_overtaken == 1;
    mmorts__social__heartbeat_reply__free_unpacked(reply, NULL);
    return told;
}

Test(social, the_newest_claim_holds_a_player)
{
    uint64_t one = claim(first, "sync-1", 1, MMORTS__SOCIAL__CLAIM__CLAIM_NEWEST).claim;
    cr_assert_gt(one, 0);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    uint64_t again = claim(second, "sync-1", 2, MMORTS__SOCIAL__CLAIM__CLAIM_NEWEST).claim;
    cr_assert_gt(again, one);
    expect_silence(); // its own connections are the instance's affair
    uint64_t two = claim(second, "sync-2", 1, MMORTS__SOCIAL__CLAIM__CLAIM_NEWEST).claim;
    cr_assert_gt(two, again);
    expect_claimed("sync-2", two);
    // Who has missed the event hears of it with the next heartbeat, and is not renewed.
    cr_assert(overtaken(first, "sync-1", again));
    cr_assert(!overtaken(first, "sync-2", two));
    cr_assert(!overtaken(first, "sync-1", 0), "without a claim there is nothing to compare");
    offline(first, 7, "sync-1", 2);
    expect_silence();
    offline(first, 7, "sync-2", 1);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 7, TEST_PATIENCE_MS);
    cr_assert(!overtaken(first, "sync-1", 1), "a player who has left is nobody's");
}

// What sync-1 says of player 7, as calls that may come in another order than they were made.
static uint64_t said_online(uint64_t connection, Mmorts__Social__Claim kind, uint64_t said_us)
{
    Mmorts__Social__SetOnlineReply reply = claim_as(first, "sync-1", connection, kind, said_us, 0);
    cr_assert(!reply.refused);
    return reply.claim;
}

static void said_heartbeat(uint64_t said_us, uint32_t online_now)
{
    Mmorts__Social__Member m = member(7, "ada"), *members[] = {&m};
    Mmorts__Social__HeartbeatRequest request = MMORTS__SOCIAL__HEARTBEAT_REQUEST__INIT;
    request.session = "main";
    request.instance = "sync-1";
    request.n_members = 1;
    request.members = members;
    request.said_us = said_us;
    Mmorts__Social__HeartbeatReply *reply = NULL;
    cr_assert(call(first, "Heartbeat", &request, &reply) == MM_OK);
    cr_assert_eq(reply->online, online_now);
    mmorts__social__heartbeat_reply__free_unpacked(reply, NULL);
}

Test(social, what_comes_after_something_later_changes_nothing)
{
    const Mmorts__Social__Claim newest = MMORTS__SOCIAL__CLAIM__CLAIM_NEWEST,
                                none = MMORTS__SOCIAL__CLAIM__CLAIM_NONE;
    uint64_t us = (uint64_t)mm_clock_wall_ms() * 1000;
    uint64_t two = said_online(2, newest, us + 2);
    cr_assert_gt(two, 0);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    // The claim of the connection before it, which has ended since: it takes the player from
    // nobody.
    cr_assert_eq(said_online(1, newest, us + 1), 0);
    cr_assert(!overtaken(second, "sync-1", two));
    uint64_t elsewhere = claim(second, "sync-2", 1, newest).claim;
    expect_claimed("sync-2", elsewhere);
    cr_assert_eq(said_online(1, newest, us + 1), 0);
    expect_silence();
    // The same call once more, whose answer was lost, is no older one.
    uint64_t again = said_online(2, newest, us + 2);
    cr_assert_gt(again, elsewhere);
    expect_claimed("sync-1", again);
    offline(second, 7, "sync-2", 1);

    // Who is gone does not come back by what was said before, nor goes by it.
    offline_said(first, 7, "sync-1", 2, us + 1);
    expect_silence();
    offline_said(first, 7, "sync-1", 2, us + 5);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 7, TEST_PATIENCE_MS);
    cr_assert_eq(said_online(3, newest, us + 4), 0);
    cr_assert_eq(said_online(3, none, us + 4), 0);
    said_heartbeat(us + 4, 0);
    expect_silence();
    said_heartbeat(us + 6, 1); // social had lost it
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
}

// By the clock that instances share; they say so to one social as to the other.
static uint64_t shared_now_us(struct test_service *service)
{
    Mmorts__Social__HeartbeatRequest request = MMORTS__SOCIAL__HEARTBEAT_REQUEST__INIT;
    request.session = "main";
    request.instance = "sync-1";
    Mmorts__Social__HeartbeatReply *reply = NULL;
    cr_assert(call(service, "Heartbeat", &request, &reply) == MM_OK);
    uint64_t now_us = reply->now_us;
    mmorts__social__heartbeat_reply__free_unpacked(reply, NULL);
    return now_us;
}

Test(social, the_clock_that_instances_share_goes_on)
{
    uint64_t one = shared_now_us(first), two = shared_now_us(second), three = shared_now_us(first);
    cr_assert(one > UINT64_C(1600000000000000) && one < two && two < three);
}

Test(social, a_claim_that_waited_on_its_way_takes_the_player_from_nobody)
{
    const Mmorts__Social__Claim newest = MMORTS__SOCIAL__CLAIM__CLAIM_NEWEST;
    uint64_t us = shared_now_us(first) - 20000000;
    Mmorts__Social__SetOnlineReply two = claim_as(second, "sync-2", 1, newest, 0, us + 2);
    cr_assert(two.claim > 0 && !two.overtaken);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    // Of a connection at another instance, before that; it may have ended since.
    Mmorts__Social__SetOnlineReply one = claim_as(first, "sync-1", 1, newest, 0, us + 1);
    cr_assert(one.overtaken && one.claim == 0 && !one.refused && one.online == 1);
    cr_assert(!overtaken(second, "sync-2", two.claim));
    offline(first, 7, "sync-1", 1);
    expect_silence();
    Mmorts__Social__SetOnlineReply three = claim_as(first, "sync-1", 2, newest, 0, us + 4);
    cr_assert(three.claim > two.claim && !three.overtaken);
    expect_claimed("sync-1", three.claim);
    // By a clock that is another one it may be the latest.
    Mmorts__Social__SetOnlineReply four = claim_as(second, "sync-3", 1, newest, 0, us - 10000000);
    cr_assert(four.claim > three.claim && !four.overtaken);
    expect_claimed("sync-3", four.claim);
    offline(second, 7, "sync-2", 1);
    offline(first, 7, "sync-1", 2);
    expect_silence();
    offline(first, 7, "sync-3", 1);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 7, TEST_PATIENCE_MS);
    // Nobody holds the player any more.
    cr_assert_gt(claim_as(second, "sync-4", 1, newest, 0, us - 10000001).claim, four.claim);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    offline(second, 7, "sync-4", 1);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 7, TEST_PATIENCE_MS);
}

// Whoever comes again within seconds has the player, though that instance's own clock is behind;
// and one whose clock is ahead keeps nobody out.
Test(social, instances_clocks_may_differ)
{
    const Mmorts__Social__Claim newest = MMORTS__SOCIAL__CLAIM__CLAIM_NEWEST;
    uint64_t wall_us = (uint64_t)mm_clock_wall_ms() * 1000, us = shared_now_us(first) - 20000000;
    uint64_t one = claim_as(first, "sync-1", 1, newest, wall_us + 3000000, us).claim;
    cr_assert_gt(one, 0);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    Mmorts__Social__SetOnlineReply two =
        claim_as(second, "sync-2", 1, newest, wall_us, us + 500000);
    cr_assert(two.claim > one && !two.overtaken);
    expect_claimed("sync-2", two.claim);
    // The older one, said again as if it were the latest.
    cr_assert(claim_as(first, "sync-1", 1, newest, wall_us + 9000000, us).overtaken);
    // An instance that does not know the clock says it now, and so does one that is ahead of it.
    Mmorts__Social__SetOnlineReply three = claim_as(first, "sync-3", 1, newest, wall_us, 0);
    cr_assert(three.claim > two.claim && !three.overtaken);
    expect_claimed("sync-3", three.claim);
    Mmorts__Social__SetOnlineReply four =
        claim_as(second, "sync-4", 1, newest, wall_us, shared_now_us(second) + 4000000);
    cr_assert(four.claim > three.claim && !four.overtaken);
    expect_claimed("sync-4", four.claim);
    uint64_t now_us = shared_now_us(second);
    Mmorts__Social__SetOnlineReply five = claim_as(first, "sync-5", 1, newest, wall_us, now_us);
    cr_assert(five.claim > four.claim && !five.overtaken);
    expect_claimed("sync-5", five.claim);
    // What is said now is later than what was before, if that is not too long ago.
    now_us = shared_now_us(first);
    Mmorts__Social__SetOnlineReply six = claim_as(second, "sync-6", 1, newest, wall_us, 0);
    cr_assert(six.claim > five.claim && !six.overtaken);
    bool is_late = claim_as(first, "sync-1", 2, newest, 0, now_us).overtaken;
    cr_assert(is_late || shared_now_us(first) - now_us >= 5000000);
}

// The instance says that it lives, and how long it may be silent.
static void beat(struct test_service *service, char *instance, uint32_t silent_ms)
{
    Mmorts__Social__HeartbeatRequest request = MMORTS__SOCIAL__HEARTBEAT_REQUEST__INIT;
    request.session = "main";
    request.instance = instance;
    request.silent_ms = silent_ms;
    cr_assert(call(service, "Heartbeat", &request, NULL) == MM_OK);
}

#define ONLY MMORTS__SOCIAL__CLAIM__CLAIM_ONLY

static void expect_refused(Mmorts__Social__SetOnlineReply reply, uint32_t after_ms_max)
{
    expect_wanted();
    cr_assert(reply.refused);
    cr_assert_eq(reply.claim, 0);
    cr_assert_gt(reply.retry_after_ms, 0);
    cr_assert_leq(reply.retry_after_ms, after_ms_max);
}

// The leases are of 300 s here: what is over in this test was not ended by them.
Test(social, an_only_claim_ends_what_a_silent_instance_held)
{
    beat(first, "sync-1", 200000);
    Mmorts__Social__SetOnlineReply one = claim(first, "sync-1", 1, ONLY);
    cr_assert(!one.refused && one.claim > 0 && one.retry_after_ms == 0);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    expect_refused(claim(second, "sync-2", 1, ONLY), 200000);
    expect_refused(claim(second, "sync-2", 2, ONLY), 200000);
    beat(second, "sync-2", 200000); // of another one: that changes nothing
    expect_refused(claim(second, "sync-2", 3, ONLY), 200000);
    expect_silence();
    beat(second, "sync-1", 1); // and is not heard of again
    Mmorts__Social__SetOnlineReply two;
    while ((two = claim(second, "sync-2", 4, ONLY)).refused)
        expect_refused(two, 1);
    cr_assert_gt(two.claim, one.claim);
    expect_claimed("sync-2", two.claim); // the player has not left meanwhile, nor come again
    // It was only held up, and is here again: it has lost the player, and does not get it back.
    beat(first, "sync-1", 200000);
    cr_assert(overtaken(first, "sync-1", one.claim));
    expect_refused(claim(first, "sync-1", 1, ONLY), 200000);
    cr_assert(!overtaken(second, "sync-2", two.claim));
    offline(second, 7, "sync-2", 4);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 7, TEST_PATIENCE_MS);
    cr_assert(!claim(first, "sync-1", 1, ONLY).refused);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    expect_silence();
}

Test(social, a_claim_is_a_sign_of_life)
{
    Mmorts__Social__Member m = member(7, "ada");
    Mmorts__Social__SetOnlineRequest request = MMORTS__SOCIAL__SET_ONLINE_REQUEST__INIT;
    request.session = "main";
    request.instance = "sync-1";
    request.member = &m;
    request.connection = 1;
    request.claim = ONLY;
    request.silent_ms = 200000;
    cr_assert(call(first, "SetOnline", &request, NULL) == MM_OK);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    // Of less than the lease: it is known to beat, though it never did yet.
    expect_refused(claim(second, "sync-2", 1, ONLY), 200000);
}

Test(social, one_of_two_holders_that_lives_is_enough_to_refuse)
{
    beat(first, "sync-1", 200000);
    beat(first, "sync-2", 1);
    online(first, 7, "sync-1", 1);
    online(first, 7, "sync-2", 1);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    for (int i = 0; i < 3; i++)
        expect_refused(claim(second, "sync-3", 1, ONLY), 200000);
    beat(first, "sync-1", 1);
    Mmorts__Social__SetOnlineReply reply;
    while ((reply = claim(second, "sync-3", 1, ONLY)).refused)
        expect_refused(reply, 1);
    expect_claimed("sync-3", reply.claim);
    // Both are gone: with this one the player leaves.
    offline(second, 7, "sync-3", 1);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 7, TEST_PATIENCE_MS);
}

Test(social_lease, an_only_claim_is_refused_while_another_instance_holds_the_player)
{
    cr_assert(!claim(first, "sync-1", 1, MMORTS__SOCIAL__CLAIM__CLAIM_ONLY).refused);
    cr_assert(!claim(first, "sync-1", 2, MMORTS__SOCIAL__CLAIM__CLAIM_ONLY).refused, "its own");
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    expect_refused(claim(second, "sync-2", 1, ONLY), SHORT_LEASE_MS); // the other never beats
    expect_silence();
    // That instance dies without a word: the lease is all that holds the player.
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_LEFT, 7, TEST_PATIENCE_MS);
    cr_assert(!claim(second, "sync-2", 1, MMORTS__SOCIAL__CLAIM__CLAIM_ONLY).refused);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    cr_assert(claim(first, "sync-1", 3, MMORTS__SOCIAL__CLAIM__CLAIM_ONLY).refused);
}

Test(social, the_roster_names_who_is_online)
{
    online(first, 7, "sync-1", 1);
    online(second, 8, "sync-1", 2);
    Mmorts__Social__ListOnlineRequest request = MMORTS__SOCIAL__LIST_ONLINE_REQUEST__INIT;
    request.session = "main";
    request.limit = 10;
    Mmorts__Social__ListOnlineReply *reply = NULL;
    cr_assert(call(second, "ListOnline", &request, &reply) == MM_OK);
    cr_assert_eq(reply->online, 2);
    cr_assert_eq(reply->n_members, 2);
    cr_assert_str_eq(reply->members[0]->username, "ada");
    mmorts__social__list_online_reply__free_unpacked(reply, NULL);

    Mmorts__Social__GetPresenceRequest presence = MMORTS__SOCIAL__GET_PRESENCE_REQUEST__INIT;
    presence.session = "main";
    presence.player_id = 8;
    Mmorts__Social__GetPresenceReply *state = NULL;
    cr_assert(call(first, "GetPresence", &presence, &state) == MM_OK);
    cr_assert_eq(state->presence, MMORTS__SOCIAL__PRESENCE__PRESENCE_IN_GAME);
    cr_assert(state->since_ms > 0);
    mmorts__social__get_presence_reply__free_unpacked(state, NULL);
}

// There is a clear error: the other one if the service stood still between asking and hearing.
static void expect_no_redis(enum mm_err err)
{
    cr_assert(err == MM_UNAVAILABLE || err == MM_DEADLINE_EXCEEDED, "%s", mm_err_name(err));
}

Test(social, a_heartbeat_brings_back_whom_redis_forgot)
{
    online(first, 7, "sync-1", 1);
    expect_member(MMORTS__SOCIAL__EVENT__EVENT_JOINED, 7, TEST_PATIENCE_MS);
    test_server_kill(redis);
    Mmorts__Social__Member m = member(7, "ada");
    expect_no_redis(heartbeat(first, &m));
    expect_no_redis(heartbeat(second, &m)); // so both know, and are ready no more
    test_server_restart(redis);             // not durable: it comes back empty
    test_service_wait_ready(first, TEST_PATIENCE_MS);
    test_service_wait_ready(second, TEST_PATIENCE_MS);
    cr_assert(heartbeat(first, &m) == MM_OK);
    cr_assert_eq(online(second, 8, "sync-1", 2), 2);
}

Test(social, a_heartbeat_of_many_members_is_one_answer)
{
    enum { MANY = 1000 };
    static Mmorts__Social__Member members[MANY];
    static Mmorts__Social__Member *list[MANY];
    for (size_t i = 0; i < MANY; i++) {
        members[i] = member(i + 1, "one of many");
        list[i] = &members[i];
    }
    Mmorts__Social__HeartbeatRequest request = MMORTS__SOCIAL__HEARTBEAT_REQUEST__INIT;
    request.session = "main";
    request.instance = "sync-1";
    request.n_members = MANY;
    request.members = list;
    Mmorts__Social__HeartbeatReply *reply = NULL;
    cr_assert(call(first, "Heartbeat", &request, &reply) == MM_OK);
    cr_assert_eq(reply->online, MANY);
    mmorts__social__heartbeat_reply__free_unpacked(reply, NULL);
}

static Mmorts__Social__ChatReason chat(struct test_service *service, uint64_t player_id, char *text,
                                       uint64_t to_player)
{
    Mmorts__Social__Member m = member(player_id, "ada");
    Mmorts__Social__SendChatRequest request = MMORTS__SOCIAL__SEND_CHAT_REQUEST__INIT;
    request.session = "main";
    request.from = &m;
    request.message = text;
    request.to_player = to_player;
    request.scope = to_player ? MMORTS__SOCIAL__CHAT_SCOPE__CHAT_PRIVATE
                              : MMORTS__SOCIAL__CHAT_SCOPE__CHAT_GLOBAL;
    Mmorts__Social__SendChatReply *reply = NULL;
    cr_assert(call(service, "SendChat", &request, &reply) == MM_OK);
    Mmorts__Social__ChatReason reason = reply->reason;
    cr_assert_eq(reason == MMORTS__SOCIAL__CHAT_REASON__CHAT_RATE_LIMITED,
                 reply->retry_after_ms > 0);
    mmorts__social__send_chat_reply__free_unpacked(reply, NULL);
    return reason;
}

Test(social, a_message_is_published_trimmed_with_sender_and_time)
{
    cr_assert_eq(chat(first, 7, "  hello \n", 0), MMORTS__SOCIAL__CHAT_REASON__CHAT_OK);
    Mmorts__Social__Event *event = test_listener_next(listener, TEST_PATIENCE_MS);
    cr_assert(event && event->event_case == MMORTS__SOCIAL__EVENT__EVENT_CHAT);
    cr_assert_str_eq(event->chat->message, "hello");
    cr_assert_eq(event->chat->from->player_id, 7);
    cr_assert(event->chat->timestamp_ms > 0);
    mmorts__social__event__free_unpacked(event, NULL);
}

Test(social, bad_messages_are_refused_and_not_published)
{
    char long_text[502];
    memset(long_text, 'x', 501);
    long_text[501] = '\0';
    cr_assert_eq(chat(first, 7, long_text, 0), MMORTS__SOCIAL__CHAT_REASON__CHAT_TOO_LONG);
    cr_assert_eq(chat(first, 7, "  ", 0), MMORTS__SOCIAL__CHAT_REASON__CHAT_EMPTY);
    cr_assert_eq(chat(first, 7, "a\x1b[2J", 0), MMORTS__SOCIAL__CHAT_REASON__CHAT_INVALID_TEXT);
    cr_assert_eq(chat(first, 7, "psst", 99), MMORTS__SOCIAL__CHAT_REASON__CHAT_NOT_ONLINE);
    expect_silence();
    long_text[500] = '\0';
    cr_assert_eq(chat(first, 7, long_text, 0), MMORTS__SOCIAL__CHAT_REASON__CHAT_OK,
                 "500 characters are allowed");
}

Test(social, the_rate_limit_holds_across_instances)
{
    for (int i = 0; i < 10; i++)
        cr_assert_eq(chat(i % 2 ? first : second, 7, "hello", 0),
                     MMORTS__SOCIAL__CHAT_REASON__CHAT_OK);
    cr_assert_eq(chat(first, 7, "hello", 0), MMORTS__SOCIAL__CHAT_REASON__CHAT_RATE_LIMITED);
    cr_assert_eq(chat(second, 7, "hello", 0), MMORTS__SOCIAL__CHAT_REASON__CHAT_RATE_LIMITED);
    cr_assert_eq(chat(second, 8, "hello", 0), MMORTS__SOCIAL__CHAT_REASON__CHAT_OK,
                 "others are not held up");
}

Test(social, malformed_requests_are_typed_errors)
{
    Mmorts__Social__SetOnlineRequest request = MMORTS__SOCIAL__SET_ONLINE_REQUEST__INIT;
    request.session = "main";
    cr_assert(call(first, "SetOnline", &request, NULL) == MM_INVALID_ARGUMENT);
    Mmorts__Social__Member m = member(7, "ada");
    request.instance = "sync-1";
    request.member = &m;
    request.silent_ms = 600001;
    cr_assert(call(first, "SetOnline", &request, NULL) == MM_INVALID_ARGUMENT);
    request.silent_ms = 0;
    request.session = "elsewhere";
    cr_assert(call(first, "SetOnline", &request, NULL) == MM_NOT_FOUND);
}
