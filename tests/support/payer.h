#ifndef TESTS_SUPPORT_PAYER_H
#define TESTS_SUPPORT_PAYER_H

#include "libcommon/base/rng.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mm_loop;

// A production that does nothing but pay for buildings, as proto/production.proto says of Pay:
// it decides each bill once and says the same whenever it is asked again. It outlives the world
// that asks. Some bills it refuses, and some of its answers get lost. It ends the test if world
// asks about the same bill otherwise, or about one of which it had said that it never would.
struct payer;

// Serves at the url, on the loop.
struct payer *payer_open(struct mm_loop *loop, const char *url, uint64_t seed);
void payer_close(struct payer *payer);

// What an empire has paid of an item, and how many bills were paid and refused in all; how many
// answers were lost.
uint64_t payer_paid(const struct payer *payer, uint32_t empire, const char *item);
size_t payer_bills(const struct payer *payer, bool paid);
size_t payer_lost(const struct payer *payer);

#endif
