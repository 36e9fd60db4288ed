#ifndef TESTS_SUPPORT_LOAD_VIEW_INTERNAL_H
#define TESTS_SUPPORT_LOAD_VIEW_INTERNAL_H

#include "tests/support/load_view.h"

// What both encodings bring: an entity that appeared or changed, the end of an update.

struct load_entity {
    uint64_t id;
    bool placed, own, has_target;
    int32_t q, r, target_q, target_r;
};

void load_view_entity(struct load_view *view, const struct load_entity *entity, bool appeared,
                      struct load_message *message);
void load_view_take_away(struct load_view *view, uint64_t id);
void load_view_end_update(struct load_view *view, struct load_message *message);
void load_view_forget(struct load_view *view);
// The difference follows.
bool load_view_resumed(struct load_view *view);

// Notes the first fault; always false.
__attribute__((format(printf, 2, 3))) bool load_view_fault(struct load_view *view,
                                                           const char *format, ...);

#endif
