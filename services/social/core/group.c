#include "services/social/core/group.h"

#include <stddef.h>
#include <string.h>

#include "libcommon/base/str.h"
#include "services/social/core/text.h"

#define ROLE(name)   MMORTS__SOCIAL__GROUP_ROLE__GROUP_ROLE_##name
#define POLICY(name) MMORTS__SOCIAL__GROUP_POLICY__GROUP_##name
#define REASON(name) MMORTS__SOCIAL__GROUP_REASON__GROUP_##name
#define ACTION(name) MMORTS__SOCIAL__GROUP_ACTION__GROUP_##name
#define EVENT(name)  MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_##name

typedef Mmorts__Social__GroupReason Reason;

void social_group_init(struct social_group *group)
{
    memset(group, 0, sizeof *group);
    mm_vec_init(&group->members, SOCIAL_GROUP_MEMBERS_MAX);
    mm_vec_init(&group->pending, SOCIAL_GROUP_PENDING_EVER_MAX);
}

void social_group_free(struct social_group *group)
{
    mm_vec_free(&group->members);
    mm_vec_free(&group->pending);
}

struct social_group_member *social_group_member_find(const struct social_group *group,
                                                     uint64_t player_id)
{
    for (size_t i = 0; i < group->members.count; i++) {
        if (group->members.items[i].player.id == player_id)
            return &group->members.items[i];
    }
    return NULL;
}

struct social_group_pending *social_group_pending_find(const struct social_group *group,
                                                       uint64_t player_id)
{
    for (size_t i = 0; i < group->pending.count; i++) {
        if (group->pending.items[i].player.id == player_id)
            return &group->pending.items[i];
    }
    return NULL;
}

// --- names -----------------------------------------------------------------------------------

static size_t characters(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)text[i] & 0xc0u) != 0x80u;
    return count;
}

static bool take_text(const char *text, size_t min, size_t max, char *out, size_t out_bytes)
{
    size_t len = strlen(text);
    return social_text_check(&text, &len, max) == SOCIAL_TEXT_OK && characters(text, len) >= min &&
           mm_str_copy_n(out, out_bytes, text, len);
}

Reason social_group_name(struct social_group *group, const char *kind, const char *name,
                         const char *tag)
{
    size_t kind_len = strlen(kind);
    if (kind_len == 0 || kind_len >= sizeof group->kind ||
        strspn(kind, "abcdefghijklmnopqrstuvwxyz_") != kind_len)
        return REASON(INVALID);
    (void)mm_str_copy(group->kind, sizeof group->kind, kind);
    if (!take_text(name, SOCIAL_GROUP_NAME_CHARACTERS_MIN, SOCIAL_GROUP_NAME_CHARACTERS_MAX,
                   group->name, sizeof group->name))
        return REASON(INVALID_NAME);
    group->tag[0] = '\0';
    if (*tag != '\0' && !take_text(tag, SOCIAL_GROUP_TAG_CHARACTERS_MIN,
                                   SOCIAL_GROUP_TAG_CHARACTERS_MAX, group->tag, sizeof group->tag))
        return REASON(INVALID_NAME);
    return REASON(OK);
}

// --- changes ---------------------------------------------------------------------------------

struct act {
    struct social_group *group;
    const struct social_group_limits *limits;
    const struct social_group_action *action;
    struct social_group_changes *out;
    struct social_group_member *actor; // NULL: no member
};

static struct social_group_change *note(struct social_group_changes *out,
                                        Mmorts__Social__GroupEventKind kind,
                                        const struct social_group_player *player)
{
    struct social_group_change *change = &out->items[out->count++];
    *change = (struct social_group_change){.kind = kind, .player = *player};
    return change;
}

static bool has_role(const struct act *act, Mmorts__Social__GroupRole role)
{
    return act->actor && act->actor->role >= role;
}

static void drop_pending(struct social_group *group, uint64_t player_id)
{
    struct social_group_pending *pending = social_group_pending_find(group, player_id);
    if (!pending)
        return;
    size_t at = (size_t)(pending - group->pending.items);
    group->pending.count--;
    memmove(pending, pending + 1, (group->pending.count - at) * sizeof *pending);
}

static void drop_member(struct social_group *group, uint64_t player_id)
{
    struct social_group_member *member = social_group_member_find(group, player_id);
    size_t at = (size_t)(member - group->members.items);
    group->members.count--;
    memmove(member, member + 1, (group->members.count - at) * sizeof *member);
}

