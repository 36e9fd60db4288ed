#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/clock.h"
#include "libcommon/base/log.h"
#include "libcommon/io/pb.h"
#include "services/social/presence.h"

// A member with its two events, packed once.
struct packed_member {
    uint8_t *member, *joined, *left;
    size_t member_len, joined_len, left_len;
};

static bool pack_event(Mmorts__Social__Member *member, Mmorts__Social__Event__EventCase which,
                       uint8_t **out, size_t *len_out)
{
    Mmorts__Social__Event event = MMORTS__SOCIAL__EVENT__INIT;
    event.event_case = which;
    event.joined = member; // joined and left share the union
    return mm_pb_pack(&event.base, MM_RPC_REQUEST_BYTES_MAX, out, len_out) == MM_OK;
}

static bool pack_member(const Mmorts__Social__Member *from, struct packed_member *out)
{
    Mmorts__Social__Member *member = (Mmorts__Social__Member *)(uintptr_t)from;
    *out = (struct packed_member){0};
    return mm_pb_pack(&from->base, MM_RPC_REQUEST_BYTES_MAX, &out->member, &out->member_len) ==
               MM_OK &&
           pack_event(member, MMORTS__SOCIAL__EVENT__EVENT_JOINED, &out->joined,
                      &out->joined_len) &&
           pack_event(member, MMORTS__SOCIAL__EVENT__EVENT_LEFT, &out->left, &out->left_len);
}

static void packed_member_free(struct packed_member *packed)
{
    mm_free(packed->member);
    mm_free(packed->joined);
    mm_free(packed->left);
}

bool social_member_is_sound(const Mmorts__Social__Member *member)
{
    return member && member->player_id != 0 && member->username[0] != '\0' &&
           strlen(member->username) <= SOCIAL_USERNAME_BYTES_MAX &&
           strlen(member->display_id) <= SOCIAL_USERNAME_BYTES_MAX;
}

static bool instance_is_sound(const char *instance)
{
    return *instance != '\0' && strlen(instance) <= SOCIAL_INSTANCE_BYTES_MAX;
}

// --- online and offline ------------------------------------------------------------------------

static void online_done(enum mm_err err, const redisReply *reply, void *arg)
{
    struct social_presence_call *self = arg;
    if (err != MM_OK) {
        social_fail(self->app, self->call, err);
    } else {
        mm_counter_add(self->app->joined, (uint64_t)social_presence_number(reply, 0));
        Mmorts__Social__SetOnlineReply answer = MMORTS__SOCIAL__SET_ONLINE_REPLY__INIT;
        answer.online = (uint32_t)social_presence_number(reply, 1);
        answer.claim = (uint64_t)social_presence_number(reply, 2);
        answer.refused = social_presence_number(reply, 3) == 1;
        answer.retry_after_ms = (uint32_t)social_presence_number(reply, 4);
        answer.overtaken = social_presence_number(reply, 5) == 1;
        mm_rpc_reply(self->call, &answer.base);
    }
    mm_free(self);
}

static void add_online_group(struct social_args *args, const char *player, const char *instance,
                             const char *connection, const struct packed_member *packed,
                             const char *claim)
{
    social_args_str(args, player);
    social_args_str(args, instance);
    social_args_str(args, connection);
    social_args_bytes(args, packed->member, packed->member_len);
    social_args_bytes(args, packed->joined, packed->joined_len);
    social_args_bytes(args, packed->left, packed->left_len);
    social_args_str(args, claim);
}

// What other instances are told of a claim; the script fills in its number.
static void pack_claimed(const Mmorts__Social__SetOnlineRequest *input, uint8_t **out,
                         size_t *len_out)
{
    Mmorts__Social__Claimed claimed = MMORTS__SOCIAL__CLAIMED__INIT;
    claimed.player_id = input->member->player_id;
    claimed.instance = input->instance;
    claimed.claim = 1; // a zero would be left out
    Mmorts__Social__Event event = MMORTS__SOCIAL__EVENT__INIT;
    event.event_case = MMORTS__SOCIAL__EVENT__EVENT_CLAIMED;
    event.claimed = &claimed;
    MM_CHECK(mm_pb_pack(&event.base, MM_RPC_REQUEST_BYTES_MAX, out, len_out) == MM_OK);
}

// What those who hold the player are told of a claim that is refused.
static void pack_wanted(const Mmorts__Social__SetOnlineRequest *input, uint8_t **out,
                        size_t *len_out)
{
    Mmorts__Social__Wanted wanted = MMORTS__SOCIAL__WANTED__INIT;
    wanted.player_id = input->member->player_id;
    Mmorts__Social__Event event = MMORTS__SOCIAL__EVENT__INIT;
    event.event_case = MMORTS__SOCIAL__EVENT__EVENT_WANTED;
    event.wanted = &wanted;
    MM_CHECK(mm_pb_pack(&event.base, MM_RPC_REQUEST_BYTES_MAX, out, len_out) == MM_OK);
}

static void begin_online(struct social_args *args, const struct social_app *app,
                         char channel[SOCIAL_KEY_BYTES])
{
    int64_t now = mm_clock_wall_ms();
    social_args_init(args);
    social_presence_keys(args, app);
    social_presence_channel(args, app, channel);
    social_args_number(args, now + app->settings.lease_ms);
    social_args_number(args, now);
}

void social_set_online(struct social_app *app, struct mm_rpc_call *call,
                       const Mmorts__Social__SetOnlineRequest *input)
{
    if (!social_member_is_sound(input->member) || !instance_is_sound(input->instance) ||
        input->silent_ms > SOCIAL_SILENT_MS_MAX) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT,
                    "a member has a player_id and a username, an instance has a name and is silent "
                    "for at most %d ms",
                    SOCIAL_SILENT_MS_MAX);
        return;
    }
    struct packed_member packed;
    MM_CHECK(pack_member(input->member, &packed));
    struct social_args args;
    char channel[SOCIAL_KEY_BYTES], player[SOCIAL_NUMBER_BYTES], connection[SOCIAL_NUMBER_BYTES];
    snprintf(player, sizeof player, "%" PRIu64, input->member->player_id);
    snprintf(connection, sizeof connection, "%" PRIu64, input->connection);
    begin_online(&args, app, channel);
    add_online_group(&args, player, input->instance, connection, &packed, "0");
    bool claims = input->claim != MMORTS__SOCIAL__CLAIM__CLAIM_NONE;
    uint8_t *claimed = NULL, *wanted = NULL;
    size_t claimed_len = 0, wanted_len = 0;
    if (claims) {
        pack_claimed(input, &claimed, &claimed_len);
        pack_wanted(input, &wanted, &wanted_len);
        social_args_str(&args,
                        input->claim == MMORTS__SOCIAL__CLAIM__CLAIM_ONLY ? "only" : "newest");
        social_args_bytes(&args, claimed, claimed_len);
        social_args_number(&args, input->silent_ms ? mm_clock_wall_ms() + input->silent_ms : 0);
        social_args_bytes(&args, wanted, wanted_len);
    }
    social_args_number(&args, (int64_t)input->said_us);
    if (claims)
        social_args_number(&args, (int64_t)input->came_us);
    social_presence_run(social_presence_call_new(app, call),
                        claims ? &social_presence_claim : &social_presence_online, &args,
                        online_done);
    packed_member_free(&packed);
    mm_free(claimed);
    mm_free(wanted);
    social_players_see(app, &(Mmorts__Social__Member *){input->member}, 1);
}

static void offline_done(enum mm_err err, const redisReply *reply, void *arg)
{
    struct social_presence_call *self = arg;
    if (err != MM_OK) {
        social_fail(self->app, self->call, err);
    } else {
        mm_counter_add(self->app->left, (uint64_t)social_presence_number(reply, 0));
        Mmorts__Social__SetOfflineReply answer = MMORTS__SOCIAL__SET_OFFLINE_REPLY__INIT;
        mm_rpc_reply(self->call, &answer.base);
    }
    mm_free(self);
}

