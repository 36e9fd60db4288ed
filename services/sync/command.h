#ifndef SYNC_COMMAND_H
#define SYNC_COMMAND_H

#include "libcommon/base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A client's message, read strictly: known fields of the right type and range, nothing else is
// believed. Unknown fields are ignored.

#define SYNC_COMMAND_UNITS_MAX   100
#define SYNC_COMMAND_NAME_MAX    64
#define SYNC_CHAT_BYTES_MAX      2000 // 500 characters of 4 bytes; social counts the characters
#define SYNC_MAIL_SUBJECT_BYTES  321  // likewise 80
#define SYNC_MAIL_BYTES_MAX      4000 // likewise, and as much as fits into a message
#define SYNC_MAILS_MAX           50   // listed, or deleted at once
#define SYNC_COMMAND_CYCLES_MAX  1000000
#define SYNC_COMMAND_POINTS_MAX  8
#define SYNC_COMMAND_RADIUS_MAX  32
#define SYNC_GROUP_NAME_BYTES    129 // social judges names and tags
#define SYNC_GROUP_TAG_BYTES     33
#define SYNC_ERROR_MESSAGE_BYTES 160

enum sync_command_type {
    SYNC_COMMAND_PING,
    SYNC_COMMAND_CHAT,
    SYNC_COMMAND_JOIN,
    SYNC_COMMAND_LEAVE,
    SYNC_COMMAND_FOCUS,
    SYNC_COMMAND_MOVE,
    SYNC_COMMAND_STOP,
    SYNC_COMMAND_ATTACK,
    SYNC_COMMAND_ATTACK_MOVE,
    SYNC_COMMAND_GATHER,
    SYNC_COMMAND_BUILD,
    SYNC_COMMAND_REPAIR,
    SYNC_COMMAND_CANCEL_BUILD,
    SYNC_COMMAND_PATROL,
    SYNC_COMMAND_WANDER,
    SYNC_COMMAND_RALLY,
    SYNC_COMMAND_TRAIN,
    SYNC_COMMAND_CANCEL,
    SYNC_COMMAND_GROUP,
    SYNC_COMMAND_MAIL,
    SYNC_COMMAND_TYPES,
};

enum sync_group_action {
    SYNC_GROUP_CREATE,
    SYNC_GROUP_LIST,
    SYNC_GROUP_INVITE,
    SYNC_GROUP_JOIN,
    SYNC_GROUP_DECLINE,
    SYNC_GROUP_REFUSE,
    SYNC_GROUP_LEAVE,
    SYNC_GROUP_KICK,
    SYNC_GROUP_ROLE,
    SYNC_GROUP_DISBAND,
    SYNC_GROUP_POLICY,
    SYNC_GROUP_ACTIONS,
};

enum sync_mail_action {
    SYNC_MAIL_SEND,
    SYNC_MAIL_SEND_GROUP,
    SYNC_MAIL_LIST,
    SYNC_MAIL_READ,
    SYNC_MAIL_DELETE,
    SYNC_MAIL_ACTIONS,
};

struct sync_command {
    enum sync_command_type type;
    bool has_seq;
    uint64_t seq;
    int64_t timestamp; // ping
    bool queued;
    size_t unit_count;
    uint64_t units[SYNC_COMMAND_UNITS_MAX]; // of rally: buildings
    size_t point_count;
    struct {
        int32_t q, r;
    } points[SYNC_COMMAND_POINTS_MAX];      // patrol
    uint32_t radius;                        // wander
    int32_t q, r;                           // target hex
    bool has_focus;                         // focus: it is on that hex, not nowhere
    uint64_t target;                        // target entity, building, job or group
    uint32_t cycles;                        // train
    bool refund;                            // cancel
    char recipe[SYNC_COMMAND_NAME_MAX + 1]; // train; of build: the type of building
    struct {
        enum sync_group_action action;
        uint64_t player;
        uint32_t role, policy; // mmorts.social.GroupRole and GroupPolicy
        char name[SYNC_GROUP_NAME_BYTES];
        char tag[SYNC_GROUP_TAG_BYTES];
    } group;
    struct {
        enum sync_mail_action action;
        char to_name[SYNC_GROUP_NAME_BYTES]; // or `player`
        char subject[SYNC_MAIL_SUBJECT_BYTES];
        uint64_t number; // read; or of list: only those before it, 0 for all
        uint32_t limit;
        uint32_t count; // delete
        uint64_t numbers[SYNC_MAILS_MAX];
    } mail;
    uint64_t player;                    // whom a mail or a private message is for; 0: nobody
    char chat[SYNC_MAIL_BYTES_MAX + 1]; // what is said, or written in a mail
    size_t chat_len;
};

// What was wrong: code is the protocol's (static), message a sentence for a person.
struct sync_command_error {
    const char *code;
    char message[SYNC_ERROR_MESSAGE_BYTES];
    bool has_seq;
    uint64_t seq;
};

// Reads a message of at most SYNC_WS_MESSAGE_BYTES_MAX bytes. False: error is filled in. Never
// asserts on its input.
bool sync_command_parse(const uint8_t *text, size_t len, struct sync_command *command,
                        struct sync_command_error *error);
// The same for one in the binary encoding.
bool sync_command_parse_binary(const uint8_t *data, size_t len, struct sync_command *command,
                               struct sync_command_error *error);

// Fill in the error and return false: for the readers of both forms.
MM_PRINTF(3, 4)
bool sync_command_fail(struct sync_command_error *error, const char *code, const char *format, ...);
bool sync_command_invalid(struct sync_command_error *error, const char *field, const char *wanted);

#endif