static Reason take_in(struct act *act, const struct social_group_player *player)
{
    if (act->action->member_of != 0)
        return REASON(IN_ANOTHER);
    if (act->group->members.count >= act->limits->members_max)
        return REASON(FULL);
    struct social_group_member member = {
        .player = *player, .role = ROLE(MEMBER), .joined_ms = act->action->now_ms};
    if (!mm_vec_push(&act->group->members, member))
        return REASON(FULL);
    drop_pending(act->group, player->id);
    note(act->out, EVENT(JOINED), player)->role = ROLE(MEMBER);
    return REASON(OK);
}

static Reason wait_for_answer(struct act *act, const struct social_group_player *player,
                              bool application)
{
    struct social_group_pending pending = {
        .player = *player,
        .application = application,
        .by_player = act->action->actor.id,
        .expires_ms = act->action->now_ms + act->limits->pending_ms,
    };
    if (act->group->pending.count >= act->limits->pending_max ||
        !mm_vec_push(&act->group->pending, pending))
        return REASON(TOO_MANY_PENDING);
    note(act->out, application ? EVENT(APPLIED) : EVENT(INVITED), player)->expires_ms =
        pending.expires_ms;
    return REASON(OK);
}

static Reason invite(struct act *act)
{
    const struct social_group_player *target = &act->action->target;
    if (target->id == 0)
        return REASON(INVALID);
    if (!has_role(act, ROLE(OFFICER)))
        return act->actor ? REASON(FORBIDDEN) : REASON(NOT_MEMBER);
    if (social_group_member_find(act->group, target->id))
        return REASON(OK);
    const struct social_group_pending *pending = social_group_pending_find(act->group, target->id);
    if (pending && pending->application)
        return take_in(act, target);
    if (pending)
        return REASON(OK);
    if (act->group->members.count >= act->limits->members_max)
        return REASON(FULL);
    return wait_for_answer(act, target, false);
}

static Reason join(struct act *act)
{
    const struct social_group_player *actor = &act->action->actor;
    if (act->actor)
        return REASON(OK);
    const struct social_group_pending *pending = social_group_pending_find(act->group, actor->id);
    if ((pending && !pending->application) || act->group->policy == POLICY(OPEN))
        return take_in(act, actor);
    if (act->group->policy != POLICY(APPLY))
        return REASON(NOT_OPEN);
    if (act->action->member_of != 0)
        return REASON(IN_ANOTHER);
    return pending ? REASON(OK) : wait_for_answer(act, actor, true);
}

static Reason decline(struct act *act)
{
    if (!social_group_pending_find(act->group, act->action->actor.id))
        return REASON(NOT_PENDING);
    drop_pending(act->group, act->action->actor.id);
    note(act->out, EVENT(DECLINED), &act->action->actor);
    return REASON(OK);
}

static Reason refuse(struct act *act)
{
    const struct social_group_pending *pending =
        social_group_pending_find(act->group, act->action->target.id);
    if (!has_role(act, ROLE(OFFICER)))
        return act->actor ? REASON(FORBIDDEN) : REASON(NOT_MEMBER);
    if (!pending)
        return REASON(NOT_PENDING);
    note(act->out, EVENT(DECLINED), &pending->player);
    drop_pending(act->group, act->action->target.id);
    return REASON(OK);
}

static void disband(struct act *act, const struct social_group_player *by)
{
    act->group->members.count = act->group->pending.count = 0;
    note(act->out, EVENT(DISBANDED), by);
}

// The leader's place goes to the longest-serving of the highest role left.
static void find_leader(struct act *act)
{
    struct social_group *group = act->group;
    struct social_group_member *next = NULL;
    for (size_t i = 0; i < group->members.count; i++) {
        struct social_group_member *member = &group->members.items[i];
        if (member->role == ROLE(LEADER))
            return;
        if (!next || member->role > next->role)
            next = member;
    }
    if (!next)
        return; // nobody is left to lead
    next->role = ROLE(LEADER);
    note(act->out, EVENT(ROLE_SET), &next->player)->role = ROLE(LEADER);
}

static Reason leave(struct act *act)
{
    if (!act->actor)
        return REASON(NOT_MEMBER);
    if (act->group->members.count == 1) {
        disband(act, &act->action->actor);
        return REASON(OK);
    }
    note(act->out, EVENT(LEFT), &act->action->actor);
    drop_member(act->group, act->action->actor.id);
    find_leader(act);
    return REASON(OK);
}

static Reason kick(struct act *act)
{
    const struct social_group_member *target =
        social_group_member_find(act->group, act->action->target.id);
    if (!act->actor || !target)
        return REASON(NOT_MEMBER);
    if (act->actor->role < ROLE(OFFICER) || target->role >= act->actor->role)
        return REASON(FORBIDDEN);
    note(act->out, EVENT(KICKED), &target->player);
    drop_member(act->group, act->action->target.id);
    return REASON(OK);
}

