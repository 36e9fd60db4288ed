#include "tests/support/load_view.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

// The reader of the load tool: a checker must be known to see what is wrong.

#define UNIT_1 "unit_0000000000001"
#define UNIT_2 "unit_0000000000002"
#define WELCOME                                                                                    \
    "{\"type\":\"welcome\",\"payload\":{\"empire_id\":\"empire_0000000000007\",\"next_seq\":9}}"
#define FULL                                                                                       \
    "{\"type\":\"update\",\"tick\":5,\"full\":true,\"appeared\":[{\"id\":\"" UNIT_1                \
    "\",\"pos\":[3,-4],\"owner\":\"empire_0000000000007\",\"data\":{\"target\":null}},"            \
    "{\"id\":\"" UNIT_2                                                                            \
    "\",\"pos\":[0,1],\"health\":7}],\"vision\":[{\"hex\":[3,-4],\"state\":2}]}"

static struct load_view view;
static struct load_message message;

static bool take(const char *text)
{
    return load_view_take_text(&view, text, strlen(text), &message);
}

static void begin(void)
{
    load_view_init(&view);
    cr_assert(take(WELCOME) && message.news == LOAD_NEWS_WELCOME && message.next_seq == 9);
    cr_assert(take(FULL) && message.news == LOAD_NEWS_UPDATE && message.full && message.complete);
}

static void finish(void)
{
    load_view_free(&view);
}

TestSuite(load_view, .init = begin, .fini = finish);

Test(load_view, a_full_state_is_the_sum_of_its_entities)
{
    cr_assert_eq(view.count, 2u);
    cr_assert_eq(view.hash, load_hash(1, 3, -4) + load_hash(2, 0, 1));
    cr_assert(view.own_id == 1 && view.own_q == 3 && view.own_r == -4);
    cr_assert(view.log_count == 1 && view.log[0].tick == 5 && view.log[0].began_anew);
}

Test(load_view, changes_and_departures_move_the_hash)
{
    cr_assert(take("{\"type\":\"update\",\"tick\":6,\"changed\":[{\"id\":\"" UNIT_1
                   "\",\"pos\":[4,-4]}],\"disappeared\":[\"" UNIT_2 "\"]}"));
    cr_assert_eq(message.entities, 2u);
    cr_assert(view.count == 1 && view.hash == load_hash(1, 4, -4));
    cr_assert(view.log_count == 2 && view.log[1].tick == 6 && !view.log[1].began_anew);
    cr_assert(take("{\"type\":\"update\",\"tick\":6,\"changed\":[{\"id\":\"" UNIT_1
                   "\",\"pos\":[5,-4]}]}"));
    cr_assert(view.log_count == 2 && view.log[1].hash == load_hash(1, 5, -4),
              "the last word of a tick counts");
}

Test(load_view, many_entities_come_and_go)
{
    char text[160];
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 500; i++) {
            (void)snprintf(text, sizeof text,
                           "{\"type\":\"update\",\"tick\":7,\"appeared\":[{\"id\":"
                           "\"unit_%013u\",\"pos\":[%u,%u]}]}",
                           1000 + 7 * i, i, round);
            cr_assert(take(text), "%s", view.fault);
        }
        cr_assert_eq(view.count, 502u);
        for (unsigned i = 0; i < 500; i++) {
            (void)snprintf(text, sizeof text,
                           "{\"type\":\"update\",\"tick\":7,\"disappeared\":[\"unit_%013u\"]}",
                           1000 + 7 * ((i * 133 + 50) % 500));
            cr_assert(take(text));
        }
        cr_assert_eq(view.count, 2u);
        cr_assert_eq(view.hash, load_hash(1, 3, -4) + load_hash(2, 0, 1));
    }
}

Test(load_view, the_watched_order_is_noticed)
{
    view.watch_id = 1;
    view.watch_q = 9;
    view.watch_r = -4;
    cr_assert(take("{\"type\":\"update\",\"tick\":6,\"changed\":[{\"id\":\"" UNIT_1
                   "\",\"data\":{\"target\":[8,-4]}}]}"));
    cr_assert_not(message.watched);
    cr_assert(take("{\"type\":\"update\",\"tick\":7,\"changed\":[{\"id\":\"" UNIT_1
                   "\",\"data\":{\"activity\":\"moving\",\"target\":[9,-4]}}]}"));
    cr_assert(message.watched);
}

