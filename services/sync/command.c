#include "services/sync/command.h"

#include "gen/frame.pb-c.h"
#include "libcommon/base/id.h"
#include "libcommon/base/str.h"
#include "libcommon/hex/hex.h"
#include "services/sync/core/catalogue.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// The largest integer that every JSON reader keeps exact (RFC 8259, section 6).
#define JSON_INTEGER_MAX INT64_C(9007199254740991)

bool sync_command_fail(struct sync_command_error *error, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error->code = code;
    (void)vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return false;
}

bool sync_command_invalid(struct sync_command_error *error, const char *field, const char *wanted)
{
    return sync_command_fail(error, "invalid", "The field '%s' must be %s.", field, wanted);
}

// --- fields --------------------------------------------------------------------------------------

static bool read_integer(const json_t *value, int64_t min, int64_t max, int64_t *out)
{
    if (!json_is_integer(value))
        return false;
    int64_t number = json_integer_value(value);
    if (number < min || number > max)
        return false;
    *out = number;
    return true;
}

static bool read_bool(const json_t *payload, const char *field, bool *out,
                      struct sync_command_error *error)
{
    const json_t *value = json_object_get(payload, field);
    if (!value)
        return true;
    if (!json_is_boolean(value))
        return sync_command_invalid(error, field, "true or false");
    *out = json_is_true(value);
    return true;
}

static bool read_name(const json_t *payload, const char *field, char *out, size_t out_bytes,
                      struct sync_command_error *error)
{
    const json_t *value = json_object_get(payload, field);
    size_t len = json_is_string(value) ? json_string_length(value) : 0;
    // A NUL inside would make the name another one for those who read it as a C string.
    if (len == 0 || len >= out_bytes || memchr(json_string_value(value), 0, len))
        return sync_command_invalid(error, field, "a name");
    return mm_str_copy(out, out_bytes, json_string_value(value));
}

static bool read_id(const json_t *value, const char *prefix, uint64_t *out)
{
    return json_is_string(value) &&
           mm_id_parse(json_string_value(value), json_string_length(value), prefix, out) == MM_OK;
}

static bool read_id_field(const json_t *payload, const char *field, const char *prefix,
                          uint64_t *out, struct sync_command_error *error)
{
    if (read_id(json_object_get(payload, field), prefix, out))
        return true;
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "an id that begins with %s", prefix);
    return sync_command_invalid(error, field, wanted);
}

// An entity of any kind.
static bool read_entity(const json_t *payload, const char *field, uint64_t *out,
                        struct sync_command_error *error)
{
    const json_t *value = json_object_get(payload, field);
    for (uint32_t kind = MMORTS__FRAME__KIND__KIND_UNIT; kind <= MMORTS__FRAME__KIND__KIND_NPC;
         kind++) {
        if (read_id(value, sync_kind_prefix(kind), out))
            return true;
    }
    return sync_command_invalid(error, field, "the id of an entity");
}

static bool read_coordinates(const json_t *value, int32_t *q_out, int32_t *r_out)
{
    int64_t q = 0, r = 0;
    if (!json_is_array(value) || json_array_size(value) != 2 ||
        !read_integer(json_array_get(value, 0), -HEX_COORD_MAX, HEX_COORD_MAX, &q) ||
        !read_integer(json_array_get(value, 1), -HEX_COORD_MAX, HEX_COORD_MAX, &r))
        return false;
    *q_out = (int32_t)q;
    *r_out = (int32_t)r;
    return true;
}

static bool read_hex(const json_t *payload, const char *field, struct sync_command *command,
                     struct sync_command_error *error)
{
    return read_coordinates(json_object_get(payload, field), &command->q, &command->r) ||
           sync_command_invalid(error, field, "a hex [q, r] of whole numbers within the map");
}

static bool read_points(const json_t *payload, struct sync_command *command,
                        struct sync_command_error *error)
{
    const json_t *points = json_object_get(payload, "points");
    size_t count = json_is_array(points) ? json_array_size(points) : 0;
    bool sound = count >= 1 && count <= SYNC_COMMAND_POINTS_MAX;
    for (size_t i = 0; sound && i < count; i++)
        sound = read_coordinates(json_array_get(points, i), &command->points[i].q,
                                 &command->points[i].r);
    command->point_count = count;
    return sound ||
           sync_command_invalid(error, "points", "a list of 1 to 8 hexes [q, r] within the map");
}

