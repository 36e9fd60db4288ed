#ifndef WORLD_CORE_FRAME_H
#define WORLD_CORE_FRAME_H

#include "services/world/core/state.h"

// What the files have in common that make a frame: frame.c the whole of it, what came, moved and
// happened; frame_attributes.c a column for each attribute; frame_map.c catalogue and chunks.

// Frames are gathered in two passes over the marks: count, then fill arrays of just that size.
// Everything is in slot order.
struct world_frame_maker {
    const struct world *world;
    struct mm_arena *arena;
    bool full; // everything instead of what is marked
    bool failed;
};

// Memory of zeros for `count` things; NULL, and the frame has failed, when out of memory.
void *world_frame_take(struct world_frame_maker *maker, size_t count, size_t bytes_each);

#define WORLD_FRAME_TAKE(maker, array, count)                                                      \
    ((array) = world_frame_take((maker), (count), sizeof *(array)))

// The next slot of which a component belongs into the frame: with `maker->full` everybody who has
// it, else those marked who did not come in this very tick unless `spawned_too`.
size_t world_frame_next(const struct world_frame_maker *maker, enum world_component_id id,
                        size_t from, bool spawned_too);

#define WORLD_FRAME_EACH(maker, id, slot, spawned_too)                                             \
    for (size_t slot = world_frame_next((maker), (id), 1, (spawned_too));                          \
         slot < (maker)->world->ecs.slot_end;                                                      \
         slot = world_frame_next((maker), (id), slot + 1, (spawned_too)))

// NULL, and the frame has failed, when out of memory.
Mmorts__Frame__Catalogue *world_frame_catalogue(struct world_frame_maker *maker);
// chunks[i] are chunk indexes.
Mmorts__Frame__ChunkColumns *world_frame_chunks(struct world_frame_maker *maker,
                                                const uint32_t *chunks, size_t count);
void world_frame_attributes(struct world_frame_maker *maker, Mmorts__Frame__TickFrame *frame);

#endif