Test(load_view, everything_told_again_begins_with_nothing)
{
    cr_assert(take("{\"type\":\"explored_hexes\",\"reset\":true,\"hexes\":[]}"));
    cr_assert(view.count == 0 && view.hash == 0 && !view.complete);
    cr_assert(
        take("{\"type\":\"update\",\"tick\":8,\"empires\":[{\"id\":\"e\",\"name\":\"\\\"\"}]}"));
    cr_assert(!message.complete && view.log_count == 1, "not before the full state");
}

Test(load_view, answers)
{
    cr_assert(take("{\"type\":\"ack\",\"payload\":{\"seq\":12,\"tick\":6}}"));
    cr_assert(message.news == LOAD_NEWS_ACK && message.seq == 12);
    cr_assert(take("{\"type\":\"error\",\"payload\":{\"code\":\"cooldown\",\"message\":\"No.\","
                   "\"seq\":13}}"));
    cr_assert(message.news == LOAD_NEWS_ERROR && message.seq == 13);
    cr_assert_str_eq(message.code, "cooldown");
    cr_assert(
        take("{\"type\":\"roster\",\"payload\":{\"players\":[{\"a\":[1.5,{}],\"b\":{}},[]]}}"));
    cr_assert_eq(message.news, LOAD_NEWS_OTHER);
}

Test(load_view, what_is_wrong_is_said)
{
    static const char *const wrong[] = {
        "{\"type\":\"update\",\"tick\":4}",
        "{\"type\":\"update\",\"tick\":6,\"changed\":[{\"id\":\"unit_0000000000003\"}]}",
        "{\"type\":\"update\",\"tick\":6,\"changed\":[{\"pos\":[1,2]}]}",
        "{\"type\":\"update\",\"tick\":6,\"appeared\":[{\"id\":\"" UNIT_1 "\"}]}",
        "{\"type\":\"update\",\"tick\":6,\"appeared\":[{\"id\":\"unit_1\",\"pos\":[1,2]}]}",
        "{\"type\":\"update\",\"full\":true}",
        "{\"type\":\"update\",\"tick\":6",
        "{\"type\":\"update\",\"tick\":6}}",
        "{\"type\":\"update\",\"tick\":6,\"jobs\":[1,2}}",
        "{\"type\":\"update\",\"tick\":6,}",
        "{\"type\":\"update\" \"tick\":6}",
        "{\"type\":\"chat\",\"payload\":{\"message\":\"a\n\"}}",
        "{\"tick\":6}",
        "{\"type\":\"chat",
        "",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        view.fault[0] = '\0';
        cr_assert_not(take(wrong[i]), "%s", wrong[i]);
        cr_assert(view.fault[0] != '\0');
    }
}

// --- coming back ---------------------------------------------------------------------------------

static void come_back(const char *resumed)
{
    char text[160];
    (void)snprintf(text, sizeof text,
                   "{\"type\":\"welcome\",\"payload\":{\"next_seq\":9,\"resume\":\"5b2f\"%s}}",
                   resumed);
    cr_assert(take(text), "%s", view.fault);
}

Test(load_view, the_place_to_go_on_from)
{
    cr_assert_str_empty(view.resume);
    cr_assert(view.told_tick == 5 && view.settled_tick == 5);
    cr_assert(take("{\"type\":\"update\",\"tick\":6,\"deferred\":2}"));
    cr_assert(view.told_tick == 6 && view.settled_tick == 5);
    cr_assert(take("{\"type\":\"update\",\"tick\":7,\"empires\":[]}") && message.only_names);
    cr_assert(view.told_tick == 6 && view.log_count == 1, "something else of the tick follows");
    cr_assert(take("{\"type\":\"update\",\"tick\":7}") && !message.only_names);
    cr_assert(view.told_tick == 7 && view.settled_tick == 7 && view.log_count == 2);
    cr_assert(take("{\"type\":\"going_away\",\"payload\":{\"reason\":\"restart\","
                   "\"resume\":\"abcd\"}}"));
    cr_assert_str_eq(view.resume, "abcd");
}