// Units, or for a rally point buildings.
static bool read_units(const json_t *payload, const char *field, const char *prefix,
                       struct sync_command *command, struct sync_command_error *error)
{
    const json_t *units = json_object_get(payload, field);
    if (!json_is_array(units))
        return sync_command_invalid(error, field, "a list of ids");
    size_t count = json_array_size(units);
    if (count == 0)
        return sync_command_fail(error, "no_units", "The field '%s' is empty.", field);
    if (count > SYNC_COMMAND_UNITS_MAX)
        return sync_command_fail(error, "no_units", "The field '%s' has more than %d entries.",
                                 field, SYNC_COMMAND_UNITS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!read_id(json_array_get(units, i), prefix, &command->units[i]))
            return sync_command_invalid(error, field, "a list of ids of the right kind");
    }
    command->unit_count = count;
    return true;
}

// --- commands ------------------------------------------------------------------------------------

static bool read_train(const json_t *payload, struct sync_command *command,
                       struct sync_command_error *error)
{
    int64_t cycles = 1;
    const json_t *value = json_object_get(payload, "cycles");
    if (value && !read_integer(value, 0, SYNC_COMMAND_CYCLES_MAX, &cycles))
        return sync_command_invalid(error, "cycles", "a whole number from 0 to 1000000");
    command->cycles = (uint32_t)cycles;
    return read_id_field(payload, "building", "building_", &command->target, error) &&
           read_name(payload, "recipe", command->recipe, sizeof command->recipe, error);
}

static bool read_radius(const json_t *payload, struct sync_command *command,
                        struct sync_command_error *error)
{
    int64_t radius = 0;
    if (!read_integer(json_object_get(payload, "radius"), 1, SYNC_COMMAND_RADIUS_MAX, &radius))
        return sync_command_invalid(error, "radius", "a whole number from 1 to 32");
    command->radius = (uint32_t)radius;
    return true;
}

static bool read_order(const json_t *payload, struct sync_command *command,
                       struct sync_command_error *error)
{
    if (command->type == SYNC_COMMAND_CANCEL_BUILD)
        return read_id_field(payload, "building", "building_", &command->target, error);
    bool rally = command->type == SYNC_COMMAND_RALLY;
    if (!read_units(payload, rally ? "buildings" : "units", rally ? "building_" : "unit_", command,
                    error) ||
        !read_bool(payload, "queued", &command->queued, error))
        return false;
    switch (command->type) {
    case SYNC_COMMAND_BUILD:
        return read_name(payload, "building", command->recipe, sizeof command->recipe, error) &&
               read_hex(payload, "target", command, error);
    case SYNC_COMMAND_REPAIR:
        return read_id_field(payload, "target", "building_", &command->target, error);
    case SYNC_COMMAND_PATROL:
        return read_points(payload, command, error);
    case SYNC_COMMAND_WANDER:
        return read_radius(payload, command, error);
    case SYNC_COMMAND_RALLY:
    case SYNC_COMMAND_MOVE:
    case SYNC_COMMAND_ATTACK_MOVE:
        return read_hex(payload, "target", command, error);
    case SYNC_COMMAND_ATTACK:
        return read_entity(payload, "target", &command->target, error);
    case SYNC_COMMAND_GATHER:
        return read_id_field(payload, "target", "resource_", &command->target, error);
    default:
        return true;
    }
}

// A 64-bit number as text, as `player_id` is told.
static bool read_player(const json_t *payload, const char *field, uint64_t *out,
                        struct sync_command_error *error)
{
    const json_t *value = json_object_get(payload, field);
    const char *text = json_string_value(value);
    size_t len = text ? json_string_length(value) : 0;
    *out = 0;
    bool ok = len > 0;
    for (size_t i = 0; ok && i < len; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';
        ok = digit <= 9 && *out <= (UINT64_MAX - digit) / 10;
        *out = *out * 10 + digit;
    }
    return (ok && *out != 0) || sync_command_invalid(error, field, "a player's id");
}

