#include "services/sync/command.h"

#include "gen/frame.pb-c.h"
#include "libcommon/base/str.h"
#include "libcommon/base/varint.h"
#include "libcommon/hex/hex.h"

#include <string.h>

// A client's message in the binary encoding (docs/client-protocol.md, "From the client"). What may
// be said, and the errors, are those of JSON.

#define INTEGER_MAX INT64_C(9007199254740991) // as in JSON

enum first_byte {
    PING = 0x01,
    CHAT = 0x02,
    JOIN = 0x03,
    LEAVE = 0x04,
    FOCUS = 0x05,
    NO_FOCUS = 0x06,
    MOVE = 0x10,
    STOP = 0x11,
    ATTACK = 0x12,
    ATTACK_MOVE = 0x13,
    GATHER = 0x14,
    TRAIN = 0x15,
    CANCEL = 0x16,
    BUILD = 0x17,
    REPAIR = 0x18,
    CANCEL_BUILD = 0x19,
    PATROL = 0x1a,
    WANDER = 0x1b,
    RALLY = 0x1c,
};

// What is left of the message. A read beyond its end gives 0 and is remembered.
struct reader {
    const uint8_t *data;
    size_t len;
    bool broken;
};

// --- reading -------------------------------------------------------------------------------------

static const uint8_t *read_bytes(struct reader *in, size_t len)
{
    if (len > in->len) {
        in->broken = true;
        in->len = 0;
        return NULL;
    }
    const uint8_t *bytes = in->data;
    in->data += len;
    in->len -= len;
    return bytes;
}

static uint8_t read_u8(struct reader *in)
{
    const uint8_t *byte = read_bytes(in, 1);
    return byte ? *byte : 0;
}

