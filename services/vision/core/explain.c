#include "services/vision/core/mirror.h"
#include "services/vision/core/share.h"
#include "services/vision/core/sight.h"
#include "services/vision/core/state.h"

#include <stdlib.h>

// Why an empire sees something. Worked out from the observers themselves, not from the counters
// that frames are made of: what the two disagree on would be a bug, and a test compares them.

struct search {
    const struct vision *vision;
    uint32_t empire;
    struct hex_axial at;
    bool detectors_only;
    struct vision_explanation *out;
    size_t kept; // of out->sources
};

// By what right the empire has the sight of an observer of `from`; false: by none.
static bool has_sight_of(const struct search *search, uint32_t from, bool beacon,
                         struct vision_source_of *source)
{
    const struct vision *vision = search->vision;
    if (from == search->empire) {
        source->share = VISION_SHARE_OWN;
        return true;
    }
    const struct vision_relation *relation = vision_relation_find(vision, from, search->empire);
    if (!relation || relation->lends == LENDS_NOTHING ||
        (relation->lends == LENDS_BEACONS && !beacon))
        return false;
    source->share = relation->lends == LENDS_BEACONS ? VISION_SHARE_BEACON
                    : relation->by_order             ? VISION_SHARE_ORDERED
                                                     : VISION_SHARE_ALLIANCE;
    for (size_t i = 0; source->share != VISION_SHARE_ORDERED && i < vision->alliances.count; i++) {
        const struct vision_alliance *alliance = &vision->alliances.items[i];
        if (source->alliance == 0 && alliance->id != 0 && vision_is_member(alliance, from) &&
            vision_is_member(alliance, search->empire))
            source->alliance = alliance->id;
    }
    return true;
}

static int by_empire_and_id(const void *x, const void *y)
{
    const struct vision_source_of *a = x, *b = y;
    bool a_lent = a->share != VISION_SHARE_OWN, b_lent = b->share != VISION_SHARE_OWN;
    if (a_lent != b_lent)
        return a_lent ? 1 : -1;
    if (a->empire != b->empire)
        return a->empire < b->empire ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void add_source(struct search *search, const struct vision_source_of *source)
{
    struct vision_explanation *out = search->out;
    out->source_count++;
    if (search->kept < VISION_SOURCES_MAX) {
        out->sources[search->kept++] = *source;
        return;
    }
    size_t last = 0;
    for (size_t i = 1; i < search->kept; i++) {
        if (by_empire_and_id(&out->sources[i], &out->sources[last]) > 0)
            last = i;
    }
    if (by_empire_and_id(source, &out->sources[last]) < 0)
        out->sources[last] = *source;
}

static void look_through(struct search *search, uint32_t from)
{
    const struct vision *vision = search->vision;
    const struct vision_empire *lender = vision->empires[from];
    for (uint32_t slot = lender->first_owned; slot; slot = vision->entities[slot].next_owned) {
        const struct vision_entity *entity = &vision->entities[slot];
        const struct vision_seat *seat = &entity->seat;
        if (!seat->active || (search->detectors_only && !seat->detects) ||
            !vision_seat_reaches(vision, seat, search->at))
            continue;
        struct vision_source_of source = {
            .id = entity->id,
            .empire = from,
            .at = seat->at,
            .range_hexes = seat->radius,
            .distance_hexes = hex_distance(seat->at, search->at),
            .detects = seat->detects,
        };
        // Detection is lent with everything only, not with what beacons see.
        if (has_sight_of(search, from, seat->beacon, &source) &&
            !(search->detectors_only && source.share == VISION_SHARE_BEACON))
            add_source(search, &source);
    }
}

static void find_sources(const struct vision *vision, uint32_t empire, bool detectors_only,
                         struct vision_explanation *out)
{
    struct search search = {.vision = vision,
                            .empire = empire,
                            .at = out->at,
                            .detectors_only = detectors_only,
                            .out = out};
    out->source_count = 0;
    for (uint32_t from = 1; from < vision->empire_capacity; from++) {
        if (vision->empires[from] && (from == empire || vision_relation_find(vision, from, empire)))
            look_through(&search, from);
    }
    qsort(out->sources, search.kept, sizeof *out->sources, by_empire_and_id);
}

static bool is_mapped(const struct vision *vision, struct hex_axial at)
{
    uint32_t chunk;
    return hex_in_bounds(at) &&
           vision_chunk_find(vision, hex_chunk_of(&vision->tiling, at), &chunk) &&
           vision->chunks.items[chunk].known;
}

// Of a hex, or of the entity that stands there.
static enum vision_reason find_reason(const struct vision *vision, uint32_t empire,
                                      struct vision_explanation *out)
{
    if (!is_mapped(vision, out->at))
        return VISION_UNSEEN_NO_MAP;
    if (out->state == MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD)
        return VISION_UNSEEN_SHROUD;
    if (out->state == MMORTS__FRAME__VISIBILITY__VISIBILITY_FOG)
        return VISION_UNSEEN_FOG;
    find_sources(vision, empire, out->stealthed, out);
    if (out->stealthed && out->source_count == 0) {
        find_sources(vision, empire, false, out);
        return VISION_UNSEEN_STEALTH;
    }
    if (vision->fog_lifted && out->source_count == 0)
        return VISION_SEEN_WITHOUT_FOG;
    bool own = out->source_count > 0 && out->sources[0].share == VISION_SHARE_OWN;
    return own ? VISION_SEEN_OWN_SIGHT : VISION_SEEN_LENT;
}

enum mm_err vision_explain(const struct vision *vision, uint32_t empire, uint64_t id,
                           struct hex_axial at, struct vision_explanation *out)
{
    *out = (struct vision_explanation){.at = at};
    if (!vision_knows_empire(vision, empire))
        return MM_NOT_FOUND;
    uint64_t slot;
    if (id != 0 && !mm_idmap_get(vision->entity_by_id, id, &slot)) {
        out->at = (struct hex_axial){0, 0};
        out->reason = VISION_UNSEEN_NO_ENTITY;
        return MM_OK;
    }
    if (id != 0) {
        const struct vision_entity *entity = &vision->entities[slot];
        out->at = entity->at;
        out->owner = entity->owner;
        out->stealthed = entity->stealthed;
    }
    out->state = vision_hex_state(vision, empire, out->at);
    out->reason = find_reason(vision, empire, out);
    if (id != 0 && out->owner == empire)
        out->reason = VISION_SEEN_OWN_ENTITY;
    out->visible = out->reason <= VISION_SEEN_WITHOUT_FOG;
    return MM_OK;
}