// One of some words; its place in the list is the value.
static bool read_word(const json_t *payload, const char *field, const char *const *words,
                      uint32_t count, uint32_t *out, struct sync_command_error *error)
{
    const char *text = json_string_value(json_object_get(payload, field));
    for (*out = 0; text && *out < count; ++*out) {
        if (strcmp(text, words[*out]) == 0)
            return true;
    }
    return sync_command_invalid(error, field, "one of the words that it can be");
}

static bool read_group_name(const json_t *payload, struct sync_command *command,
                            struct sync_command_error *error)
{
    static const char *const policies[] = {"invite", "apply", "open"};
    if (!read_name(payload, "name", command->group.name, sizeof command->group.name, error))
        return false;
    if (json_object_get(payload, "tag") &&
        !read_name(payload, "tag", command->group.tag, sizeof command->group.tag, error))
        return false;
    return !json_object_get(payload, "policy") ||
           read_word(payload, "policy", policies, 3, &command->group.policy, error);
}

static bool read_group(const json_t *payload, struct sync_command *command,
                       struct sync_command_error *error)
{
    static const char *const actions[SYNC_GROUP_ACTIONS] = {"create",  "list",    "invite", "join",
                                                            "decline", "refuse",  "leave",  "kick",
                                                            "role",    "disband", "policy"};
    static const char *const policies[] = {"invite", "apply", "open"};
    static const char *const roles[] = {"", "member", "officer", "leader"};
    uint32_t action = 0;
    if (!read_word(payload, "action", actions, SYNC_GROUP_ACTIONS, &action, error))
        return false;
    command->group.action = (enum sync_group_action)action;
    if (action == SYNC_GROUP_CREATE)
        return read_group_name(payload, command, error);
    if (action == SYNC_GROUP_LIST)
        return !json_object_get(payload, "after") ||
               read_id_field(payload, "after", "group_", &command->target, error);
    if (!read_id_field(payload, "group", "group_", &command->target, error))
        return false;
    switch (command->group.action) {
    case SYNC_GROUP_INVITE:
    case SYNC_GROUP_REFUSE:
    case SYNC_GROUP_KICK:
        return read_player(payload, "player", &command->group.player, error);
    case SYNC_GROUP_ROLE:
        return read_player(payload, "player", &command->group.player, error) &&
               read_word(payload, "role", roles, 4, &command->group.role, error);
    case SYNC_GROUP_POLICY:
        return read_word(payload, "policy", policies, 3, &command->group.policy, error);
    default:
        return true;
    }
}

static bool read_mail_texts(const json_t *payload, struct sync_command *command,
                            struct sync_command_error *error)
{
    const json_t *subject = json_object_get(payload, "subject");
    const json_t *body = json_object_get(payload, "body");
    if (!json_is_string(subject))
        return sync_command_invalid(error, "subject", "a string");
    if (!json_is_string(body))
        return sync_command_invalid(error, "body", "a string");
    size_t subject_len = json_string_length(subject), body_len = json_string_length(body);
    if (subject_len >= sizeof command->mail.subject || body_len > SYNC_MAIL_BYTES_MAX)
        return sync_command_fail(error, "mail_too_long", "The subject or the text is too long.");
    if (memchr(json_string_value(subject), 0, subject_len) ||
        memchr(json_string_value(body), 0, body_len))
        return sync_command_fail(error, "mail_invalid",
                                 "The mail has characters that cannot be sent.");
    memcpy(command->mail.subject, json_string_value(subject), subject_len);
    memcpy(command->chat, json_string_value(body), body_len);
    command->chat_len = body_len;
    return true;
}

static bool read_mail_numbers(const json_t *payload, struct sync_command *command,
                              struct sync_command_error *error)
{
    const json_t *mails = json_object_get(payload, "mails");
    size_t count = json_is_array(mails) ? json_array_size(mails) : 0;
    bool sound = count >= 1 && count <= SYNC_MAILS_MAX;
    for (size_t i = 0; sound && i < count; i++) {
        int64_t number = 0;
        sound = read_integer(json_array_get(mails, i), 1, JSON_INTEGER_MAX, &number);
        command->mail.numbers[i] = (uint64_t)number;
    }
    command->mail.count = sound ? (uint32_t)count : 0;
    return sound || sync_command_invalid(error, "mails", "a list of 1 to 50 mails' ids");
}

