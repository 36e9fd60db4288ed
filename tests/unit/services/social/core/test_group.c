#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/base/rng.h"
#include "services/social/core/group.h"

#define ROLE(name)   MMORTS__SOCIAL__GROUP_ROLE__GROUP_ROLE_##name
#define POLICY(name) MMORTS__SOCIAL__GROUP_POLICY__GROUP_##name
#define REASON(name) MMORTS__SOCIAL__GROUP_REASON__GROUP_##name
#define ACTION(name) MMORTS__SOCIAL__GROUP_ACTION__GROUP_##name
#define EVENT(name)  MMORTS__SOCIAL__GROUP_EVENT_KIND__GROUP_##name

static struct social_group group;
static struct social_group_changes changes;
static struct social_group_limits limits = {.members_max = 4, .pending_max = 2, .pending_ms = 1000};
static int64_t now_ms;

static struct social_group_player player(uint64_t id)
{
    struct social_group_player p = {.id = id};
    snprintf(p.username, sizeof p.username, "player %d", (int)id);
    return p;
}

// A group led by 1.
static void set_up(void)
{
    social_group_init(&group);
    group.id = 9;
    now_ms = 0;
    struct social_group_member leader = {.player = player(1), .role = ROLE(LEADER)};
    cr_assert(mm_vec_push(&group.members, leader));
}

static void tear_down(void)
{
    social_group_free(&group);
}

TestSuite(social_group, .init = set_up, .fini = tear_down);

static Mmorts__Social__GroupReason act(Mmorts__Social__GroupAction what, uint64_t actor,
                                       uint64_t target)
{
    struct social_group_action action = {
        .action = what, .actor = player(actor), .target = player(target), .now_ms = ++now_ms};
    if (target == 0)
        action.target = (struct social_group_player){0};
    return social_group_act(&group, &limits, &action, &changes);
}

static Mmorts__Social__GroupReason set_role(uint64_t actor, uint64_t target,
                                            Mmorts__Social__GroupRole role)
{
    struct social_group_action action = {.action = ACTION(SET_ROLE),
                                         .actor = player(actor),
                                         .target = player(target),
                                         .role = role,
                                         .now_ms = ++now_ms};
    return social_group_act(&group, &limits, &action, &changes);
}

static void bring_in(uint64_t id)
{
    cr_assert_eq(act(ACTION(INVITE), 1, id), REASON(OK));
    cr_assert_eq(act(ACTION(JOIN), id, 0), REASON(OK));
}

static Mmorts__Social__GroupRole role_of(uint64_t id)
{
    const struct social_group_member *member = social_group_member_find(&group, id);
    return member ? member->role : ROLE(NONE);
}

static void expect_change(size_t i, Mmorts__Social__GroupEventKind kind, uint64_t id)
{
    cr_assert_lt(i, changes.count);
    cr_expect_eq(changes.items[i].kind, kind);
    cr_expect_eq(changes.items[i].player.id, id);
}

Test(social_group, invited_and_joined)
{
    cr_assert_eq(act(ACTION(JOIN), 2, 0), REASON(NOT_OPEN));
    cr_assert_eq(act(ACTION(INVITE), 2, 3), REASON(NOT_MEMBER));
    cr_assert_eq(act(ACTION(INVITE), 1, 0), REASON(INVALID));
    cr_assert_eq(act(ACTION(INVITE), 1, 2), REASON(OK));
    expect_change(0, EVENT(INVITED), 2);
    cr_expect_eq(changes.items[0].expires_ms, now_ms + 1000);
    cr_assert_eq(act(ACTION(INVITE), 1, 2), REASON(OK));
    cr_expect_eq(changes.count, 0, "it was so already");
    cr_assert_eq(act(ACTION(JOIN), 2, 0), REASON(OK));
    expect_change(0, EVENT(JOINED), 2);
    cr_expect_eq(role_of(2), ROLE(MEMBER));
    cr_expect_null(social_group_pending_find(&group, 2));
    cr_assert_eq(act(ACTION(JOIN), 2, 0), REASON(OK));
    cr_expect_eq(changes.count, 0);
    cr_assert_eq(act(ACTION(INVITE), 2, 3), REASON(FORBIDDEN), "no officer");
}

Test(social_group, an_invitation_expires)
{
    cr_assert_eq(act(ACTION(INVITE), 1, 2), REASON(OK));
    now_ms += 1000;
    cr_assert_eq(act(ACTION(JOIN), 2, 0), REASON(NOT_OPEN));
    cr_expect_eq(group.pending.count, 0);
}

