#ifndef MM_BASE_RNG_H
#define MM_BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

// xoshiro256** seeded by splitmix64 (Blackman and Vigna, https://prng.di.unimi.it/). The same seed
// gives the same numbers on every machine. Not for secrets. Not thread-safe: one per owner.
// The state may be copied, saved and restored as it is.
struct mm_rng {
    uint64_t s[4];
};

void mm_rng_seed(struct mm_rng *rng, uint64_t seed);
uint64_t mm_rng_u64(struct mm_rng *rng);

// Uniform in [0, bound), without modulo bias (Lemire's method). bound must be > 0.
uint64_t mm_rng_below(struct mm_rng *rng, uint64_t bound);

// Uniform in [low, high], both included; low <= high.
int64_t mm_rng_between(struct mm_rng *rng, int64_t low, int64_t high);

// True with probability numerator/denominator; denominator > 0.
bool mm_rng_chance(struct mm_rng *rng, uint64_t numerator, uint64_t denominator);

// One step of splitmix64: advances *state and returns the next value.
uint64_t mm_splitmix64(uint64_t *state);

#endif
