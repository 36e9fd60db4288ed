#include "services/sync/command.h"

#include "libcommon/base/id.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

// What a client's message may say.

static struct sync_command command;
static struct sync_command_error error;

static bool parse(const char *text)
{
    return sync_command_parse((const uint8_t *)text, strlen(text), &command, &error);
}

static void refused(const char *text, const char *code, const char *names)
{
    cr_expect_not(parse(text), "%s", text);
    cr_expect_str_eq(error.code, code, "%s: %s", text, error.code);
    cr_expect_not_null(strstr(error.message, names), "%s: %s", text, error.message);
}

#define UNIT     "\"unit_0000000000001\""
#define BUILDING "\"building_0000000000002\""

Test(sync_command, session_messages)
{
    cr_assert(parse("{\"type\":\"ping\",\"payload\":{\"timestamp\":1699999999123}}"));
    cr_expect(command.type == SYNC_COMMAND_PING && command.timestamp == 1699999999123);
    cr_assert(parse("{\"type\":\"ping\"}"));
    cr_expect_eq(command.timestamp, 0);
    cr_assert(parse("{\"type\":\"focus\",\"payload\":{\"hex\":[12,-5]}}"));
    cr_expect(command.type == SYNC_COMMAND_FOCUS && command.has_focus);
    cr_expect(command.q == 12 && command.r == -5);
    cr_assert(parse("{\"type\":\"focus\",\"payload\":{\"hex\":null}}"));
    cr_expect(command.type == SYNC_COMMAND_FOCUS && !command.has_focus);
    cr_assert(parse("{\"type\":\"focus\"}"));
    cr_expect_not(command.has_focus);
    cr_assert(parse("{\"type\":\"join\",\"payload\":{}}"));
    cr_expect_eq(command.type, SYNC_COMMAND_JOIN);
    cr_assert(parse("{\"type\":\"leave\"}"));
    cr_expect_eq(command.type, SYNC_COMMAND_LEAVE);
    cr_assert(parse("{\"type\":\"chat\",\"payload\":{\"message\":\"h\\u00e4 \\\"\"}}"));
    cr_expect(command.type == SYNC_COMMAND_CHAT);
    cr_expect_str_eq(command.chat, "h\xc3\xa4 \"");
    cr_expect_eq(command.chat_len, 5);
}

Test(sync_command, orders)
{
    cr_assert(parse("{\"type\":\"command\",\"payload\":{\"seq\":9007199254740991,\"command\":"
                    "\"move\",\"units\":[" UNIT "," UNIT "],\"target\":[-12,5],\"queued\":true,"
                    "\"unknown\":[{}]}}"));
    cr_expect(command.type == SYNC_COMMAND_MOVE && command.queued && command.unit_count == 2);
    cr_expect(command.seq == 9007199254740991 && command.q == -12 && command.r == 5);
    cr_expect_eq(command.units[1], 1);
    cr_assert(
        parse("{\"type\":\"command\",\"payload\":{\"seq\":1,\"command\":\"stop\",\"units\":[" UNIT
              "]}}"));
    cr_expect(command.type == SYNC_COMMAND_STOP && !command.queued);
    cr_assert(parse("{\"type\":\"command\",\"payload\":{\"seq\":1,\"command\":\"attack\",\"units\":"
                    "[" UNIT "],\"target\":" BUILDING "}}"));
    cr_expect(command.type == SYNC_COMMAND_ATTACK && command.target == 2);
}

#define ORDER(name, fields)                                                                        \
    "{\"type\":\"command\",\"payload\":{\"seq\":1,\"command\":\"" name "\"," fields "}}"
#define UNITS "\"units\":[" UNIT "]"

