#ifndef VISION_CORE_TURN_H
#define VISION_CORE_TURN_H

#include "services/vision/core/state.h"

// A tick's changes, empire by empire: in what order (order.c), and each one's turn (turn.c).

// Makes the moves, counts the discs of the entities that changed as they are to be now, and settles
// the views of empires that borrow nothing.
void vision_seats_update(struct vision *vision, const Mmorts__Frame__PositionColumns *moved);

// Fills vision->order with what changed and what moves. Makes the moves of what changed
// already.
void vision_order_changes(struct vision *vision, const Mmorts__Frame__PositionColumns *moved);
// Sorts numbers below `limit`.
void vision_sort_numbers(uint32_t *numbers, uint32_t *scratch, size_t count, uint32_t limit);

#endif
