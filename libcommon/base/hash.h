#ifndef MM_BASE_HASH_H
#define MM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

// XXH64 (Y. Collet, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), an own
// implementation: the same on every machine, streaming, not for secrets. State hashes use it.

uint64_t mm_hash64(const void *data, size_t len, uint64_t seed);

struct mm_hash {
    uint64_t lane[4];
    uint64_t total_bytes;
    uint64_t seed;
    uint8_t tail[32];
    uint32_t tail_bytes;
};

void mm_hash_init(struct mm_hash *hash, uint64_t seed);
void mm_hash_update(struct mm_hash *hash, const void *data, size_t len);
// Integers are hashed by value (as little-endian bytes), whatever the machine.
void mm_hash_u32(struct mm_hash *hash, uint32_t value);
void mm_hash_u64(struct mm_hash *hash, uint64_t value);
// May be called in between; does not change the state.
uint64_t mm_hash_digest(const struct mm_hash *hash);

// A bijective mix of 64 bits (the finaliser of splitmix64).
static inline uint64_t mm_mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif
