#include "libcommon/base/hash.h"

#include <string.h>

static const uint64_t prime1 = UINT64_C(0x9e3779b185ebca87);
static const uint64_t prime2 = UINT64_C(0xc2b2ae3d27d4eb4f);
static const uint64_t prime3 = UINT64_C(0x165667b19e3779f9);
static const uint64_t prime4 = UINT64_C(0x85ebca77c2b2ae63);
static const uint64_t prime5 = UINT64_C(0x27d4eb2f165667c5);

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static uint64_t round_lane(uint64_t lane, uint64_t input)
{
    return rotate_left(lane + input * prime2, 31) * prime1;
}

static void init_lanes(uint64_t lane[4], uint64_t seed)
{
    lane[0] = seed + prime1 + prime2;
    lane[1] = seed + prime2;
    lane[2] = seed;
    lane[3] = seed - prime1;
}

static void stripe(uint64_t lane[4], const uint8_t *at)
{
    for (int i = 0; i < 4; i++)
        lane[i] = round_lane(lane[i], load64(at + 8 * i));
}

// The part of the algorithm behind the 32-byte stripes.
static uint64_t finish(const uint64_t lane[4], uint64_t seed, uint64_t total, const uint8_t *tail,
                       size_t tail_bytes)
{
    uint64_t hash;
    if (total >= 32) {
        hash = rotate_left(lane[0], 1) + rotate_left(lane[1], 7) + rotate_left(lane[2], 12) +
               rotate_left(lane[3], 18);
        for (int i = 0; i < 4; i++)
            hash = (hash ^ round_lane(0, lane[i])) * prime1 + prime4;
    } else {
        hash = seed + prime5;
    }
    hash += total;
    for (; tail_bytes >= 8; tail += 8, tail_bytes -= 8)
        hash = rotate_left(hash ^ round_lane(0, load64(tail)), 27) * prime1 + prime4;
    if (tail_bytes >= 4) {
        hash = rotate_left(hash ^ load32(tail) * prime1, 23) * prime2 + prime3;
        tail += 4;
        tail_bytes -= 4;
    }
    for (; tail_bytes > 0; tail++, tail_bytes--)
        hash = rotate_left(hash ^ *tail * prime5, 11) * prime1;
    hash = (hash ^ (hash >> 33)) * prime2;
    hash = (hash ^ (hash >> 29)) * prime3;
    return hash ^ (hash >> 32);
}

uint64_t mm_hash64(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *at = data;
    size_t left = len;
    uint64_t lane[4];
    init_lanes(lane, seed);
    for (; left >= 32; at += 32, left -= 32)
        stripe(lane, at);
    return finish(lane, seed, len, at, left);
}

void mm_hash_init(struct mm_hash *hash, uint64_t seed)
{
    memset(hash, 0, sizeof *hash);
    hash->seed = seed;
    init_lanes(hash->lane, seed);
}

void mm_hash_update(struct mm_hash *hash, const void *data, size_t len)
{
    const uint8_t *at = data;
    if (len == 0)
        return;
    hash->total_bytes += len;
    if (hash->tail_bytes > 0) {
        size_t room = sizeof hash->tail - hash->tail_bytes;
        size_t take = len < room ? len : room;
        memcpy(hash->tail + hash->tail_bytes, at, take);
        hash->tail_bytes += (uint32_t)take;
        at += take;
        len -= take;
        if (hash->tail_bytes < sizeof hash->tail)
            return;
        stripe(hash->lane, hash->tail);
        hash->tail_bytes = 0;
    }
    for (; len >= 32; at += 32, len -= 32)
        stripe(hash->lane, at);
    if (len > 0)
        memcpy(hash->tail, at, len);
    hash->tail_bytes = (uint32_t)len;
}

void mm_hash_u32(struct mm_hash *hash, uint32_t value)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    mm_hash_update(hash, bytes, sizeof bytes);
}

void mm_hash_u64(struct mm_hash *hash, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    mm_hash_update(hash, bytes, sizeof bytes);
}

uint64_t mm_hash_digest(const struct mm_hash *hash)
{
    return finish(hash->lane, hash->seed, hash->total_bytes, hash->tail, hash->tail_bytes);
}