void social_set_offline(struct social_app *app, struct mm_rpc_call *call,
                        const Mmorts__Social__SetOfflineRequest *input)
{
    if (input->player_id == 0 || !instance_is_sound(input->instance)) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "player_id and instance are needed");
        return;
    }
    struct social_args args;
    char channel[SOCIAL_KEY_BYTES], connection[SOCIAL_NUMBER_BYTES];
    char key[SOCIAL_NUMBER_BYTES + SOCIAL_INSTANCE_BYTES_MAX + 2];
    snprintf(key, sizeof key, "%" PRIu64 ":%s", input->player_id, input->instance);
    snprintf(connection, sizeof connection, "%" PRIu64, input->connection);
    social_args_init(&args);
    social_presence_keys(&args, app);
    social_presence_channel(&args, app, channel);
    social_args_str(&args, key);
    social_args_str(&args, connection);
    social_args_number(&args, (int64_t)input->said_us);
    social_presence_run(social_presence_call_new(app, call), &social_presence_offline, &args,
                        offline_done);
}

// --- heartbeat ---------------------------------------------------------------------------------

// A heartbeat of many members goes out as several scripts; the call is answered by the last.
struct heartbeat {
    struct social_app *app;
    struct mm_rpc_call *call;
    size_t scripts_left;
    uint32_t online;
    uint64_t now_us; // by Redis's clock
    enum mm_err err;
    size_t overtaken_count;
    uint64_t overtaken[]; // as many as there are members
};

static void heartbeat_script_done(struct heartbeat *self)
{
    if (--self->scripts_left > 0)
        return;
    if (self->err != MM_OK) {
        social_fail(self->app, self->call, self->err);
    } else {
        Mmorts__Social__HeartbeatReply answer = MMORTS__SOCIAL__HEARTBEAT_REPLY__INIT;
        answer.online = self->online;
        answer.lease_ms = (uint32_t)self->app->settings.lease_ms;
        answer.n_overtaken = self->overtaken_count;
        answer.overtaken = self->overtaken;
        answer.now_us = self->now_us;
        mm_rpc_reply(self->call, &answer.base);
    }
    mm_free(self);
}

