#ifndef WORLD_CORE_CUT_H
#define WORLD_CORE_CUT_H

// A still picture of a world that goes on: what world_save() writes, copied a little after every
// tick. What was copied is kept up with the ticks by the marks they leave (the rows they touched),
// so that in the end the picture is the state of one tick, the last one, and no tick had to wait
// for more than its share. The memory is kept for the next picture.
//
//   world_cut_begin(cut, world)
//   after every world_step() from here on: world_cut_follow(), until it is whole
//   world_cut_save(), on any thread
//
// Whoever adds an array to the state that is saved adds it here too; a picture that lacks something
// does not have the state's hash, and is refused by world_cut_save().

#include "services/world/core/world.h"

struct world_cut;

// NULL: out of memory.
struct world_cut *world_cut_new(void);
void world_cut_free(struct world_cut *cut); // NULL is allowed

void world_cut_begin(struct world_cut *cut, const struct world *world);

// Takes up what the last tick changed in what is copied, then copies about `bytes` further. It may
// be called several times between two ticks, and must be called once between any two. *whole: the
// picture is that of the world's present tick; nothing more must be followed. RESOURCE_EXHAUSTED:
// out of memory; the picture must be begun anew.
enum mm_err MM_MUST_USE world_cut_follow(struct world_cut *cut, const struct world *world,
                                         size_t bytes, bool *whole);

// Of a whole picture.
uint64_t world_cut_tick(const struct world_cut *cut);
uint64_t world_cut_state_hash(const struct world_cut *cut);

// Writes a whole picture as world_save() would have written the world, after looking whether it is
// the state it is to be: DATA_LOSS if its rows do not have its hash (a bug, or bad memory).
// RESOURCE_EXHAUSTED: out of memory, or larger than the buffer may be.
enum mm_err MM_MUST_USE world_cut_save(struct world_cut *cut, struct mm_buf *out);

#endif
