#include "services/sync/command.h"

#include <criterion/criterion.h>
#include <string.h>

// What a client's message may say in the binary encoding. The first test's bytes are those that the
// client SDK writes (tests/unit/services/sync/web/sdk/binary.test.mjs).

static struct sync_command command;
static struct sync_command_error error;

static size_t unhex(const char *hex, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = 0;
    for (; hex[0]; hex += 2)
        out[len++] =
            (uint8_t)((strchr(digits, hex[0]) - digits) << 4 | (strchr(digits, hex[1]) - digits));
    return len;
}

static bool parse(const char *hex)
{
    static uint8_t bytes[8192];
    return sync_command_parse_binary(bytes, unhex(hex, bytes), &command, &error);
}

static void accepted(const char *hex, enum sync_command_type type)
{
    cr_assert(parse(hex), "%s: %s", hex, error.message);
    cr_expect_eq(command.type, type, "%s", hex);
    if (type >= SYNC_COMMAND_MOVE)
        cr_expect(command.has_seq && command.seq == 300, "%s", hex);
    // Cut anywhere, or with a byte more, it is no message; only a chat may be of any length.
    char text[256];
    for (size_t len = 0; len < strlen(hex); len += 2) {
        memcpy(text, hex, len);
        text[len] = '\0';
        bool ok = parse(text);
        cr_expect(!ok || (type == SYNC_COMMAND_CHAT && len > 0), "%s", text);
        if (!ok && type != SYNC_COMMAND_CHAT)
            cr_expect_str_eq(error.code, "malformed", "%s", text);
    }
    memcpy(text, hex, strlen(hex));
    memcpy(text + strlen(hex), "00", 3);
    cr_expect_not(parse(text), "%s", text);
    cr_assert(parse(hex));
}

#define ID1 "0100000000000000"
#define ID2 "0200000000000000"

Test(sync_command_binary, what_the_sdk_writes)
{
    accepted("01a692abfef962", SYNC_COMMAND_PING);
    cr_expect_eq(command.timestamp, 1699999999123);
    accepted("0268c3a4", SYNC_COMMAND_CHAT);
    cr_expect(command.chat_len == 3 && strcmp(command.chat, "h\xc3\xa4") == 0);
    accepted("03", SYNC_COMMAND_JOIN);
    accepted("04", SYNC_COMMAND_LEAVE);
    accepted("051809", SYNC_COMMAND_FOCUS);
    cr_expect(command.has_focus && command.q == 12 && command.r == -5);
    accepted("06", SYNC_COMMAND_FOCUS);
    cr_expect_not(command.has_focus);
    cr_expect_not(parse("05feffffff0f00"));
    cr_expect_str_eq(error.code, "invalid");
    cr_expect_not_null(strstr(error.message, "'hex'"));
    accepted("10ac020101" ID1 "1809", SYNC_COMMAND_MOVE);
    cr_expect(command.queued && command.unit_count == 1 && command.units[0] == 1);
    cr_expect(command.q == 12 && command.r == -5);
    accepted("11ac020002" ID1 ID1, SYNC_COMMAND_STOP);
    cr_expect(!command.queued && command.unit_count == 2);
    accepted("12ac020001" ID1 ID2, SYNC_COMMAND_ATTACK);
    cr_expect_eq(command.target, 2);
    accepted("13ac020001" ID1 "0100", SYNC_COMMAND_ATTACK_MOVE);
    cr_expect(command.q == -1 && command.r == 0);
    accepted("14ac020001" ID1 "1f00000000000000", SYNC_COMMAND_GATHER);
    cr_expect_eq(command.target, 31);
    accepted("15ac02" ID2 "030b747261696e5f73636f7574", SYNC_COMMAND_TRAIN);
    cr_expect(command.target == 2 && command.cycles == 3);
    cr_expect_str_eq(command.recipe, "train_scout");
    accepted("16ac02ffffffffffffffff00", SYNC_COMMAND_CANCEL);
    cr_expect(command.target == UINT64_MAX && !command.refund);
    accepted("17ac020101" ID1 "1809"
             "05746f776572",
             SYNC_COMMAND_BUILD);
    cr_expect(command.queued && command.q == 12 && command.r == -5);
    cr_expect_str_eq(command.recipe, "tower");
    accepted("18ac020001" ID1 ID2, SYNC_COMMAND_REPAIR);
    cr_expect_eq(command.target, 2);
    accepted("19ac02" ID2, SYNC_COMMAND_CANCEL_BUILD);
    cr_expect_eq(command.target, 2);
    accepted("1aac020001" ID1 "0218090100", SYNC_COMMAND_PATROL);
    cr_expect(command.point_count == 2 && command.points[0].q == 12 && command.points[1].q == -1);
    accepted("1bac020001" ID1 "05", SYNC_COMMAND_WANDER);
    cr_expect_eq(command.radius, 5);
    accepted("1cac020001" ID2 "1809", SYNC_COMMAND_RALLY);
    cr_expect(command.units[0] == 2 && command.r == -5);
    accepted("16ac02" ID1 "01", SYNC_COMMAND_CANCEL);
    cr_expect(command.refund);
}

static void refused(const char *hex, const char *code, const char *names, bool has_seq)
{
    cr_expect_not(parse(hex), "%s", hex);
    cr_expect_str_eq(error.code, code, "%s: %s", hex, error.code);
    cr_expect_not_null(strstr(error.message, names), "%s: %s", hex, error.message);
    cr_expect_eq(error.has_seq, has_seq, "%s", hex);
}

Test(sync_command_binary, what_is_refused)
{
    refused("", "malformed", "empty", false);
    refused("07", "unknown_type", "type", false);
    refused("80", "unknown_type", "type", false);
    refused("010000", "malformed", "behind", false);
    refused("0300", "malformed", "behind", false);
}

Test(sync_command_binary, fields)
{
    refused("1100"
            "0001" ID1,
            "invalid", "'seq'", false);
    refused("11ffffffffffffff1f"
            "0001" ID1,
            "invalid", "'seq'", false);
    refused("11ac020201" ID1, "invalid", "'queued'", true);
    refused("11ac020000", "no_units", "empty", true);
    refused("11ac020065", "no_units", "100", true);
    refused("10ac020001" ID1 "8080808010"
            "00",
            "invalid", "'target'", true);
    refused("15ac02" ID1 "c1843d"
            "0178",
            "invalid", "'cycles'", true);
    refused("15ac02" ID1 "01"
            "00",
            "invalid", "'recipe'", true);
    refused("15ac02" ID1 "01"
            "0100",
            "invalid", "'recipe'", true);
    refused("15ac02" ID1 "01"
            "01ff",
            "invalid", "'recipe'", true);
    refused("16ac02" ID1 "02", "invalid", "'refund'", true);
    refused("17ac020001" ID1 "180900", "invalid", "'building'", true);
    refused("1aac020001" ID1 "00", "invalid", "'points'", true);
    refused("1aac020001" ID1 "09", "invalid", "'points'", true);
    refused("1aac020001" ID1 "01808080801000", "invalid", "'points'", true);
    refused("1bac020001" ID1 "00", "invalid", "'radius'", true);
    refused("1bac020001" ID1 "21", "invalid", "'radius'", true);
    refused("02ff", "malformed", "UTF-8", false);
    refused("026100", "chat_invalid", "control", false);
    refused("01ffffffffffffffffff01", "invalid", "'timestamp'", false);
    refused("01ffffffffffffffffffff01", "malformed", "early", false);
}