static void heartbeat_reply(enum mm_err err, const redisReply *reply, void *arg)
{
    struct heartbeat *self = arg;
    if (err != MM_OK) {
        self->err = err;
    } else {
        mm_counter_add(self->app->joined, (uint64_t)social_presence_number(reply, 0));
        self->online = (uint32_t)social_presence_number(reply, 1);
        for (size_t i = 2; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
            if (reply->element[i]->type == REDIS_REPLY_STRING)
                self->overtaken[self->overtaken_count++] =
                    strtoull(reply->element[i]->str, NULL, 10);
    }
    heartbeat_script_done(self);
}

static void beat_reply(enum mm_err err, const redisReply *reply, void *arg)
{
    struct heartbeat *self = arg;
    if (err == MM_OK)
        self->now_us = (uint64_t)social_presence_number(reply, 2);
    heartbeat_reply(err, reply, arg);
}

static void heartbeat_run(struct heartbeat *self, struct mm_redis_script *script,
                          const struct social_args *args, mm_redis_reply_fn done)
{
    enum mm_err err = mm_redis_eval(self->app->redis, script, done, self, args->key_count,
                                    args->count, args->items, args->sizes);
    if (err != MM_OK) {
        self->err = err;
        heartbeat_script_done(self);
    }
}

enum { HEARTBEAT_GROUP = 64 }; // members per script: 64 * 7 arguments fit social_args

// The members from `at` on.
static void heartbeat_group(struct heartbeat *self, const Mmorts__Social__HeartbeatRequest *input,
                            size_t at)
{
    size_t left = input->n_members - at;
    size_t count = left < HEARTBEAT_GROUP ? left : HEARTBEAT_GROUP;
    struct social_args args;
    char channel[SOCIAL_KEY_BYTES];
    char players[HEARTBEAT_GROUP][SOCIAL_NUMBER_BYTES];
    char numbers[HEARTBEAT_GROUP][SOCIAL_NUMBER_BYTES];
    struct packed_member packed[HEARTBEAT_GROUP];
    begin_online(&args, self->app, channel);
    for (size_t i = 0; i < count; i++) {
        const Mmorts__Social__Member *member = input->members[at + i];
        MM_CHECK(pack_member(member, &packed[i]));
        snprintf(players[i], sizeof players[i], "%" PRIu64, member->player_id);
        snprintf(numbers[i], sizeof numbers[i], "%" PRIu64,
                 input->n_claims > 0 ? input->claims[at + i] : 0);
        add_online_group(&args, players[i], input->instance, "", &packed[i], numbers[i]);
    }
    social_args_number(&args, (int64_t)input->said_us);
    heartbeat_run(self, &social_presence_online, &args, heartbeat_reply);
    for (size_t i = 0; i < count; i++)
        packed_member_free(&packed[i]);
}

// The instance lives; by its leases if it does not say how often it will be heard of.
static void heartbeat_beat(struct heartbeat *self, const Mmorts__Social__HeartbeatRequest *input)
{
    struct social_args args;
    int64_t alive_ms = input->silent_ms != 0 ? input->silent_ms : self->app->settings.lease_ms;
    social_args_init(&args);
    social_presence_keys(&args, self->app);
    social_args_str(&args, input->instance);
    social_args_number(&args, mm_clock_wall_ms() + alive_ms);
    heartbeat_run(self, &social_presence_beat, &args, beat_reply);
}

void social_heartbeat(struct social_app *app, struct mm_rpc_call *call,
                      const Mmorts__Social__HeartbeatRequest *input)
{
    bool is_sound = instance_is_sound(input->instance) &&
                    input->silent_ms <= SOCIAL_SILENT_MS_MAX &&
                    input->n_members <= SOCIAL_HEARTBEAT_MEMBERS_MAX &&
                    (input->n_claims == 0 || input->n_claims == input->n_members);
    for (size_t i = 0; is_sound && i < input->n_members; i++)
        is_sound = social_member_is_sound(input->members[i]);
    if (!is_sound) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT,
                    "an instance, at most %d members with player_id and username, and a silent_ms "
                    "of at most %d are needed",
                    SOCIAL_HEARTBEAT_MEMBERS_MAX, SOCIAL_SILENT_MS_MAX);
        return;
    }
    struct heartbeat *self =
        mm_calloc(1, sizeof *self + input->n_members * sizeof self->overtaken[0]);
    MM_CHECK(self);
    size_t groups = (input->n_members + HEARTBEAT_GROUP - 1) / HEARTBEAT_GROUP;
    self->app = app;
    self->call = call;
    self->scripts_left = groups + 2; // the beat, and one more that keeps `self` alive
    heartbeat_beat(self, input);
    for (size_t at = 0; at < input->n_members; at += HEARTBEAT_GROUP)
        heartbeat_group(self, input, at);
    heartbeat_script_done(self);
    social_players_see(app, input->members, input->n_members);
}

// --- sweep -------------------------------------------------------------------------------------

static void sweep_done(enum mm_err err, const redisReply *reply, void *arg)
{
    struct social_app *app = arg;
    if (err == MM_OK && social_presence_number(reply, 0) > 0) {
        mm_counter_add(app->left, (uint64_t)social_presence_number(reply, 0));
        MM_LOG_INFO("leases ended", "players=%" PRId64, social_presence_number(reply, 0));
    }
}

void social_sweep(struct social_app *app)
{
    struct social_args args;
    char channel[SOCIAL_KEY_BYTES];
    social_args_init(&args);
    social_presence_keys(&args, app);
    social_presence_channel(&args, app, channel);
    social_args_number(&args, mm_clock_wall_ms());
    social_args_number(&args, SOCIAL_SWEEP_MAX);
    social_args_number(&args, app->settings.lease_ms);
    social_args_number(&args, (mm_clock_wall_ms() - SOCIAL_SAID_MS) * 1000);
    social_args_number(&args, (int64_t)SOCIAL_SAID_MS * 1000);
    // Without Redis there is nobody online to be swept; the next sweep finds what this one missed.
    enum mm_err err = mm_redis_eval(app->redis, &social_presence_sweep, sweep_done, app,
                                    args.key_count, args.count, args.items, args.sizes);
    if (err != MM_OK && mm_redis_is_up(app->redis))
        mm_counter_add(app->redis_errors, 1);
}
