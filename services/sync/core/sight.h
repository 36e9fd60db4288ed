#ifndef SYNC_CORE_SIGHT_H
#define SYNC_CORE_SIGHT_H

#include "services/sync/core/core.h"

// Within the core: who sees what, and how vision's frames change it.

// The sighting of a slot by a view, or SYNC_NONE.
uint32_t sync_sighting_find(const struct sync_core *core, const struct sync_view *view,
                            uint32_t slot);
// Links them; false at a bound or out of memory. They must not be linked already. number: as
// clients know it, or SYNC_NONE: it gets one.
bool sync_sighting_add(struct sync_core *core, struct sync_view *view, uint32_t slot,
                       uint32_t number);
// Ends the link; the number is free.
void sync_sighting_remove(struct sync_core *core, uint32_t sighting);

// Brings a live view from the tick before to the mirror's tick by group `at` of the entry's frame.
void sync_sight_apply_live(struct sync_core *core, struct sync_view *view,
                           const struct sync_tick_entry *entry, size_t at);
// The same for a fresh one, of which the mirror may be ahead.
void sync_sight_apply_fresh(struct sync_core *core, struct sync_view *view,
                            const struct sync_tick_entry *entry);

// The id of the entity that held the slot in a tick the history reaches back to; 0 if unknown.
uint64_t sync_history_id(const struct sync_core *core, uint32_t slot, uint64_t tick);

// Makes a fresh view at the mirror's tick live; its delta becomes the difference from what clients
// know. False if vision and the mirror do not fit together: the answer is dropped.
bool sync_view_activate(struct sync_core *core, struct sync_view *view);

// Makes a live view stop being live, keeping what clients know; drops a fresh answer.
void sync_view_freeze(struct sync_core *core, struct sync_view *view);

// Forgets what vision said of a tick.
void sync_ring_drop_vision(struct sync_tick_entry *entry);
// The ring's entry of that tick, taken from an older one if need be.
struct sync_tick_entry *sync_ring_claim(struct sync_core *core, uint64_t tick);

#endif