static Reason set_role(struct act *act)
{
    Mmorts__Social__GroupRole role = act->action->role;
    struct social_group_member *target =
        social_group_member_find(act->group, act->action->target.id);
    if (role < ROLE(MEMBER) || role > ROLE(LEADER))
        return REASON(INVALID);
    if (!act->actor || !target)
        return REASON(NOT_MEMBER);
    if (act->actor->role != ROLE(LEADER))
        return REASON(FORBIDDEN);
    if (target->role == role)
        return REASON(OK);
    if (target == act->actor)
        return REASON(INVALID); // somebody else is to be made the leader instead
    target->role = role;
    note(act->out, EVENT(ROLE_SET), &target->player)->role = role;
    if (role == ROLE(LEADER)) {
        act->actor->role = ROLE(OFFICER);
        note(act->out, EVENT(ROLE_SET), &act->actor->player)->role = ROLE(OFFICER);
    }
    return REASON(OK);
}

static Reason set_policy(struct act *act)
{
    if (act->action->policy > POLICY(OPEN))
        return REASON(INVALID);
    if (!has_role(act, ROLE(LEADER)))
        return act->actor ? REASON(FORBIDDEN) : REASON(NOT_MEMBER);
    if (act->group->policy == act->action->policy)
        return REASON(OK);
    act->group->policy = act->action->policy;
    note(act->out, EVENT(POLICY_SET), &act->action->actor);
    return REASON(OK);
}

static Reason disband_by_leader(struct act *act)
{
    if (!has_role(act, ROLE(LEADER)))
        return act->actor ? REASON(FORBIDDEN) : REASON(NOT_MEMBER);
    disband(act, &act->action->actor);
    return REASON(OK);
}

static void drop_expired(struct social_group *group, int64_t now_ms)
{
    for (size_t i = group->pending.count; i-- > 0;) {
        if (group->pending.items[i].expires_ms <= now_ms)
            drop_pending(group, group->pending.items[i].player.id);
    }
}

void social_group_expire(struct social_group *group, int64_t now_ms,
                         struct social_group_changes *out)
{
    *out = (struct social_group_changes){0};
    for (size_t i = group->pending.count; i-- > 0 && out->count < SOCIAL_GROUP_CHANGES_MAX;) {
        const struct social_group_pending *pending = &group->pending.items[i];
        if (pending->expires_ms > now_ms)
            continue;
        note(out, EVENT(DECLINED), &pending->player);
        drop_pending(group, pending->player.id);
    }
}

Reason social_group_act(struct social_group *group, const struct social_group_limits *limits,
                        const struct social_group_action *action, struct social_group_changes *out)
{
    *out = (struct social_group_changes){0};
    drop_expired(group, action->now_ms);
    struct act act = {.group = group,
                      .limits = limits,
                      .action = action,
                      .out = out,
                      .actor = social_group_member_find(group, action->actor.id)};
    switch (action->action) {
    case ACTION(INVITE):
        return invite(&act);
    case ACTION(JOIN):
        return join(&act);
    case ACTION(DECLINE):
        return decline(&act);
    case ACTION(REFUSE):
        return refuse(&act);
    case ACTION(LEAVE):
        return leave(&act);
    case ACTION(KICK):
        return kick(&act);
    case ACTION(SET_ROLE):
        return set_role(&act);
    case ACTION(DISBAND):
        return disband_by_leader(&act);
    case ACTION(SET_POLICY):
        return set_policy(&act);
    default:
        return REASON(INVALID);
    }
}

// --- words -----------------------------------------------------------------------------------

bool social_group_is_told(Mmorts__Social__GroupEventKind kind,
                          const struct social_group_member *member)
{
    switch (kind) {
    case EVENT(INVITED):
    case EVENT(APPLIED):
    case EVENT(DECLINED):
        return member->role >= ROLE(OFFICER);
    default:
        return true;
    }
}

bool social_group_ends_waiting(Mmorts__Social__GroupEventKind kind)
{
    return kind == EVENT(DISBANDED);
}

const char *social_group_message(Reason reason)
{
    static const char *const messages[] = {
        "",
        "There is no such group.",
        "A name has 3 to 32 characters, a tag 2 to 5.",
        "That name is taken.",
        "Your role in the group does not allow that.",
        "One can be in one group of that kind only.",
        "The group is full.",
        "No member of that group.",
        "There is no such invitation or application.",
        "One must be invited to that group.",
        "Too many invitations and applications wait for an answer.",
        "The request makes no sense.",
    };
    return (unsigned)reason < sizeof messages / sizeof *messages ? messages[reason] : "";
}