Test(social_group, what_is_not_answered_in_time_is_void_and_told)
{
    group.policy = POLICY(APPLY);
    cr_assert_eq(act(ACTION(INVITE), 1, 2), REASON(OK));
    cr_assert_eq(act(ACTION(JOIN), 3, 0), REASON(OK));
    social_group_expire(&group, now_ms + 998, &changes);
    cr_expect_eq(changes.count, 0);
    social_group_expire(&group, now_ms + 999, &changes);
    cr_assert_eq(changes.count, 1);
    expect_change(0, EVENT(DECLINED), 2);
    cr_expect_null(social_group_pending_find(&group, 2));
    social_group_expire(&group, now_ms + 1000, &changes);
    expect_change(0, EVENT(DECLINED), 3);
    social_group_expire(&group, now_ms + 5000, &changes);
    cr_expect_eq(changes.count, 0);
    // More than one go holds.
    limits.pending_max = 2 * SOCIAL_GROUP_CHANGES_MAX;
    for (uint64_t id = 2; id < 2 + SOCIAL_GROUP_CHANGES_MAX + 1; id++)
        cr_assert_eq(act(ACTION(JOIN), id, 0), REASON(OK));
    social_group_expire(&group, now_ms + 1000, &changes);
    cr_expect_eq(changes.count, SOCIAL_GROUP_CHANGES_MAX);
    social_group_expire(&group, now_ms + 1000, &changes);
    cr_expect_eq(changes.count, 1);
    cr_expect_eq(group.pending.count, 0);
}

// An invitation is the group's: it outlives the membership of who made it, and a time in which it
// cannot be accepted.
Test(social_group, an_invitation_stays_until_somebody_ends_it)
{
    bring_in(2);
    cr_assert_eq(set_role(1, 2, ROLE(OFFICER)), REASON(OK));
    cr_assert_eq(act(ACTION(INVITE), 2, 3), REASON(OK));
    cr_assert_eq(act(ACTION(LEAVE), 2, 0), REASON(OK));
    cr_expect_eq(changes.count, 1);
    struct social_group_action action = {
        .action = ACTION(JOIN), .actor = player(3), .member_of = 77, .now_ms = ++now_ms};
    cr_assert_eq(social_group_act(&group, &limits, &action, &changes), REASON(IN_ANOTHER));
    limits.members_max = 1;
    cr_assert_eq(act(ACTION(JOIN), 3, 0), REASON(FULL));
    limits.members_max = 4;
    cr_assert_eq(act(ACTION(JOIN), 3, 0), REASON(OK));
    expect_change(0, EVENT(JOINED), 3);
}

Test(social_group, an_invitation_is_declined_or_withdrawn)
{
    cr_assert_eq(act(ACTION(DECLINE), 2, 0), REASON(NOT_PENDING));
    cr_assert_eq(act(ACTION(INVITE), 1, 2), REASON(OK));
    cr_assert_eq(act(ACTION(DECLINE), 2, 0), REASON(OK));
    expect_change(0, EVENT(DECLINED), 2);
    cr_assert_eq(act(ACTION(INVITE), 1, 3), REASON(OK));
    cr_assert_eq(act(ACTION(REFUSE), 2, 3), REASON(NOT_MEMBER));
    cr_assert_eq(act(ACTION(REFUSE), 1, 4), REASON(NOT_PENDING));
    cr_assert_eq(act(ACTION(REFUSE), 1, 3), REASON(OK));
    expect_change(0, EVENT(DECLINED), 3);
    cr_assert_eq(act(ACTION(JOIN), 3, 0), REASON(NOT_OPEN));
}

Test(social_group, applications)
{
    group.policy = POLICY(APPLY);
    cr_assert_eq(act(ACTION(JOIN), 2, 0), REASON(OK));
    expect_change(0, EVENT(APPLIED), 2);
    cr_expect_eq(role_of(2), ROLE(NONE));
    cr_assert_eq(act(ACTION(JOIN), 2, 0), REASON(OK));
    cr_expect_eq(changes.count, 0, "it does not let itself in by asking twice");
    cr_expect_eq(role_of(2), ROLE(NONE));
    cr_assert_eq(act(ACTION(INVITE), 1, 2), REASON(OK));
    expect_change(0, EVENT(JOINED), 2);
    cr_assert_eq(act(ACTION(JOIN), 3, 0), REASON(OK));
    cr_assert_eq(act(ACTION(JOIN), 4, 0), REASON(OK));
    cr_assert_eq(act(ACTION(JOIN), 5, 0), REASON(TOO_MANY_PENDING));
}

