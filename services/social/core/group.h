#ifndef SOCIAL_CORE_GROUP_H
#define SOCIAL_CORE_GROUP_H

#include "gen/social.pb-c.h"
#include "libcommon/base/vec.h"

#include <stdbool.h>
#include <stdint.h>

// What may be done to a group, and what comes of it. Pure: a group comes in as it is stored, and
// the changes to be stored come out.

enum {
    SOCIAL_GROUP_NAME_CHARACTERS_MIN = 3,
    SOCIAL_GROUP_NAME_CHARACTERS_MAX = 32,
    SOCIAL_GROUP_TAG_CHARACTERS_MIN = 2,
    SOCIAL_GROUP_TAG_CHARACTERS_MAX = 5,
    SOCIAL_GROUP_NAME_BYTES = 4 * SOCIAL_GROUP_NAME_CHARACTERS_MAX + 1,
    SOCIAL_GROUP_TAG_BYTES = 4 * SOCIAL_GROUP_TAG_CHARACTERS_MAX + 1,
    SOCIAL_GROUP_KIND_BYTES = 17,
    SOCIAL_GROUP_PLAYER_BYTES = 129,       // of a username or display id
    SOCIAL_GROUP_MEMBERS_MAX = 1000,       // whatever the settings say
    SOCIAL_GROUP_PENDING_EVER_MAX = 10000, // likewise, with those whose time is over
    SOCIAL_GROUP_CHANGES_MAX = 16,         // of one action (at most 3), or voided in one go
};

struct social_group_player {
    uint64_t id;
    char username[SOCIAL_GROUP_PLAYER_BYTES];
    char display_id[SOCIAL_GROUP_PLAYER_BYTES];
};

struct social_group_member {
    struct social_group_player player;
    Mmorts__Social__GroupRole role;
    int64_t joined_ms;
};

struct social_group_pending {
    struct social_group_player player;
    bool application;
    uint64_t by_player;
    int64_t expires_ms;
};

struct social_group {
    uint64_t id;
    char kind[SOCIAL_GROUP_KIND_BYTES];
    char name[SOCIAL_GROUP_NAME_BYTES];
    char tag[SOCIAL_GROUP_TAG_BYTES];
    Mmorts__Social__GroupPolicy policy;
    struct {
        MM_VEC(struct social_group_member);
    } members; // in the order of joining
    struct {
        MM_VEC(struct social_group_pending);
    } pending;
};

struct social_group_limits {
    uint32_t members_max;
    uint32_t pending_max;
    int64_t pending_ms; // until an invitation or application is void
};

struct social_group_action {
    Mmorts__Social__GroupAction action;
    struct social_group_player actor;
    struct social_group_player target; // id 0: none
    Mmorts__Social__GroupRole role;
    Mmorts__Social__GroupPolicy policy;
    // The group of this kind that whoever would become a member is in; 0: none.
    uint64_t member_of;
    int64_t now_ms;
};

// One thing that happened: `kind` says what of `player`.
struct social_group_change {
    Mmorts__Social__GroupEventKind kind;
    struct social_group_player player;
    Mmorts__Social__GroupRole role;
    int64_t expires_ms; // INVITED, APPLIED
};

struct social_group_changes {
    struct social_group_change items[SOCIAL_GROUP_CHANGES_MAX];
    size_t count;
};

void social_group_init(struct social_group *group);
void social_group_free(struct social_group *group);

struct social_group_member *social_group_member_find(const struct social_group *group,
                                                     uint64_t player_id);
struct social_group_pending *social_group_pending_find(const struct social_group *group,
                                                       uint64_t player_id);

// Judges a new group's kind, name and tag, and writes them without white space around.
Mmorts__Social__GroupReason social_group_name(struct social_group *group, const char *kind,
                                              const char *name, const char *tag);

// Does it to the group, if it may be done; else nothing is changed. No change although GROUP_OK: it
// was so already. A group that was disbanded has no members. GROUP_TOO_MANY_PENDING also when out
// of memory.
Mmorts__Social__GroupReason social_group_act(struct social_group *group,
                                             const struct social_group_limits *limits,
                                             const struct social_group_action *action,
                                             struct social_group_changes *out);

// Takes out whose time to answer is over, and notes them as declined: as many as `out` holds.
void social_group_expire(struct social_group *group, int64_t now_ms,
                         struct social_group_changes *out);

// Whether such an event about somebody else concerns the member.
bool social_group_is_told(Mmorts__Social__GroupEventKind kind,
                          const struct social_group_member *member);
// Whether it concerns those who wait for an answer: no invitation or application outlives it.
bool social_group_ends_waiting(Mmorts__Social__GroupEventKind kind);

// A sentence for people.
const char *social_group_message(Mmorts__Social__GroupReason reason);

#endif