Test(sync_command, orders_about_buildings_and_patrols)
{
    cr_assert(parse(ORDER("build", UNITS ",\"building\":\"tower\",\"target\":[3,-4]")));
    cr_expect(command.type == SYNC_COMMAND_BUILD && command.q == 3 && command.r == -4);
    cr_expect_str_eq(command.recipe, "tower");
    cr_assert(parse(ORDER("repair", UNITS ",\"target\":" BUILDING ",\"queued\":true")));
    cr_expect(command.type == SYNC_COMMAND_REPAIR && command.target == 2 && command.queued);
    cr_assert(parse(ORDER("cancel_build", "\"building\":" BUILDING)));
    cr_expect(command.type == SYNC_COMMAND_CANCEL_BUILD && command.target == 2);
    cr_assert(parse(ORDER("patrol", UNITS ",\"points\":[[1,2],[-3,4]]")));
    cr_expect(command.type == SYNC_COMMAND_PATROL && command.point_count == 2);
    cr_expect(command.points[1].q == -3 && command.points[1].r == 4);
    cr_assert(parse(ORDER("wander", UNITS ",\"radius\":32")));
    cr_expect(command.type == SYNC_COMMAND_WANDER && command.radius == 32);
    cr_assert(parse(ORDER("rally", "\"buildings\":[" BUILDING "],\"target\":[0,1]")));
    cr_expect(command.type == SYNC_COMMAND_RALLY && command.units[0] == 2 && command.r == 1);
    refused(ORDER("build", UNITS ",\"target\":[3,-4]"), "invalid", "'building'");
    refused(ORDER("build", UNITS ",\"building\":\"tower\""), "invalid", "'target'");
    refused(ORDER("repair", UNITS ",\"target\":" UNIT), "invalid", "'target'");
    refused(ORDER("cancel_build", UNITS), "invalid", "'building'");
    refused(ORDER("patrol", UNITS ",\"points\":[]"), "invalid", "'points'");
    refused(ORDER("patrol", UNITS ",\"points\":[[1,2],[3]]"), "invalid", "'points'");
    refused(ORDER("patrol",
                  UNITS ",\"points\":[[1,1],[1,1],[1,1],[1,1],[1,1],[1,1],[1,1],[1,1],[1,1]]"),
            "invalid", "'points'");
    refused(ORDER("wander", UNITS ",\"radius\":0"), "invalid", "'radius'");
    refused(ORDER("wander", UNITS ",\"radius\":33"), "invalid", "'radius'");
    refused(ORDER("rally", UNITS ",\"target\":[0,1]"), "invalid", "'buildings'");
}

Test(sync_command, production)
{
    cr_assert(parse("{\"type\":\"command\",\"payload\":{\"seq\":3,\"command\":\"train\","
                    "\"building\":" BUILDING ",\"recipe\":\"train_soldier\",\"cycles\":0}}"));
    cr_expect(command.type == SYNC_COMMAND_TRAIN && command.target == 2 && command.cycles == 0);
    cr_expect_str_eq(command.recipe, "train_soldier");
    cr_assert(parse("{\"type\":\"command\",\"payload\":{\"seq\":3,\"command\":\"train\","
                    "\"building\":" BUILDING ",\"recipe\":\"x\"}}"));
    cr_expect_eq(command.cycles, 1);
    cr_assert(parse("{\"type\":\"command\",\"payload\":{\"seq\":4,\"command\":\"cancel\",\"job\":"
                    "\"job_0000000000003\",\"refund\":false}}"));
    cr_expect(command.type == SYNC_COMMAND_CANCEL && command.target == 3 && !command.refund);
}

#define GROUP "\"group_0000000000005\""

static bool group(const char *fields)
{
    char text[400];
    snprintf(text, sizeof text,
             "{\"type\":\"command\",\"payload\":{\"seq\":5,\"command\":\"group\",%s}}", fields);
    return parse(text);
}