static bool read_mail_list(const json_t *payload, struct sync_command *command,
                           struct sync_command_error *error)
{
    int64_t before = 0, limit = 20;
    const json_t *before_value = json_object_get(payload, "before");
    const json_t *limit_value = json_object_get(payload, "limit");
    if (before_value && !read_integer(before_value, 1, JSON_INTEGER_MAX, &before))
        return sync_command_invalid(error, "before", "a mail's id");
    if (limit_value && !read_integer(limit_value, 1, SYNC_MAILS_MAX, &limit))
        return sync_command_invalid(error, "limit", "a whole number from 1 to 50");
    command->mail.number = (uint64_t)before;
    command->mail.limit = (uint32_t)limit;
    return true;
}

static bool read_mail(const json_t *payload, struct sync_command *command,
                      struct sync_command_error *error)
{
    static const char *const actions[SYNC_MAIL_ACTIONS] = {"send", "send_group", "list", "read",
                                                           "delete"};
    uint32_t action = 0;
    int64_t number = 0;
    if (!read_word(payload, "action", actions, SYNC_MAIL_ACTIONS, &action, error))
        return false;
    command->mail.action = (enum sync_mail_action)action;
    switch (command->mail.action) {
    case SYNC_MAIL_SEND: {
        bool by_name = json_object_get(payload, "to_name");
        if (by_name && json_object_get(payload, "to"))
            return sync_command_invalid(error, "to", "missing where there is 'to_name'");
        return (by_name ? read_name(payload, "to_name", command->mail.to_name,
                                    sizeof command->mail.to_name, error)
                        : read_player(payload, "to", &command->player, error)) &&
               read_mail_texts(payload, command, error);
    }
    case SYNC_MAIL_SEND_GROUP:
        return read_id_field(payload, "group", "group_", &command->target, error) &&
               read_mail_texts(payload, command, error);
    case SYNC_MAIL_LIST:
        return read_mail_list(payload, command, error);
    case SYNC_MAIL_READ:
        if (!read_integer(json_object_get(payload, "mail"), 1, JSON_INTEGER_MAX, &number))
            return sync_command_invalid(error, "mail", "a mail's id");
        command->mail.number = (uint64_t)number;
        return true;
    default:
        return read_mail_numbers(payload, command, error);
    }
}

static bool read_command(const json_t *payload, struct sync_command *command,
                         struct sync_command_error *error)
{
    static const struct {
        const char *name;
        enum sync_command_type type;
    } names[] = {
        {"move", SYNC_COMMAND_MOVE},     {"stop", SYNC_COMMAND_STOP},
        {"attack", SYNC_COMMAND_ATTACK}, {"attack_move", SYNC_COMMAND_ATTACK_MOVE},
        {"gather", SYNC_COMMAND_GATHER}, {"train", SYNC_COMMAND_TRAIN},
        {"cancel", SYNC_COMMAND_CANCEL}, {"build", SYNC_COMMAND_BUILD},
        {"repair", SYNC_COMMAND_REPAIR}, {"cancel_build", SYNC_COMMAND_CANCEL_BUILD},
        {"patrol", SYNC_COMMAND_PATROL}, {"wander", SYNC_COMMAND_WANDER},
        {"rally", SYNC_COMMAND_RALLY},   {"group", SYNC_COMMAND_GROUP},
        {"mail", SYNC_COMMAND_MAIL},
    };
    int64_t seq = 0;
    if (!json_is_object(payload))
        return sync_command_invalid(error, "payload", "an object");
    if (!read_integer(json_object_get(payload, "seq"), 1, JSON_INTEGER_MAX, &seq))
        return sync_command_invalid(error, "seq", "a whole number from 1 to 2^53-1");
    command->has_seq = error->has_seq = true;
    command->seq = error->seq = (uint64_t)seq;
    const json_t *name = json_object_get(payload, "command");
    if (!json_is_string(name))
        return sync_command_invalid(error, "command", "a string");
    size_t i = 0, count = sizeof names / sizeof *names;
    while (i < count && strcmp(names[i].name, json_string_value(name)) != 0)
        i++;
    if (i == count)
        return sync_command_fail(error, "unknown_command", "There is no such command.");
    command->type = names[i].type;
    if (command->type == SYNC_COMMAND_TRAIN)
        return read_train(payload, command, error);
    if (command->type == SYNC_COMMAND_GROUP)
        return read_group(payload, command, error);
    if (command->type == SYNC_COMMAND_MAIL)
        return read_mail(payload, command, error);
    if (command->type == SYNC_COMMAND_CANCEL) {
        command->refund = true;
        return read_id_field(payload, "job", "job_", &command->target, error) &&
               read_bool(payload, "refund", &command->refund, error);
    }
    return read_order(payload, command, error);
}