Test(social_group, open_and_full)
{
    group.policy = POLICY(OPEN);
    for (uint64_t id = 2; id <= 4; id++)
        cr_assert_eq(act(ACTION(JOIN), id, 0), REASON(OK));
    cr_assert_eq(act(ACTION(JOIN), 5, 0), REASON(FULL));
    cr_assert_eq(act(ACTION(INVITE), 1, 5), REASON(FULL));
    cr_expect_eq(group.members.count, 4);
}

Test(social_group, one_group_of_a_kind)
{
    group.policy = POLICY(OPEN);
    struct social_group_action action = {
        .action = ACTION(JOIN), .actor = player(2), .member_of = 77, .now_ms = 1};
    cr_assert_eq(social_group_act(&group, &limits, &action, &changes), REASON(IN_ANOTHER));
    cr_expect_eq(changes.count, 0);
    cr_expect_eq(group.members.count, 1);
}

Test(social_group, who_may_send_whom_away)
{
    bring_in(2);
    bring_in(3);
    bring_in(4);
    cr_assert_eq(set_role(1, 2, ROLE(OFFICER)), REASON(OK));
    cr_assert_eq(act(ACTION(KICK), 3, 4), REASON(FORBIDDEN), "a member a member");
    cr_assert_eq(act(ACTION(KICK), 2, 1), REASON(FORBIDDEN), "an officer the leader");
    cr_assert_eq(act(ACTION(KICK), 2, 2), REASON(FORBIDDEN), "an officer itself");
    cr_assert_eq(act(ACTION(KICK), 2, 9), REASON(NOT_MEMBER));
    cr_assert_eq(act(ACTION(KICK), 9, 3), REASON(NOT_MEMBER));
    cr_assert_eq(act(ACTION(KICK), 2, 3), REASON(OK));
    expect_change(0, EVENT(KICKED), 3);
    cr_expect_eq(role_of(3), ROLE(NONE));
    cr_assert_eq(act(ACTION(KICK), 1, 2), REASON(OK), "the leader an officer");
}

Test(social_group, roles)
{
    bring_in(2);
    bring_in(3);
    cr_assert_eq(set_role(2, 3, ROLE(OFFICER)), REASON(FORBIDDEN));
    cr_assert_eq(set_role(1, 2, ROLE(NONE)), REASON(INVALID));
    cr_assert_eq(set_role(1, 2, (Mmorts__Social__GroupRole)7), REASON(INVALID));
    cr_assert_eq(set_role(1, 1, ROLE(MEMBER)), REASON(INVALID), "a group is never without leader");
    cr_assert_eq(set_role(1, 9, ROLE(OFFICER)), REASON(NOT_MEMBER));
    cr_assert_eq(set_role(1, 3, ROLE(LEADER)), REASON(OK));
    expect_change(0, EVENT(ROLE_SET), 3);
    expect_change(1, EVENT(ROLE_SET), 1);
    cr_expect_eq(role_of(3), ROLE(LEADER));
    cr_expect_eq(role_of(1), ROLE(OFFICER));
    cr_assert_eq(act(ACTION(DISBAND), 1, 0), REASON(FORBIDDEN));
    cr_assert_eq(act(ACTION(DISBAND), 3, 0), REASON(OK));
    expect_change(0, EVENT(DISBANDED), 3);
    cr_expect_eq(group.members.count, 0);
}

Test(social_group, a_leader_who_leaves_is_followed_by_an_officer_or_the_oldest)
{
    bring_in(2);
    bring_in(3);
    bring_in(4);
    cr_assert_eq(set_role(1, 3, ROLE(OFFICER)), REASON(OK));
    cr_assert_eq(act(ACTION(LEAVE), 1, 0), REASON(OK));
    expect_change(0, EVENT(LEFT), 1);
    expect_change(1, EVENT(ROLE_SET), 3);
    cr_expect_eq(role_of(3), ROLE(LEADER));
    cr_assert_eq(act(ACTION(LEAVE), 3, 0), REASON(OK));
    cr_expect_eq(role_of(2), ROLE(LEADER));
    cr_assert_eq(act(ACTION(LEAVE), 4, 0), REASON(OK));
    cr_expect_eq(changes.count, 1, "no new leader needed");
    cr_assert_eq(act(ACTION(LEAVE), 2, 0), REASON(OK));
    expect_change(0, EVENT(DISBANDED), 2);
    cr_assert_eq(act(ACTION(LEAVE), 2, 0), REASON(NOT_MEMBER));
}