Test(sync_command, groups)
{
    cr_assert(
        group("\"action\":\"create\",\"name\":\"The Lot\",\"tag\":\"LOT\",\"policy\":\"open\""));
    cr_expect(command.type == SYNC_COMMAND_GROUP && command.group.action == SYNC_GROUP_CREATE);
    cr_expect_str_eq(command.group.name, "The Lot");
    cr_expect_str_eq(command.group.tag, "LOT");
    cr_expect_eq(command.group.policy, 2);
    cr_assert(group("\"action\":\"create\",\"name\":\"x\""));
    cr_expect(command.group.tag[0] == '\0' && command.group.policy == 0);
    cr_assert(group("\"action\":\"list\""));
    cr_expect_eq(command.target, 0);
    cr_assert(group("\"action\":\"list\",\"after\":" GROUP));
    cr_expect_eq(command.target, 5);
    cr_assert(group("\"action\":\"role\",\"group\":" GROUP
                    ",\"player\":\"18446744073709551615\",\"role\":\"officer\""));
    cr_expect(command.group.player == UINT64_MAX && command.group.role == 2);
    cr_assert(group("\"action\":\"leave\",\"group\":" GROUP));
    cr_assert(parse("{\"type\":\"chat\",\"payload\":{\"message\":\"hi\",\"group\":" GROUP "}}"));
    cr_expect(command.type == SYNC_COMMAND_CHAT && command.target == 5);
    cr_assert(parse("{\"type\":\"chat\",\"payload\":{\"message\":\"hi\"}}"));
    cr_expect_eq(command.target, 0);
}

