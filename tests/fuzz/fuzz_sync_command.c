// A client's message of arbitrary bytes, of the binary encoding, or of the protocol's own words in
// arbitrary order: no crash, every error has a code and a message, and what is accepted is within
// the bounds the header names.

#include "libcommon/base/check.h"
#include "libcommon/hex/hex.h"
#include "services/sync/command.h"
#include "services/sync/ws.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Bytes below the number of words stand for a word, the others for themselves.
static size_t spell(const uint8_t *data, size_t size, uint8_t *out, size_t out_bytes)
{
    static const char *const words[] = {
        "{\"type\":\"command\",\"payload\":{\"seq\":1,\"command\":",
        "{\"type\":\"chat\",\"payload\":{\"message\":",
        "{\"type\":\"ping\",\"payload\":{\"timestamp\":",
        "{\"type\":\"join\"}",
        "{\"type\":\"leave\"}",
        "\"move\"",
        "\"stop\"",
        "\"attack\"",
        "\"train\"",
        "\"cancel\"",
        ",\"units\":[",
        "\"unit_0123456789abc\"",
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
    size_t len = 0;
    for (size_t i = 0; i < size; i++) {
        bool is_word = data[i] < sizeof words / sizeof *words;
        const char *text = is_word ? words[data[i]] : (const char *)&data[i];
        size_t text_len = is_word ? strlen(text) : 1;
        if (text_len > out_bytes - len)
            break;
        memcpy(out + len, text, text_len);
        len += text_len;
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > SYNC_WS_MESSAGE_BYTES_MAX)
        return 0;
    static struct sync_command command;
    static struct sync_command_error error;
    static uint8_t spelt[SYNC_WS_MESSAGE_BYTES_MAX];
    if (size > 0 && data[0] & 1) {
        size = spell(data + 1, size - 1, spelt, sizeof spelt);
        data = spelt;
    }
    bool binary = size > 0 && data[0] == 0xff; // no text begins so
    bool ok = binary ? sync_command_parse_binary(data + 1, size - 1, &command, &error)
                     : sync_command_parse(data, size, &command, &error);
    if (!ok) {
        MM_CHECK(error.code && error.code[0] && error.message[0]);
        MM_CHECK(memchr(error.message, 0, sizeof error.message));
        return 0;
    }
    MM_CHECK(command.type < SYNC_COMMAND_TYPES);
    MM_CHECK(command.unit_count <= SYNC_COMMAND_UNITS_MAX);
    MM_CHECK(hex_in_bounds((struct hex_axial){command.q, command.r}));
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
