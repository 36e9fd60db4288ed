#include "services/vision/core/vision.h"

#include "libcommon/base/alloc.h"
#include "services/vision/core/footprint.h"
#include "services/vision/core/memory.h"
#include "services/vision/core/mirror.h"
#include "services/vision/core/output.h"
#include "services/vision/core/settle.h"
#include "services/vision/core/share.h"
#include "services/vision/core/sight.h"
#include "services/vision/core/state.h"
#include "services/vision/core/turn.h"
#include "services/vision/core/view.h"
#include "services/vision/core/watch.h"

#include <string.h>

// One tick from frame to frame; see state.h for the picture.

// No policy of ours: more of these than memory holds. The named limits are in the options.
#define TABLE_ENTRIES_MAX ((size_t)1 << 30)

struct vision_options vision_options_default(void)
{
    return (struct vision_options){
        .chunk_radius = HEX_CHUNK_RADIUS_DEFAULT,
        .update_interval_ticks = 1,
        .entities_max = UINT32_C(1) << 20,
        .empires_max = UINT32_C(1) << 16,
        .chunks_max = UINT32_C(1) << 20,
        .alliances_share = true,
        .memory = vision_memory_policy_default(),
    };
}

static void init_vectors(struct vision *vision)
{
    mm_vec_init(&vision->chunks, vision->options.chunks_max);
    mm_vec_init(&vision->changes, vision->options.entities_max);
    mm_vec_init(&vision->alliances, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->postponed, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->lifted, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->order, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->order_scratch, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->dirty, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->vacated, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->flips, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->partings, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->share_orders, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->sightings, (size_t)vision->options.empires_max + 1);
    mm_vec_init(&vision->unsaved_forgotten, TABLE_ENTRIES_MAX);
    mm_vec_init(&vision->loaded.rows, TABLE_ENTRIES_MAX);
    vision_output_init(&vision->output);
}

enum mm_err vision_new(const struct vision_options *options, struct vision **out)
{
    if (options->entities_max == 0 || options->empires_max == 0 || options->chunks_max == 0 ||
        options->update_interval_ticks == 0 || options->entities_max == UINT32_MAX ||
        options->empires_max == UINT32_MAX)
        return MM_INVALID_ARGUMENT;
    struct vision *vision = mm_calloc(1, sizeof *vision);
    if (!vision)
        return MM_RESOURCE_EXHAUSTED;
    vision->options = *options;
    init_vectors(vision);
    if (hex_tiling_init(&vision->tiling, options->chunk_radius) != MM_OK) {
        vision_free(vision);
        return MM_INVALID_ARGUMENT;
    }
    vision->words = (uint32_t)MM_BITSET_WORDS(vision->tiling.cells);
    size_t word_bytes = vision->words * sizeof(uint64_t);
    vision->view_pool = mm_pool_new(sizeof(struct vision_view) + word_bytes, TABLE_ENTRIES_MAX);
    vision->active_pool = mm_pool_new(vision_active_bytes(vision), TABLE_ENTRIES_MAX);
    vision->plane_pool = mm_pool_new(vision_plane_bytes(vision), TABLE_ENTRIES_MAX);
    vision->seldom_pool = mm_pool_new(vision_seldom_bytes(vision), TABLE_ENTRIES_MAX);
    vision->view_by_key = mm_idmap_new(TABLE_ENTRIES_MAX);
    vision->chunk_by_at = mm_idmap_new(options->chunks_max);
    vision->alliance_by_id = mm_idmap_new(TABLE_ENTRIES_MAX);
    vision->entity_by_id = mm_idmap_new(options->entities_max);
    vision->order_by_subject = mm_idmap_new(TABLE_ENTRIES_MAX);
    vision->expiries = mm_heap_new(TABLE_ENTRIES_MAX);
    if (!vision->view_pool || !vision->active_pool || !vision->plane_pool || !vision->seldom_pool ||
        !vision->view_by_key || !vision->chunk_by_at || !vision->alliance_by_id ||
        !vision->entity_by_id || !vision->order_by_subject || !vision->expiries) {
        vision_free(vision);
        return MM_RESOURCE_EXHAUSTED;
    }
    *out = vision;
    return MM_OK;
}

static void free_tables(struct vision *vision)
{
    for (uint32_t i = 0; i < vision->entity_capacity; i++)
        vision_viewers_free(vision, &vision->entities[i]);
    mm_free(vision->entities);
    mm_free(vision->frame_marks);
    for (uint32_t i = 0; i < vision->empire_capacity; i++) {
        struct vision_empire *empire = vision->empires[i];
        if (!empire)
            continue;
        for (size_t k = 0; k < empire->actives.count; k++)
            vision_active_planes_put(vision, empire->actives.items[k]);
        mm_vec_free(&empire->actives);
        mm_vec_free(&empire->borrowers);
        mm_idmap_free(empire->memories);
        mm_vec_free(&empire->yielding);
        mm_free(empire);
    }
    mm_free(vision->empires);
    for (size_t i = 0; i < vision->chunks.count; i++) {
        mm_free(vision->chunks.items[i].cells);
        mm_free(vision->chunks.items[i].first_entity);
        mm_vec_free(&vision->chunks.items[i].watchers);
        mm_free(vision->chunks.items[i].visible);
    }
    mm_free(vision->memories);
    mm_free(vision->types);
}