Test(sync_command, wrong_groups)
{
    static const struct {
        const char *fields, *named;
    } cases[] = {
        {"\"group\":" GROUP, "'action'"},
        {"\"action\":\"dance\",\"group\":" GROUP, "'action'"},
        {"\"action\":7,\"group\":" GROUP, "'action'"},
        {"\"action\":\"create\"", "'name'"},
        {"\"action\":\"create\",\"name\":\"x\",\"tag\":5", "'tag'"},
        {"\"action\":\"create\",\"name\":\"x\",\"policy\":\"never\"", "'policy'"},
        {"\"action\":\"join\"", "'group'"},
        {"\"action\":\"join\",\"group\":\"unit_0000000000005\"", "'group'"},
        {"\"action\":\"list\",\"after\":\"x\"", "'after'"},
        {"\"action\":\"kick\",\"group\":" GROUP, "'player'"},
        {"\"action\":\"kick\",\"group\":" GROUP ",\"player\":8", "'player'"},
        {"\"action\":\"kick\",\"group\":" GROUP ",\"player\":\"0\"", "'player'"},
        {"\"action\":\"kick\",\"group\":" GROUP ",\"player\":\"-1\"", "'player'"},
        {"\"action\":\"kick\",\"group\":" GROUP ",\"player\":\"18446744073709551616\"", "'player'"},
        {"\"action\":\"role\",\"group\":" GROUP ",\"player\":\"8\",\"role\":\"king\"", "'role'"},
        {"\"action\":\"policy\",\"group\":" GROUP, "'policy'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_not(group(cases[i].fields), "%s", cases[i].fields);
        cr_expect_str_eq(error.code, "invalid");
        cr_expect_not_null(strstr(error.message, cases[i].named), "%s: %s", cases[i].fields,
                           error.message);
    }
    refused("{\"type\":\"chat\",\"payload\":{\"message\":\"hi\",\"group\":5}}", "invalid",
            "'group'");
}

Test(sync_command, what_is_wrong_is_named)
{
    refused("", "malformed", "JSON");
    refused("{", "malformed", "JSON");
    refused("[]", "malformed", "object");
    refused("{\"a\":1,\"a\":2}", "malformed", "JSON");
    refused("{}", "invalid", "'type'");
    refused("{\"type\":\"dance\"}", "unknown_type", "type");
    refused("{\"type\":\"chat\",\"payload\":{}}", "invalid", "'message'");
    refused("{\"type\":\"chat\",\"payload\":{\"message\":\"a\\u0000\"}}", "chat_invalid",
            "control");
    refused("{\"type\":\"ping\",\"payload\":{\"timestamp\":\"x\"}}", "invalid", "'timestamp'");
    refused("{\"type\":\"focus\",\"payload\":{\"hex\":[1]}}", "invalid", "'hex'");
    refused("{\"type\":\"focus\",\"payload\":{\"hex\":[1,2000000000]}}", "invalid", "'hex'");
    refused("{\"type\":\"focus\",\"payload\":{\"hex\":[0.5,1]}}", "invalid", "'hex'");
    refused("{\"type\":\"command\",\"payload\":[]}", "invalid", "'payload'");
    refused("{\"type\":\"command\",\"payload\":{\"command\":\"stop\"}}", "invalid", "'seq'");
    refused("{\"type\":\"command\",\"payload\":{\"seq\":0}}", "invalid", "'seq'");
    refused("{\"type\":\"command\",\"payload\":{\"seq\":9007199254740992}}", "invalid", "'seq'");
    cr_expect_not(error.has_seq);
    refused("{\"type\":\"command\",\"payload\":{\"seq\":5,\"command\":\"fly\"}}", "unknown_command",
            "command");
    cr_expect(error.has_seq && error.seq == 5);
}

Test(sync_command, every_field_of_a_move)
{
#define MOVE(rest) "{\"type\":\"command\",\"payload\":{\"seq\":1,\"command\":\"move\"" rest "}}"
    refused(MOVE(""), "invalid", "'units'");
    refused(MOVE(",\"units\":{}"), "invalid", "'units'");
    refused(MOVE(",\"units\":[]"), "no_units", "'units'");
    refused(MOVE(",\"units\":[1]"), "invalid", "'units'");
    refused(MOVE(",\"units\":[\"unit_000000000000I\"]"), "invalid", "'units'");
    refused(MOVE(",\"units\":[\"unit_00000000000001\"]"), "invalid", "'units'");
    refused(MOVE(",\"units\":[" BUILDING "]"), "invalid", "'units'");
    refused(MOVE(",\"units\":[" UNIT "]"), "invalid", "'target'");
    refused(MOVE(",\"units\":[" UNIT "],\"target\":[1]"), "invalid", "'target'");
    refused(MOVE(",\"units\":[" UNIT "],\"target\":[1,2,3]"), "invalid", "'target'");
    refused(MOVE(",\"units\":[" UNIT "],\"target\":[1,2.0]"), "invalid", "'target'");
    refused(MOVE(",\"units\":[" UNIT "],\"target\":[1,16777217]"), "invalid", "'target'");
    refused(MOVE(",\"units\":[" UNIT "],\"target\":[1,2],\"queued\":1"), "invalid", "'queued'");
}

Test(sync_command, bounds)
{
    char text[SYNC_COMMAND_UNITS_MAX * 32 + 300];
    for (size_t count = SYNC_COMMAND_UNITS_MAX; count <= SYNC_COMMAND_UNITS_MAX + 1; count++) {
        size_t len = (size_t)snprintf(text, sizeof text,
                                      "{\"type\":\"command\",\"payload\":{\"seq\":1,\"command\":"
                                      "\"stop\",\"units\":[");
        for (size_t i = 0; i < count; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s" UNIT, i ? "," : "");
        (void)snprintf(text + len, sizeof text - len, "]}}");
        if (count == SYNC_COMMAND_UNITS_MAX)
            cr_expect(parse(text));
        else
            refused(text, "no_units", "100");
    }
    // As deep as 4,096 bytes can be.
    static char deep[4097];
    memset(deep, '[', 4096);
    refused(deep, "malformed", "JSON");
}

#define MAIL(rest) "{\"type\":\"command\",\"payload\":{\"seq\":1,\"command\":\"mail\"" rest "}}"
#define TEXTS      ",\"subject\":\"s\",\"body\":\"b\\nb\""

Test(sync_command, mail)
{
    cr_assert(parse(MAIL(",\"action\":\"send\",\"to\":\"18446744073709551615\"" TEXTS)));
    cr_expect(command.type == SYNC_COMMAND_MAIL && command.mail.action == SYNC_MAIL_SEND);
    cr_expect_eq(command.player, UINT64_MAX);
    cr_expect_str_eq(command.mail.subject, "s");
    cr_expect_str_eq(command.chat, "b\nb");
    cr_assert(parse(MAIL(",\"action\":\"send\",\"to_name\":\"ada\"" TEXTS)));
    cr_expect(command.player == 0 && strcmp(command.mail.to_name, "ada") == 0);
    cr_assert(parse(MAIL(",\"action\":\"send_group\",\"group\":" GROUP TEXTS)));
    cr_expect(command.mail.action == SYNC_MAIL_SEND_GROUP && command.target == 5);
    cr_assert(parse(MAIL(",\"action\":\"list\"")));
    cr_expect(command.mail.number == 0 && command.mail.limit == 20);
    cr_assert(parse(MAIL(",\"action\":\"list\",\"before\":7,\"limit\":50")));
    cr_expect(command.mail.number == 7 && command.mail.limit == 50);
    cr_assert(parse(MAIL(",\"action\":\"read\",\"mail\":9")));
    cr_expect_eq(command.mail.number, 9);
    cr_assert(parse(MAIL(",\"action\":\"delete\",\"mails\":[3,2]")));
    cr_expect(command.mail.count == 2 && command.mail.numbers[1] == 2);
    refused(MAIL(""), "invalid", "'action'");
    refused(MAIL(",\"action\":\"send\"" TEXTS), "invalid", "'to'");
    refused(MAIL(",\"action\":\"send\",\"to\":\"18446744073709551616\"" TEXTS), "invalid", "'to'");
    refused(MAIL(",\"action\":\"send\",\"to\":\"1\",\"to_name\":\"a\"" TEXTS), "invalid", "'to'");
    refused(MAIL(",\"action\":\"send\",\"to_name\":\"a\\u0000\"" TEXTS), "invalid", "'to_name'");
    refused(MAIL(",\"action\":\"send\",\"to\":\"1\",\"body\":\"b\""), "invalid", "'subject'");
    refused(MAIL(",\"action\":\"send\",\"to\":\"1\",\"subject\":\"s\""), "invalid", "'body'");
    refused(MAIL(",\"action\":\"send\",\"to\":\"1\",\"subject\":\"s\",\"body\":\"\\u0000\""),
            "mail_invalid", "characters");
    refused(MAIL(",\"action\":\"send_group\"" TEXTS), "invalid", "'group'");
    refused(MAIL(",\"action\":\"list\",\"limit\":0"), "invalid", "'limit'");
    refused(MAIL(",\"action\":\"list\",\"before\":0"), "invalid", "'before'");
    refused(MAIL(",\"action\":\"read\""), "invalid", "'mail'");
    refused(MAIL(",\"action\":\"delete\",\"mails\":[]"), "invalid", "'mails'");
    refused(MAIL(",\"action\":\"delete\",\"mails\":[0]"), "invalid", "'mails'");
}

Test(sync_command, mail_as_long_as_a_message_can_be)
{
    static char text[4200], body[4001];
    memset(body, 'b', 4000);
    (void)snprintf(text, sizeof text,
                   MAIL(",\"action\":\"send\",\"to\":\"1\",\"subject\":\"s\",\"body\":\"%s\""),
                   body);
    cr_assert(parse(text));
    cr_expect_eq(command.chat_len, 4000);
    memset(text, 'b', sizeof text);
    (void)snprintf(text, sizeof text,
                   MAIL(",\"action\":\"send\",\"to\":\"1\",\"subject\":\"s\",\"body\":\"%sb\""),
                   body);
    refused(text, "mail_too_long", "long");
}

Test(sync_command, private_chat)
{
    cr_assert(parse("{\"type\":\"chat\",\"payload\":{\"message\":\"psst\",\"to\":\"8\"}}"));
    cr_expect(command.player == 8 && command.target == 0);
    cr_assert(parse("{\"type\":\"chat\",\"payload\":{\"message\":\"psst\",\"group\":" GROUP "}}"));
    cr_expect(command.player == 0 && command.target == 5);
    refused("{\"type\":\"chat\",\"payload\":{\"message\":\"psst\",\"to\":8}}", "invalid", "'to'");
    refused("{\"type\":\"chat\",\"payload\":{\"message\":\"psst\",\"to\":\"8\",\"group\":" GROUP
            "}}",
            "invalid", "'to'");
}