// --- messages ------------------------------------------------------------------------------------

static bool read_ping(const json_t *payload, struct sync_command *command,
                      struct sync_command_error *error)
{
    command->type = SYNC_COMMAND_PING;
    const json_t *value = json_object_get(payload, "timestamp");
    if (value && !read_integer(value, -JSON_INTEGER_MAX, JSON_INTEGER_MAX, &command->timestamp))
        return sync_command_invalid(error, "timestamp", "a whole number");
    return true;
}

static bool read_chat(const json_t *payload, struct sync_command *command,
                      struct sync_command_error *error)
{
    command->type = SYNC_COMMAND_CHAT;
    const json_t *value = json_object_get(payload, "message");
    if (!json_is_string(value))
        return sync_command_invalid(error, "message", "a string");
    size_t len = json_string_length(value);
    if (len > SYNC_CHAT_BYTES_MAX)
        return sync_command_fail(error, "chat_too_long",
                                 "A chat message has at most 500 characters.");
    if (memchr(json_string_value(value), 0, len))
        return sync_command_fail(error, "chat_invalid",
                                 "A chat message cannot contain control characters.");
    memcpy(command->chat, json_string_value(value), len);
    command->chat[len] = '\0';
    command->chat_len = len;
    bool to_group = json_object_get(payload, "group"), to_player = json_object_get(payload, "to");
    if (to_group && to_player)
        return sync_command_invalid(error, "to", "missing where there is 'group'");
    if (to_player)
        return read_player(payload, "to", &command->player, error);
    return !to_group || read_id_field(payload, "group", "group_", &command->target, error);
}

static bool read_focus(const json_t *payload, struct sync_command *command,
                       struct sync_command_error *error)
{
    command->type = SYNC_COMMAND_FOCUS;
    const json_t *hex = json_object_get(payload, "hex");
    command->has_focus = hex && !json_is_null(hex);
    return !command->has_focus || read_hex(payload, "hex", command, error);
}

static bool read_message(const json_t *root, struct sync_command *command,
                         struct sync_command_error *error)
{
    const json_t *type = json_object_get(root, "type");
    if (!json_is_string(type))
        return sync_command_invalid(error, "type", "a string");
    const json_t *payload = json_object_get(root, "payload");
    const char *name = json_string_value(type);
    if (strcmp(name, "command") == 0)
        return read_command(payload, command, error);
    if (strcmp(name, "ping") == 0)
        return read_ping(payload, command, error);
    if (strcmp(name, "chat") == 0)
        return read_chat(payload, command, error);
    if (strcmp(name, "focus") == 0)
        return read_focus(payload, command, error);
    if (strcmp(name, "join") == 0)
        command->type = SYNC_COMMAND_JOIN;
    else if (strcmp(name, "leave") == 0)
        command->type = SYNC_COMMAND_LEAVE;
    else
        return sync_command_fail(error, "unknown_type", "There is no message of this type.");
    return true;
}

bool sync_command_parse(const uint8_t *text, size_t len, struct sync_command *command,
                        struct sync_command_error *error)
{
    memset(command, 0, sizeof *command);
    memset(error, 0, sizeof *error);
    json_error_t where;
    json_t *root =
        json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    bool ok = false;
    if (!root)
        sync_command_fail(error, "malformed", "The message is not JSON (at byte %d).",
                          where.position);
    else if (!json_is_object(root))
        sync_command_fail(error, "malformed", "The message is not a JSON object.");
    else
        ok = read_message(root, command, error);
    json_decref(root);
    return ok;
}