void vision_free(struct vision *vision)
{
    if (!vision)
        return;
    free_tables(vision);
    for (int32_t radius = 0; radius <= VISION_SIGHT_HEXES_MAX; radius++)
        vision_footprint_free(vision->footprints[radius]);
    for (int32_t radius = 0; radius <= VISION_SIGHT_HEXES_MAX; radius++)
        hex_sight_lines_free(&vision->lines[radius]);
    vision_output_free(&vision->output);
    vision_alliances_free(vision);
    mm_vec_free(&vision->chunks);
    mm_vec_free(&vision->changes);
    mm_vec_free(&vision->order);
    mm_vec_free(&vision->postponed);
    mm_vec_free(&vision->lifted);
    mm_vec_free(&vision->order_scratch);
    mm_vec_free(&vision->dirty);
    mm_vec_free(&vision->vacated);
    mm_vec_free(&vision->flips);
    mm_vec_free(&vision->partings);
    mm_vec_free(&vision->share_orders);
    mm_vec_free(&vision->sightings);
    mm_vec_free(&vision->unsaved_forgotten);
    mm_vec_free(&vision->loaded.rows);
    mm_pool_free(vision->view_pool);
    mm_pool_free(vision->active_pool);
    mm_pool_free(vision->plane_pool);
    mm_pool_free(vision->seldom_pool);
    mm_idmap_free(vision->view_by_key);
    mm_idmap_free(vision->chunk_by_at);
    mm_idmap_free(vision->entity_by_id);
    mm_idmap_free(vision->order_by_subject);
    mm_heap_free(vision->expiries);
    mm_free(vision);
}

// --- a frame ---------------------------------------------------------------------------------

// Forgets what is visible now; what is explored and remembered stays.
static void clear_sight(struct vision *vision)
{
    mm_vec_clear(&vision->dirty);
    mm_vec_clear(&vision->vacated);
    mm_vec_clear(&vision->flips);
    mm_vec_clear(&vision->changes);
    mm_vec_clear(&vision->postponed);
    for (uint32_t e = 0; e < vision->empire_capacity; e++) {
        struct vision_empire *empire = vision->empires[e];
        (void)mm_progress_step(vision->progress);
        while (empire && empire->actives.count > 0) {
            struct vision_view *view = empire->actives.items[empire->actives.count - 1]->view;
            vision_view_release(vision, view);
            if (view->first_seen == 0)
                continue;
            view->last_seen = vision->tick;
            vision_view_mark_unsaved(vision, view);
        }
    }
    vision->stats.observers = vision->stats.visible_hexes = vision->stats.sight_pairs = 0;
    vision_mirror_clear(vision);
}

static enum mm_err apply(struct vision *vision, const Mmorts__Frame__TickFrame *frame, bool resume,
                         const Mmorts__Frame__VisionFrame **out)
{
    enum mm_err err = vision_check_frame(vision, frame);
    if (err != MM_OK)
        return err;
    vision_output_clear(vision);
    vision->exhausted = false;
    vision->round++;
    vision->quiet = frame->snapshot;
    if (frame->snapshot) {
        mm_vec_clear(&vision->partings);
        if (!resume)
            vision_loaded_end(vision);
        // As of its last tick: what is noted was in sight then.
        vision->previous_tick = vision->tick;
        vision_memory_note_all(vision, resume);
        clear_sight(vision);
    }
    vision->live = false;
    vision->previous_tick = vision->tick;
    vision->tick = frame->tick;

    vision_mirror_apply(vision, frame);
    vision_share_apply_orders(vision);
    vision_order_changes(vision, frame->moved);
    (void)mm_progress_step(vision->progress);
    vision_seats_update(vision, frame->moved);
    if (vision->discs_anew)
        vision_sight_join_discs(vision);
    vision_share_settle(vision);
    vision_settle(vision);
    vision_watch_changes(vision);
    vision_watch_flips(vision);
    vision_memory_end_tick(vision, frame->snapshot);
    if (frame->snapshot)
        vision_output_clear(vision);
    const Mmorts__Frame__VisionFrame *built = vision_output_build(vision);
    vision_settle_finish(vision);
    if (vision->exhausted)
        return mm_progress_given_up(vision->progress) ? MM_CANCELLED : MM_RESOURCE_EXHAUSTED;
    vision->live = true;
    *out = built;
    return MM_OK;
}

enum mm_err vision_apply(struct vision *vision, const Mmorts__Frame__TickFrame *frame,
                         const Mmorts__Frame__VisionFrame **out)
{
    return apply(vision, frame, false, out);
}

enum mm_err vision_resume(struct vision *vision, const Mmorts__Frame__TickFrame *checkpoint)
{
    const Mmorts__Frame__VisionFrame *out;
    return apply(vision, checkpoint, true, &out);
}

void vision_set_progress(struct vision *vision, struct mm_progress *progress)
{
    vision->progress = progress;
}

// --- small questions -------------------------------------------------------------------------

const char *vision_refusal(const struct vision *vision)
{
    return vision->refusal;
}

uint64_t vision_tick(const struct vision *vision)
{
    return vision->tick;
}

bool vision_is_live(const struct vision *vision)
{
    return vision->live;
}

void vision_stats(const struct vision *vision, struct vision_stats *out)
{
    *out = vision->stats;
    out->empires = vision->empire_count;
    out->alliances = mm_idmap_count(vision->alliance_by_id);
    for (size_t i = 0; i < vision->alliances.count; i++)
        out->allies += vision->alliances.items[i].members.count;
    out->entities = vision->entity_count;
    out->chunks = vision->chunks_known;
    size_t words = vision->words * sizeof(uint64_t);
    out->state_bytes = sizeof *vision + vision->held_bytes +
                       mm_pool_in_use(vision->view_pool) * (sizeof(struct vision_view) + words) +
                       mm_pool_in_use(vision->active_pool) * vision_active_bytes(vision) +
                       mm_pool_in_use(vision->plane_pool) * vision_plane_bytes(vision) +
                       mm_pool_in_use(vision->seldom_pool) * vision_seldom_bytes(vision) +
                       vision->chunks.capacity * sizeof(struct vision_chunk);
}