Test(load_view, who_is_resumed_keeps_the_picture)
{
    come_back(",\"resumed\":true");
    cr_assert(message.resumed && view.count == 2 && view.complete);
    cr_assert_str_eq(view.resume, "5b2f");
    cr_assert(take("{\"type\":\"resumed\",\"tick\":30}"));
    cr_assert(take("{\"type\":\"entity_snapshot\",\"entity\":{\"id\":\"" UNIT_2
                   "\",\"pos\":[0,1],\"is_stale\":true}}"));
    cr_assert_eq(view.count, 1u, "what is remembered is not in sight");
    cr_assert(take("{\"type\":\"update\",\"tick\":30,\"empires\":[]}") && !message.resumed);
    cr_assert(take("{\"type\":\"update\",\"tick\":30,\"changed\":[{\"id\":\"" UNIT_1
                   "\",\"pos\":[5,-4]}]}"));
    cr_assert(message.resumed && message.complete && view.hash == load_hash(1, 5, -4));
    cr_assert(view.log_count == 2 && view.log[1].tick == 30 && view.log[1].began_anew,
              "nothing is promised for the time between");
    cr_assert(take("{\"type\":\"entity_cached\",\"entity_id\":\"" UNIT_1 "\"}"));
    cr_assert(take("{\"type\":\"update\",\"tick\":31}") && !message.resumed && view.count == 0);
}

Test(load_view, who_is_not_resumed_begins_with_nothing)
{
    come_back(",\"resumed\":false,\"reason\":\"too_old\"");
    cr_assert(!message.resumed && view.count == 0 && !view.complete);
    cr_assert_str_eq(message.code, "too_old");
    cr_assert_not(take("{\"type\":\"resumed\",\"tick\":30}"));
    view.fault[0] = '\0';
    cr_assert_not(take("{\"type\":\"welcome\",\"payload\":{\"resumed\":true}}"));
    cr_assert_str_empty(view.resume, "the old token is not good any more");
}

static bool take_bytes(const uint8_t *data, size_t len)
{
    return load_view_take_binary(&view, data, len, &message);
}

#define BYTES(...)                                                                                 \
    take_bytes((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define ID(n) n, 0, 0, 0, 0, 0, 0, 0

Test(load_view, the_same_in_bytes)
{
    cr_assert(BYTES(0x01, 0x01, 0x00, 0x00));
    // Tick 5, full: the numbers 0, 1 and 2 at (1,0), (2,0) and (3,0).
    cr_assert(BYTES(0xc5, 0x01, 5, 3, 0, 0, 2, 0, 0, ID(1), 0, 1, 0, 4, 0, 0, ID(2), 0, 2, 0, 6, 0,
                    0, ID(3), 0),
              "%s", view.fault);
    cr_assert(message.full && view.count == 3 && view.told_tick == 5);
    come_back(",\"resumed\":true");
    cr_assert(BYTES(0x06, 30, 0, 0) && !message.full, "%s", view.fault);
    cr_assert(BYTES(0x02, 1, ID(2), 0, 4, 0, 0, 29, 0, 0), "%s", view.fault);
    cr_assert_eq(view.count, 2u, "what is remembered is not in sight");
    cr_assert(BYTES(0xc1, 0x02, 0, 1, ID(9), 1, 'a') && message.only_names && !message.resumed);
    // Number 0 took a step; 3 is told by its id to be gone.
    cr_assert(BYTES(0x83, 0, 1, 1, 1, ID(3), 0x00), "%s", view.fault);
    cr_assert(message.resumed && message.tick == 30 && view.told_tick == 30);
    cr_assert(view.hash == load_hash(1, 2, 0) && view.count == 1);
    cr_assert(view.log[view.log_count - 1].began_anew);
    cr_assert(BYTES(0x03, 0, 0, 30, 0) && view.count == 0);
}

Test(load_view, who_is_online_in_bytes)
{
    cr_assert(BYTES(0x07, 0xe8, 0x07, 2, 7, 3, 'a', 'd', 'a', 0x81, 0x02, 2, 'b', 'y'), "%s",
              view.fault);
    cr_assert(message.news == LOAD_NEWS_OTHER);
    cr_assert(BYTES(0x08, 3, 1, 9, 1, 'c', 2, 7, 8), "%s", view.fault);
    cr_assert(BYTES(0x08, 3, 0, 0), "%s", view.fault);
    cr_assert_not(BYTES(0x08, 3, 0, 2, 7), "one of two is missing");
}

Test(load_view, a_list_of_players_that_ends_early)
{
    cr_assert_not(BYTES(0x07, 2, 2, 7, 1, 'a'));
}

Test(load_view, a_list_of_players_that_goes_on)
{
    cr_assert_not(BYTES(0x07, 1, 1, 7, 1, 'a', 0));
}
