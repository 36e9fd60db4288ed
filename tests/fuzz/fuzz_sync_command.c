// A client's message of arbitrary bytes, of the binary encoding (with a sound beginning, or
// without), or of the protocol's own words in arbitrary order: no crash, every error has a code and
// a message, and what is accepted is within the bounds the header names.

#include "libcommon/base/check.h"
#include "libcommon/hex/hex.h"
#include "services/sync/command.h"
#include "services/sync/ws.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The first byte says how the message begins, the second how it goes on; of the rest bytes from
// 0x80 on stand for a word as long as there are words, the others for themselves. It is closed.
static size_t spell(const uint8_t *data, size_t size, uint8_t *out, size_t out_bytes)
{
    static const char *const words[] = {
        "{\"type\":\"command\",\"payload\":{\"seq\":1,\"command\":",
        "{\"type\":\"chat\",\"payload\":{\"message\":",
        "{\"type\":\"ping\",\"payload\":{\"timestamp\":",
        "{\"type\":\"focus\",\"payload\":{\"hex\":",
        "{\"type\":\"join\"}",
        "{\"type\":\"leave\"}",
        "\"move\"",
        "\"stop\"",
        "\"attack\"",
        "\"attack_move\"",
        "\"gather\"",
        "\"build\"",
        "\"repair\"",
        "\"cancel_build\"",
        "\"patrol\"",
        ",\"points\":[",
        "\"wander\",\"radius\":",
        "\"rally\",\"buildings\":[",
        "\"train\"",
        "\"cancel\"",
        ",\"units\":[",
        "\"unit_0123456789abc\"",
        "\"building_0123456789abc\"",
        "\"resource_0123456789abc\"",
        "\"group_0123456789abc\"",
        ",\"target\":",
        "[1,-2]",
        ",\"queued\":true",
        ",\"building\":\"building_0123456789abc\"",
        ",\"recipe\":\"x\"",
        ",\"cycles\":3",
        ",\"job\":\"job_0123456789abc\"",
        ",\"refund\":false",
        "\"mail\",\"action\":",
        "\"send\",\"subject\":\"s\",\"body\":",
        "\"send_group\",\"subject\":\"s\",\"body\":",
        "\"group\",\"action\":",
        "\"create\",\"name\":",
        ",\"tag\":",
        ",\"policy\":\"open\"",
        "\"list\",\"after\":",
        "\"invite\",\"player\":\"8\"",
        "\"role\",\"role\":\"officer\",\"player\":\"8\"",
        "\"leave\"",
        ",\"to\":\"8\"",
        ",\"to_name\":",
        ",\"group\":\"group_0123456789abc\"",
        "\"list\",\"before\":",
        ",\"limit\":",
        "\"read\",\"mail\":",
        "\"delete\",\"mails\":[",
        "]",
        "}}",
        "\"text\"",
        "null",
    };
    enum { BEGINNINGS = 4, WORDS_COUNT = sizeof words / sizeof *words };
    size_t len = 0;
    for (size_t i = 0; i < size; i++) {
        bool is_word = i < 2 || (data[i] >= 0x80 && data[i] - 0x80u < WORDS_COUNT);
        size_t word = i == 0   ? data[i] % BEGINNINGS
                      : i == 1 ? data[i] % WORDS_COUNT
                               : data[i] - 0x80u;
        const char *text = is_word ? words[word] : (const char *)&data[i];
        size_t text_len = is_word ? strlen(text) : 1;
        if (text_len > out_bytes - len)
            break;
        memcpy(out + len, text, text_len);
        len += text_len;
    }
    if (out_bytes - len >= 2) {
        memcpy(out + len, "}}", 2);
        len += 2;
    }
    return len;
}

// An order to one unit: its kind, a seq, not queued. What follows is the input's.
static size_t begin_order(uint8_t kind, uint8_t *out)
{
    static const uint8_t orders[] = {0xac, 0x02, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0};
    out[0] = (uint8_t)(0x10 + kind % 13);
    memcpy(out + 1, orders, sizeof orders);
    return 1 + sizeof orders;
}

enum form { TEXT, WORDS, BINARY, ORDER };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > SYNC_WS_MESSAGE_BYTES_MAX - 16)
        return 0;
    static struct sync_command command;
    static struct sync_command_error error;
    static uint8_t spelt[SYNC_WS_MESSAGE_BYTES_MAX];
    enum form form = data[0] % 4;
    data++, size--;
    if (form == WORDS) {
        size = spell(data, size, spelt, sizeof spelt);
        data = spelt;
    } else if (form == ORDER) {
        size_t begun = begin_order(data[0], spelt);
        memcpy(spelt + begun, data + 1, size - 1);
        size += begun - 1;
        data = spelt;
    }
    bool ok = form >= BINARY ? sync_command_parse_binary(data, size, &command, &error)
                             : sync_command_parse(data, size, &command, &error);
    if (!ok) {
        MM_CHECK(error.code && error.code[0] && error.message[0]);
        MM_CHECK(memchr(error.message, 0, sizeof error.message));
        return 0;
    }
    MM_CHECK(command.type < SYNC_COMMAND_TYPES);
    MM_CHECK(command.unit_count <= SYNC_COMMAND_UNITS_MAX);
    MM_CHECK(hex_in_bounds((struct hex_axial){command.q, command.r}));
    MM_CHECK(command.point_count <= SYNC_COMMAND_POINTS_MAX);
    for (size_t i = 0; i < command.point_count; i++)
        MM_CHECK(hex_in_bounds((struct hex_axial){command.points[i].q, command.points[i].r}));
    MM_CHECK(command.radius <= SYNC_COMMAND_RADIUS_MAX);
    size_t text_max = command.type == SYNC_COMMAND_MAIL ? SYNC_MAIL_BYTES_MAX : SYNC_CHAT_BYTES_MAX;
    MM_CHECK(command.chat_len <= text_max && strlen(command.chat) == command.chat_len);
    MM_CHECK(memchr(command.mail.subject, 0, sizeof command.mail.subject));
    MM_CHECK(memchr(command.mail.to_name, 0, sizeof command.mail.to_name));
    MM_CHECK(command.mail.count <= SYNC_MAILS_MAX && command.mail.limit <= SYNC_MAILS_MAX);
    MM_CHECK(command.player == 0 || command.target == 0);
    MM_CHECK(memchr(command.recipe, 0, sizeof command.recipe));
    if (command.type >= SYNC_COMMAND_MOVE)
        MM_CHECK(command.has_seq && command.seq > 0);
    return 0;
}
