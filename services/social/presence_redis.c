#include "services/social/presence.h"

#include <stdio.h>

#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"

void social_presence_keys(struct social_args *args, const struct social_app *app)
{
    static const char *const names[] = {"leases", "conns", "count", "members", "left", "since",
                                        "claims", "claim", "beats", "said",    "came"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        social_args_key(args, app, names[i]);
}

void social_presence_channel(struct social_args *args, const struct social_app *app,
                             char channel[SOCIAL_KEY_BYTES])
{
    snprintf(channel, SOCIAL_KEY_BYTES, "social.events.%s", app->session);
    social_args_str(args, channel);
}

#define LUA_DROP                                                                                   \
    "local function drop(key, channel)\n"                                                          \
    "  local player = string.match(key, '^(%d+):')\n"                                              \
    "  redis.call('ZREM', KEYS[1], key)\n"                                                         \
    "  redis.call('HDEL', KEYS[2], key)\n"                                                         \
    "  if redis.call('HINCRBY', KEYS[3], player, -1) > 0 then return 0 end\n"                      \
    "  local event = redis.call('HGET', KEYS[5], player)\n"                                        \
    "  for k = 3, 7 do redis.call('HDEL', KEYS[k], player) end\n"                                  \
    "  if event then redis.call('PUBLISH', channel, event) end\n"                                  \
    "  return 1\n"                                                                                 \
    "end\n"

// Whether an instance has said nothing later of the player: calls overtake one another. Keeps what
// it says if `keep`.
#define LUA_NEWEST                                                                                 \
    "local function newest(key, said, keep)\n"                                                     \
    "  local last = redis.call('ZSCORE', KEYS[10], key)\n"                                         \
    "  if said == '0' then return true end\n"                                                      \
    "  if last and tonumber(last) > tonumber(said) then return false end\n"                        \
    "  if keep then redis.call('ZADD', KEYS[10], said, key) end\n"                                 \
    "  return true\n"                                                                              \
    "end\n"

// ARGV: channel, expiry, now, then groups of player, instance, connection, member, joined, left,
// claim, and when it was said. Connection "" keeps the one known.
#define LUA_ADD                                                                                    \
    "local function add(i)\n"                                                                      \
    "  local player, key, came = ARGV[i], ARGV[i] .. ':' .. ARGV[i + 1], 0\n"                      \
    "  if redis.call('ZADD', KEYS[1], ARGV[2], key) == 1 and\n"                                    \
    "     redis.call('HINCRBY', KEYS[3], player, 1) == 1 then\n"                                   \
    "    came = 1\n"                                                                               \
    "    redis.call('HSET', KEYS[6], player, ARGV[3])\n"                                           \
    "    redis.call('PUBLISH', ARGV[1], ARGV[i + 4])\n"                                            \
    "  end\n"                                                                                      \
    "  if ARGV[i + 2] ~= '' then redis.call('HSET', KEYS[2], key, ARGV[i + 2]) end\n"              \
    "  redis.call('HSET', KEYS[4], player, ARGV[i + 3])\n"                                         \
    "  redis.call('HSET', KEYS[5], player, ARGV[i + 5])\n"                                         \
    "  return came\n"                                                                              \
    "end\n"

// Returns {came online, online, players that were claimed later than their claim says ...}.
struct mm_redis_script social_presence_online = {
    .source = LUA_ADD LUA_NEWEST
    "local out, said = {0, 0}, ARGV[#ARGV]\n"
    "for i = 4, #ARGV - 1, 7 do\n"
    "  if newest(ARGV[i] .. ':' .. ARGV[i + 1], said, ARGV[i + 2] ~= '') then\n"
    "    local last = redis.call('HGET', KEYS[7], ARGV[i])\n"
    "    if ARGV[i + 6] ~= '0' and last and\n"
    "       tonumber(last) > tonumber(ARGV[i + 6]) then\n"
    "      out[#out + 1] = ARGV[i]\n"
    "    else\n"
    "      out[1] = out[1] + add(i)\n"
    "    end\n"
    "  end\n"
    "end\n"
    "out[2] = redis.call('HLEN', KEYS[3])\n"
    "return out\n",
};

// Finds who else holds the player of the one group: those of instances that have fallen silent go
// into `silent`, and `wait` becomes the time until the others may have. An instance that never
// beats holds the player by its lease, which is longest right after it was renewed.
#define LUA_HOLDERS                                                                                \
    "local player, own = ARGV[4], ARGV[4] .. ':' .. ARGV[5]\n"                                     \
    "local function holders(silent)\n"                                                             \
    "  local now, wait = tonumber(ARGV[3]), 0\n"                                                   \
    "  local others = tonumber(redis.call('HGET', KEYS[3], player) or '0')\n"                      \
    "  if redis.call('ZSCORE', KEYS[1], own) then others = others - 1 end\n"                       \
    "  local beats = others > 0 and redis.call('ZRANGE', KEYS[9], 0, -1, 'WITHSCORES') or {}\n"    \
    "  for i = 1, #beats, 2 do\n"                                                                  \
    "    local key = player .. ':' .. beats[i]\n"                                                  \
    "    local lease = key ~= own and redis.call('ZSCORE', KEYS[1], key)\n"                        \
    "    if lease then\n"                                                                          \
    "      others = others - 1\n"                                                                  \
    "      local left = math.min(tonumber(lease), tonumber(beats[i + 1])) - now\n"                 \
    "      if left > 0 then wait = math.max(wait, left)\n"                                         \
    "      else silent[#silent + 1] = key end\n"                                                   \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "  if others > 0 then wait = math.max(wait, tonumber(ARGV[2]) - now) end\n"                    \
    "  return wait\n"                                                                              \
    "end\n"

// Redis's clock, in us: the one that all instances of everything share.
#define LUA_NOW                                                                                    \
    "local function now_us()\n"                                                                    \
    "  local time = redis.call('TIME')\n"                                                          \
    "  return tonumber(time[1]) * 1000000 + tonumber(time[2])\n"                                   \
    "end\n"

// A claim for the newest that waited while one of who came later was made, as when its connection
// had ended before it was heard. When they came is known by Redis's clock, but not more exactly
// than calls are answered, and if another Redis takes over it may be another clock: of claims that
// are more than this many us apart, the one that is made last counts.
#define LUA_OVERTAKEN                                                                              \
    LUA_NOW                                                                                        \
    "local here_us = tonumber(ARGV[16])\n"                                                         \
    "local function overtaken()\n"                                                                 \
    "  local now, last = now_us(), redis.call('ZSCORE', KEYS[11], ARGV[4])\n"                      \
    "  if here_us == 0 or here_us > now then here_us = now end\n"                                  \
    "  local by = last and tonumber(last) - here_us or 0\n"                                        \
    "  return ARGV[11] == 'newest' and ARGV[16] ~= '0' and by > 0 and by < 5000000 and\n"          \
    "         redis.call('HEXISTS', KEYS[7], ARGV[4]) == 1\n"                                      \
    "end\n"

// One group, then "newest" or "only", the Claimed event to publish, of which the last 8 bytes are
// the claim's number, until when the instance counts as alive, or 0, and the Wanted event to
// publish if the claim is refused, when it was said, and when the player came. Returns {came
// online, online, claim, refused, retry after, overtaken}. Numbers follow the clock, so that they
// grow even if Redis has lost everything. Who is dropped makes room after the new one is in: the
// player does not leave and come back.
struct mm_redis_script social_presence_claim = {
    .source = LUA_ADD LUA_NEWEST LUA_DROP LUA_HOLDERS LUA_OVERTAKEN
    "local silent = {}\n"
    "if not newest(ARGV[4] .. ':' .. ARGV[5], ARGV[15], true) then\n"
    "  return {0, redis.call('HLEN', KEYS[3]), 0, 0, 0, 0}\n"
    "end\n"
    "if overtaken() then return {0, redis.call('HLEN', KEYS[3]), 0, 0, 0, 1} end\n"
    "if ARGV[11] == 'only' then\n"
    "  local wait = holders(silent)\n"
    "  if wait > 0 then\n"
    "    redis.call('PUBLISH', ARGV[1], ARGV[14])\n"
    "    return {0, redis.call('HLEN', KEYS[3]), 0, 1, wait, 0}\n"
    "  end\n"
    "end\n"
    "if ARGV[13] ~= '0' then redis.call('ZADD', KEYS[9], ARGV[13], ARGV[5]) end\n"
    "local came = add(4)\n"
    "local others = tonumber(redis.call('HGET', KEYS[3], player)) > 1\n"
    "for _, key in ipairs(silent) do drop(key, ARGV[1]) end\n"
    "local last = tonumber(redis.call('GET', KEYS[8]) or '0')\n"
    "local claim = math.max(last + 1, tonumber(ARGV[3]))\n"
    "redis.call('SET', KEYS[8], claim)\n"
    "redis.call('HSET', KEYS[7], player, claim)\n"
    "redis.call('ZADD', KEYS[11], here_us, player)\n"
    "if others then\n"
    "  redis.call('PUBLISH', ARGV[1],\n"
    "             string.sub(ARGV[12], 1, -9) .. struct.pack('<I8', claim))\n"
    "end\n"
    "return {came, redis.call('HLEN', KEYS[3]), claim, 0, 0, 0}\n",
};

// ARGV: channel, "player:instance", connection, when it was said. Returns 1 if the player went
// offline.
struct mm_redis_script social_presence_offline = {
    .source =
        LUA_DROP LUA_NEWEST "if not newest(ARGV[2], ARGV[4], true) then return 0 end\n"
                            "local held = redis.call('HGET', KEYS[2], ARGV[2])\n"
                            "if held and held ~= ARGV[3] then return 0 end\n"
                            "if not redis.call('ZSCORE', KEYS[1], ARGV[2]) then return 0 end\n"
                            "return drop(ARGV[2], ARGV[1])\n",
};

// ARGV: instance, until when it counts as alive. Returns {0, online, Redis's clock}.
struct mm_redis_script social_presence_beat = {
    .source = LUA_NOW "redis.call('ZADD', KEYS[9], ARGV[2], ARGV[1])\n"
                      "return {0, redis.call('HLEN', KEYS[3]), now_us()}\n",
};

// ARGV: channel, now, how many, lease, what was said before then is forgotten (us), and for how
// long it is known who came when (us). Returns how many players went offline. An instance that was
// not heard of for a whole lease holds nobody any more.
struct mm_redis_script social_presence_sweep = {
    .source =
        LUA_NOW LUA_DROP "local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2],\n"
                         "                         'LIMIT', 0, ARGV[3])\n"
                         "local gone = 0\n"
                         "for _, key in ipairs(ended) do gone = gone + drop(key, ARGV[1]) end\n"
                         "redis.call('ZREMRANGEBYSCORE', KEYS[9], '-inf', ARGV[2] - ARGV[4])\n"
                         "redis.call('ZREMRANGEBYSCORE', KEYS[10], '-inf', ARGV[5])\n"
                         "redis.call('ZREMRANGEBYSCORE', KEYS[11], '-inf', now_us() - ARGV[6])\n"
                         "return gone\n",
};

// ARGV: how many. Returns {online, member, member, ...}.
struct mm_redis_script social_presence_list = {
    .source = "local out = {redis.call('HLEN', KEYS[3])}\n"
              "local members = redis.call('HVALS', KEYS[4])\n"
              "for i = 1, math.min(#members, tonumber(ARGV[1])) do out[i + 1] = members[i] end\n"
              "return out\n",
};

// --- calls ---------------------------------------------------------------------------------------

struct social_presence_call *social_presence_call_new(struct social_app *app,
                                                      struct mm_rpc_call *call)
{
    struct social_presence_call *self = mm_malloc(sizeof *self);
    MM_CHECK(self);
    *self = (struct social_presence_call){app, call};
    return self;
}

void social_presence_run(struct social_presence_call *self, struct mm_redis_script *script,
                         const struct social_args *args, mm_redis_reply_fn done)
{
    enum mm_err err = mm_redis_eval(self->app->redis, script, done, self, args->key_count,
                                    args->count, args->items, args->sizes);
    if (err == MM_OK)
        return;
    social_fail(self->app, self->call, err);
    mm_free(self);
}

int64_t social_presence_number(const redisReply *reply, size_t index)
{
    if (reply->type == REDIS_REPLY_INTEGER)
        return reply->integer;
    if (reply->type != REDIS_REPLY_ARRAY || index >= reply->elements)
        return 0;
    return reply->element[index]->integer;
}