static uint64_t read_u64(struct reader *in)
{
    const uint8_t *bytes = read_bytes(in, 8);
    uint64_t value = 0;
    for (unsigned i = 0; bytes && i < 8; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static uint64_t read_varint(struct reader *in)
{
    uint64_t value = 0;
    size_t len = mm_varint_read(in->data, in->len, &value);
    if (len == 0) {
        in->broken = true;
        in->len = 0;
        return 0;
    }
    in->data += len;
    in->len -= len;
    return value;
}

static int64_t read_zigzag(struct reader *in)
{
    return mm_zigzag_decode(read_varint(in));
}

// --- fields --------------------------------------------------------------------------------------

static bool read_bool(struct reader *in, const char *field, bool *out,
                      struct sync_command_error *error)
{
    uint8_t byte = read_u8(in);
    if (byte > 1)
        return sync_command_invalid(error, field, "0 or 1");
    *out = byte;
    return true;
}

static bool read_seq(struct reader *in, struct sync_command *command,
                     struct sync_command_error *error)
{
    uint64_t seq = read_varint(in);
    if (in->broken)
        return true; // the caller says that the message ends too early
    if (seq == 0 || seq > (uint64_t)INTEGER_MAX)
        return sync_command_invalid(error, "seq", "a whole number from 1 to 2^53-1");
    command->has_seq = error->has_seq = true;
    command->seq = error->seq = seq;
    return true;
}

static bool read_coordinates(struct reader *in, int32_t *q_out, int32_t *r_out)
{
    int64_t q = read_zigzag(in), r = read_zigzag(in);
    if (q < -HEX_COORD_MAX || q > HEX_COORD_MAX || r < -HEX_COORD_MAX || r > HEX_COORD_MAX)
        return false;
    *q_out = (int32_t)q;
    *r_out = (int32_t)r;
    return true;
}

static bool read_hex(struct reader *in, const char *field, struct sync_command *command,
                     struct sync_command_error *error)
{
    return read_coordinates(in, &command->q, &command->r) ||
           sync_command_invalid(error, field, "a hex [q, r] of whole numbers within the map");
}

static bool read_points(struct reader *in, struct sync_command *command,
                        struct sync_command_error *error)
{
    uint64_t count = read_varint(in);
    if (in->broken)
        return true;
    bool sound = count >= 1 && count <= SYNC_COMMAND_POINTS_MAX;
    for (uint64_t i = 0; sound && i < count; i++)
        sound = read_coordinates(in, &command->points[i].q, &command->points[i].r);
    command->point_count = sound ? (size_t)count : 0;
    return sound ||
           sync_command_invalid(error, "points", "a list of 1 to 8 hexes [q, r] within the map");
}

static bool read_radius(struct reader *in, struct sync_command *command,
                        struct sync_command_error *error)
{
    uint64_t radius = read_varint(in);
    if (in->broken)
        return true;
    if (radius < 1 || radius > SYNC_COMMAND_RADIUS_MAX)
        return sync_command_invalid(error, "radius", "a whole number from 1 to 32");
    command->radius = (uint32_t)radius;
    return true;
}

static bool read_name(struct reader *in, const char *field, struct sync_command *command,
                      struct sync_command_error *error)
{
    uint64_t len = read_varint(in);
    const uint8_t *name = read_bytes(in, len > in->len ? in->len + 1 : (size_t)len);
    if (!name)
        return true;
    if (len == 0 || len > SYNC_COMMAND_NAME_MAX || memchr(name, 0, (size_t)len) ||
        !mm_utf8_valid(name, (size_t)len))
        return sync_command_invalid(error, field, "a name");
    memcpy(command->recipe, name, (size_t)len);
    return true;
}

static bool read_orders(struct reader *in, struct sync_command *command,
                        struct sync_command_error *error)
{
    if (!read_seq(in, command, error) || !read_bool(in, "queued", &command->queued, error))
        return false;
    uint64_t count = read_varint(in);
    if (in->broken)
        return true;
    if (count == 0)
        return sync_command_fail(error, "no_units", "The field 'units' is empty.");
    if (count > SYNC_COMMAND_UNITS_MAX)
        return sync_command_fail(error, "no_units", "The field 'units' has more than %d entries.",
                                 SYNC_COMMAND_UNITS_MAX);
    command->unit_count = (size_t)count;
    for (size_t i = 0; i < command->unit_count; i++)
        command->units[i] = read_u64(in);
    return true;
}

static bool read_train(struct reader *in, struct sync_command *command,
                       struct sync_command_error *error)
{
    if (!read_seq(in, command, error))
        return false;
    command->target = read_u64(in);
    uint64_t cycles = read_varint(in);
    if (cycles > SYNC_COMMAND_CYCLES_MAX)
        return sync_command_invalid(error, "cycles", "a whole number from 0 to 1000000");
    command->cycles = (uint32_t)cycles;
    return read_name(in, "recipe", command, error);
}

static bool read_chat(struct reader *in, struct sync_command *command,
                      struct sync_command_error *error)
{
    size_t len = in->len;
    const uint8_t *text = read_bytes(in, len);
    if (len > SYNC_CHAT_BYTES_MAX)
        return sync_command_fail(error, "chat_too_long",
                                 "A chat message has at most 500 characters.");
    if (!mm_utf8_valid(text, len))
        return sync_command_fail(error, "malformed", "A chat message is UTF-8.");
    if (memchr(text, 0, len))
        return sync_command_fail(error, "chat_invalid",
                                 "A chat message cannot contain control characters.");
    memcpy(command->chat, text, len);
    command->chat_len = len;
    return true;
}

static bool read_ping(struct reader *in, struct sync_command *command,
                      struct sync_command_error *error)
{
    command->timestamp = read_zigzag(in);
    if (command->timestamp < -INTEGER_MAX || command->timestamp > INTEGER_MAX)
        return sync_command_invalid(error, "timestamp", "a whole number");
    return true;
}

// --- messages ------------------------------------------------------------------------------------

static bool read_message(uint8_t first, struct reader *in, struct sync_command *command,
                         struct sync_command_error *error)
{
    switch (first) {
    case PING:
        command->type = SYNC_COMMAND_PING;
        return read_ping(in, command, error);
    case CHAT:
        command->type = SYNC_COMMAND_CHAT;
        return read_chat(in, command, error);
    case JOIN:
        command->type = SYNC_COMMAND_JOIN;
        return true;
    case LEAVE:
        command->type = SYNC_COMMAND_LEAVE;
        return true;
    case FOCUS:
    case NO_FOCUS:
        command->type = SYNC_COMMAND_FOCUS;
        command->has_focus = first == FOCUS;
        return !command->has_focus || read_hex(in, "hex", command, error);
    case MOVE:
        command->type = SYNC_COMMAND_MOVE;
        return read_orders(in, command, error) && read_hex(in, "target", command, error);
    case STOP:
        command->type = SYNC_COMMAND_STOP;
        return read_orders(in, command, error);
    case ATTACK_MOVE:
        command->type = SYNC_COMMAND_ATTACK_MOVE;
        return read_orders(in, command, error) && read_hex(in, "target", command, error);
    case ATTACK:
    case GATHER:
        command->type = first == ATTACK ? SYNC_COMMAND_ATTACK : SYNC_COMMAND_GATHER;
        if (!read_orders(in, command, error))
            return false;
        command->target = read_u64(in);
        return true;
    case BUILD:
        command->type = SYNC_COMMAND_BUILD;
        return read_orders(in, command, error) && read_hex(in, "target", command, error) &&
               read_name(in, "building", command, error);
    case REPAIR:
        command->type = SYNC_COMMAND_REPAIR;
        if (!read_orders(in, command, error))
            return false;
        command->target = read_u64(in);
        return true;
    case CANCEL_BUILD:
        command->type = SYNC_COMMAND_CANCEL_BUILD;
        if (!read_seq(in, command, error))
            return false;
        command->target = read_u64(in);
        return true;
    case PATROL:
        command->type = SYNC_COMMAND_PATROL;
        return read_orders(in, command, error) && read_points(in, command, error);
    case WANDER:
        command->type = SYNC_COMMAND_WANDER;
        return read_orders(in, command, error) && read_radius(in, command, error);
    case RALLY:
        command->type = SYNC_COMMAND_RALLY;
        return read_orders(in, command, error) && read_hex(in, "target", command, error);
    case TRAIN:
        command->type = SYNC_COMMAND_TRAIN;
        return read_train(in, command, error);
    case CANCEL:
        command->type = SYNC_COMMAND_CANCEL;
        if (!read_seq(in, command, error))
            return false;
        command->target = read_u64(in);
        return read_bool(in, "refund", &command->refund, error);
    default:
        return sync_command_fail(error, "unknown_type", "There is no message of this type.");
    }
}

bool sync_command_parse_binary(const uint8_t *data, size_t len, struct sync_command *command,
                               struct sync_command_error *error)
{
    memset(command, 0, sizeof *command);
    memset(error, 0, sizeof *error);
    struct reader in = {.data = data, .len = len};
    uint8_t first = read_u8(&in);
    if (in.broken)
        return sync_command_fail(error, "malformed", "The message is empty.");
    bool ok = read_message(first, &in, command, error);
    if (in.broken)
        return sync_command_fail(error, "malformed", "The message ends too early.");
    if (ok && in.len > 0)
        return sync_command_fail(error, "malformed", "The message goes on behind its end.");
    return ok;
}