Test(social_group, policy)
{
    bring_in(2);
    struct social_group_action action = {
        .action = ACTION(SET_POLICY), .actor = player(2), .policy = POLICY(OPEN), .now_ms = 1};
    cr_assert_eq(social_group_act(&group, &limits, &action, &changes), REASON(FORBIDDEN));
    action.actor = player(1);
    cr_assert_eq(social_group_act(&group, &limits, &action, &changes), REASON(OK));
    expect_change(0, EVENT(POLICY_SET), 1);
    action.policy = (Mmorts__Social__GroupPolicy)3;
    cr_assert_eq(social_group_act(&group, &limits, &action, &changes), REASON(INVALID));
    cr_expect_eq(group.policy, POLICY(OPEN));
    cr_assert_eq(act((Mmorts__Social__GroupAction)0, 1, 0), REASON(INVALID));
    cr_assert_eq(act((Mmorts__Social__GroupAction)99, 1, 0), REASON(INVALID));
}

Test(social_group, names)
{
    struct social_group named;
    social_group_init(&named);
    cr_expect_eq(social_group_name(&named, "alliance", "  The Lot ", "LOT"), REASON(OK));
    cr_expect_str_eq(named.name, "The Lot");
    cr_expect_str_eq(named.tag, "LOT");
    cr_expect_eq(social_group_name(&named, "clan", "abc", ""), REASON(OK));
    cr_expect_str_eq(named.tag, "");
    cr_expect_eq(social_group_name(&named, "clan", "\xc3\xa4\xc3\xb6\xc3\xbc", ""), REASON(OK));
    static const char *const bad_names[] = {
        "", "ab", "  ab  ", "a\nb c", "\xff\xfe\xfd", "123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++)
        cr_expect_eq(social_group_name(&named, "clan", bad_names[i], ""), REASON(INVALID_NAME),
                     "%zu", i);
    cr_expect_eq(social_group_name(&named, "clan", "fine", "x"), REASON(INVALID_NAME));
    cr_expect_eq(social_group_name(&named, "clan", "fine", "xxxxxx"), REASON(INVALID_NAME));
    static const char *const bad_kinds[] = {"", "Clan", "clan 1", "seventeen_letters"};
    for (size_t i = 0; i < sizeof bad_kinds / sizeof *bad_kinds; i++)
        cr_expect_eq(social_group_name(&named, bad_kinds[i], "fine", ""), REASON(INVALID), "%zu",
                     i);
    social_group_free(&named);
}

// Whatever is asked for: exactly one leader while there is a member, nobody twice, never more than
// the limits, nothing changed by a refusal, and the changes tell what became of the members.
Test(social_group, random_actions_keep_what_holds, .timeout = 300)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 4);
    for (int i = 0; i < 50000; i++) {
        if (group.members.count == 0) {
            social_group_free(&group);
            set_up();
        }
        bool was_member[10];
        size_t members = group.members.count;
        for (uint64_t id = 0; id < 10; id++)
            was_member[id] = social_group_member_find(&group, id) != NULL;
        struct social_group_action action = {
            .action = (Mmorts__Social__GroupAction)mm_rng_below(&rng, 11),
            .actor = player(1 + mm_rng_below(&rng, 9)),
            .target = player(1 + mm_rng_below(&rng, 9)),
            .role = (Mmorts__Social__GroupRole)mm_rng_below(&rng, 5),
            .policy = (Mmorts__Social__GroupPolicy)mm_rng_below(&rng, 4),
            .member_of = mm_rng_below(&rng, 8) == 0 ? 5 : 0,
            .now_ms = now_ms += (int64_t)mm_rng_below(&rng, 200),
        };
        if (action.action == ACTION(DISBAND) && mm_rng_below(&rng, 20) != 0)
            continue;
        Mmorts__Social__GroupReason reason = social_group_act(&group, &limits, &action, &changes);
        cr_assert(reason == REASON(OK) || (changes.count == 0 && group.members.count == members));
        for (size_t c = 0; c < changes.count; c++) {
            Mmorts__Social__GroupEventKind kind = changes.items[c].kind;
            uint64_t id = changes.items[c].player.id;
            if (kind == EVENT(JOINED))
                was_member[id] = true;
            else if (kind == EVENT(LEFT) || kind == EVENT(KICKED))
                was_member[id] = false;
            else if (kind == EVENT(DISBANDED))
                memset(was_member, 0, sizeof was_member);
        }
        size_t leaders = 0;
        for (size_t m = 0; m < group.members.count; m++) {
            leaders += group.members.items[m].role == ROLE(LEADER);
            cr_assert_eq(social_group_member_find(&group, group.members.items[m].player.id),
                         &group.members.items[m]);
            cr_assert_null(social_group_pending_find(&group, group.members.items[m].player.id));
        }
        cr_assert_eq(leaders, group.members.count > 0);
        for (uint64_t id = 1; id < 10; id++)
            cr_assert_eq(was_member[id], social_group_member_find(&group, id) != NULL);
        cr_assert(group.members.count <= 4 && group.pending.count <= 2);
    }
}
