#ifndef VISION_CORE_VIEW_H
#define VISION_CORE_VIEW_H

#include "services/vision/core/state.h"

// Views and their active parts: made and found (view.c), and read.

struct vision_view *vision_view_find(const struct vision *vision, uint32_t empire, uint32_t chunk);
struct vision_view *vision_view_get(struct vision *vision, uint32_t empire, uint32_t chunk);
struct vision_active *vision_view_activate(struct vision *vision, struct vision_view *view);
void vision_active_unlink(struct vision_active *active); // from its neighbours
void vision_active_mark_dirty(struct vision *vision, struct vision_active *active);
void vision_view_mark_unsaved(struct vision *vision, struct vision_view *view);

// --- what is in them -------------------------------------------------------------------------

static inline size_t vision_plane_bytes(const struct vision *vision)
{
    return sizeof(struct vision_plane) +
           vision->words * sizeof(((struct vision_plane *)NULL)->digits[0]);
}

static inline size_t vision_active_bytes(const struct vision *vision)
{
    return sizeof(struct vision_active) + BITS_COUNT * vision->words * sizeof(uint64_t) +
           vision_plane_bytes(vision);
}

static inline size_t vision_seldom_bytes(const struct vision *vision)
{
    return sizeof(struct vision_seldom) + SELDOM_COUNT * vision->words * sizeof(uint64_t);
}

static inline uint64_t *vision_bits(const struct vision *vision, struct vision_active *active,
                                    enum vision_bits which)
{
    return active->bits + (size_t)which * vision->words;
}

static inline uint64_t *vision_seldom_bits(const struct vision *vision,
                                           struct vision_seldom *seldom,
                                           enum vision_seldom_bits which)
{
    return seldom->bits + (size_t)which * vision->words;
}

static inline struct vision_plane *vision_own_plane(const struct vision *vision,
                                                    struct vision_active *active)
{
    return (struct vision_plane *)(active->bits + (size_t)BITS_COUNT * vision->words);
}

// NULL: all zero.
static inline struct vision_plane *vision_active_plane(const struct vision *vision,
                                                       struct vision_active *active,
                                                       enum vision_sense sense,
                                                       enum vision_source source)
{
    if (sense == SENSE_SIGHT && source == SOURCE_OWN)
        return vision_own_plane(vision, active);
    return active->seldom ? active->seldom->planes[sense][source] : NULL;
}

// Where a plane says that something is seen; NULL plane: nowhere.
static inline uint64_t vision_plane_word(const struct vision_plane *plane, uint32_t word)
{
    if (!plane)
        return 0;
    uint64_t occupied = 0;
    for (unsigned bit = 0; bit < VISION_COUNT_BITS; bit++)
        occupied |= plane->digits[word][bit];
    return occupied;
}

static inline bool vision_active_bit(const struct vision *vision,
                                     const struct vision_active *active, enum vision_bits which,
                                     uint32_t cell)
{
    return mm_bitset_get(active->bits + (size_t)which * vision->words, cell);
}

static inline bool vision_active_detects(const struct vision *vision,
                                         const struct vision_active *active, uint32_t cell)
{
    return active->seldom &&
           mm_bitset_get(active->seldom->bits + (size_t)SELDOM_DETECTED * vision->words, cell);
}

static inline bool vision_view_sees(const struct vision *vision, const struct vision_view *view,
                                    uint32_t cell)
{
    return view && view->active && vision_active_bit(vision, view->active, BITS_VISIBLE, cell);
}

// Whether a (hex) watcher has the entity in sight by seeing its place.
static inline bool vision_active_sees(const struct vision *vision,
                                      const struct vision_active *active,
                                      const struct vision_entity *entity)
{
    return vision_active_bit(vision, active, BITS_VISIBLE, entity->cell) &&
           (!entity->stealthed || VISION_FAULT(STEALTH_IGNORED) ||
            vision_active_detects(vision, active, entity->cell));
}

#endif
