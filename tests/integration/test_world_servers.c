// What servers change in the real process: once for a key, also when it is killed in between.

#include "tests/support/world_rig.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static enum mm_err set_health(struct world_rig *rig, char *key, uint64_t entity, int32_t health,
                              bool *repeated)
{
    Mmorts__World__EntityChange change = MMORTS__WORLD__ENTITY_CHANGE__INIT;
    Mmorts__World__EntityChange *changes[] = {&change};
    Mmorts__World__SetEntityRequest request = MMORTS__WORLD__SET_ENTITY_REQUEST__INIT;
    change.change_case = MMORTS__WORLD__ENTITY_CHANGE__CHANGE_HEALTH;
    change.health = health;
    request.session = "main";
    request.key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
    request.entity = entity;
    request.changes = changes;
    request.n_changes = 1;
    ProtobufCMessage *reply = NULL;
    enum mm_err err = rig_call(rig, "SetEntity", &request.base, RIG_CALL_MS, &reply);
    if (err == MM_OK)
        *repeated = ((const Mmorts__World__SetEntityReply *)(const void *)reply)->repeated_key;
    rig_free_reply(reply);
    return err;
}

static enum mm_err announce(struct world_rig *rig, char *key, char *text, bool *repeated)
{
    Mmorts__World__AnnounceRequest request = MMORTS__WORLD__ANNOUNCE_REQUEST__INIT;
    request.session = "main";
    request.key = (ProtobufCBinaryData){strlen(key), (uint8_t *)key};
    request.text = text;
    ProtobufCMessage *reply = NULL;
    enum mm_err err = rig_call(rig, "Announce", &request.base, RIG_CALL_MS, &reply);
    if (err == MM_OK)
        *repeated = ((const Mmorts__World__AnnounceReply *)(const void *)reply)->repeated_key;
    rig_free_reply(reply);
    return err;
}

static int32_t health_of(struct world_rig *rig, uint64_t entity)
{
    Mmorts__World__GetEntityRequest look = MMORTS__WORLD__GET_ENTITY_REQUEST__INIT;
    look.session = "main";
    look.entity = entity;
    ProtobufCMessage *reply = NULL;
    cr_assert_eq(rig_call(rig, "GetEntity", &look.base, RIG_CALL_MS, &reply), MM_OK);
    int32_t health = ((const Mmorts__World__GetEntityReply *)(const void *)reply)->health;
    rig_free_reply(reply);
    return health;
}

Test(world_servers, a_change_survives_kill_9_and_is_made_once, .timeout = 300)
{
    struct world_rig rig;
    rig_open(&rig, NULL, NULL);
    rig_start(&rig);
    Mmorts__World__JoinReply home;
    rig_join_seen(&rig, 9, &home);
    uint64_t units[16];
    bool repeated = true;
    cr_assert_eq(rig_units(&rig, 1, units, 16), 6);
    char first[] = "first", second[] = "second", text[] = "Maintenance at noon", empty[] = "";
    cr_assert_eq(set_health(&rig, first, units[0], 17, &repeated), MM_OK);
    cr_expect_not(repeated);
    cr_assert_eq(announce(&rig, second, text, &repeated), MM_OK);
    cr_expect_not(repeated);
    cr_expect_eq(set_health(&rig, second, units[0], 3, &repeated), MM_OK);
    cr_expect(repeated, "the key was used up, for whatever of the kind");
    cr_expect_eq(health_of(&rig, units[0]), 17);

    rig_kill(&rig);
    rig_start(&rig);
    rig_join_seen(&rig, 9, &home);
    cr_expect_eq(health_of(&rig, units[0]), 17);
    cr_assert_eq(set_health(&rig, first, units[0], 5, &repeated), MM_OK);
    cr_expect(repeated);
    cr_assert_eq(announce(&rig, second, text, &repeated), MM_OK);
    cr_expect(repeated);
    cr_expect_eq(health_of(&rig, units[0]), 17);

    char third[] = "third";
    cr_expect_eq(set_health(&rig, third, units[0], 0, &repeated), MM_INVALID_ARGUMENT);
    cr_expect_eq(set_health(&rig, third, 12345, 5, &repeated), MM_NOT_FOUND);
    cr_expect_eq(set_health(&rig, empty, units[0], 5, &repeated), MM_INVALID_ARGUMENT);
    cr_expect_eq(announce(&rig, third, empty, &repeated), MM_INVALID_ARGUMENT);
    // None of them has used the key up.
    cr_expect_eq(set_health(&rig, third, units[0], 21, &repeated), MM_OK);
    cr_expect_not(repeated);
    cr_expect_eq(health_of(&rig, units[0]), 21);
    rig_close(&rig);
}
