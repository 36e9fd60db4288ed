// A core made of what was saved, beside the loop: it tells how it gets on, and can be given up.

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/io/pb.h"
#include "services/vision/app.h"
#include "tests/support/vision_scene.h"

#include <criterion/criterion.h>
#include <string.h>

enum { EMPIRES = 400, PER_EMPIRE = 100, ENTITIES = EMPIRES * PER_EMPIRE };

// A pass over everybody takes ENTITIES / MM_PROGRESS_EVERY = 39 steps: if one of them tells
// nothing, these are not reached. Besides them there are those of each empire, of what was
// explored, of columns and tables. It is the same on every machine.
enum { BEGIN_STEPS_MIN = 1450, SNAPSHOT_STEPS_MIN = 1200 };

static const struct vision_settings settings = {
    .update_interval_ticks = 1,
    .entities_max = 1 << 20,
    .empires_max = 1 << 16,
    .chunks_max = 1 << 20,
    .memory_enabled = true,
    .memories_per_empire_max = 1000,
};

static struct vision *watching_core(const struct scene *scene)
{
    struct vision_options options = vision_options_default();
    const Mmorts__Frame__VisionFrame *out;
    struct vision *core;
    cr_assert_eq(vision_new(&options, &core), MM_OK);
    cr_assert_eq(vision_apply(core, &scene->snapshot, &out), MM_OK);
    return core;
}

// The core's checkpoint and what it has explored, as the database would give them back.
static struct vision_stored *stored_of(struct vision *core, struct scene *scene)
{
    struct vision_stored *stored = mm_calloc(1, sizeof *stored);
    struct vision_save save;
    Mmorts__Frame__TickFrame *frame;
    mm_vec_init(&stored->explored, VISION_LOAD_ROWS_MAX);
    mm_vec_init(&stored->bits, VISION_LOAD_ROWS_MAX);
    mm_vec_init(&stored->memories, 1);
    mm_vec_init(&stored->shares, 1);
    mm_vec_init(&stored->allies, 1);
    stored->chunk_radius = scene->catalogue.chunk_radius;
    stored->tick = vision_tick(core);
    stored->all = true;
    cr_assert_eq(vision_save_take(core, SIZE_MAX, &save), MM_OK);
    stored->words = (uint32_t)MM_BITSET_WORDS(scene->tiling.cells);
    for (size_t i = 0; i < save.explored_count; i++) {
        cr_assert(mm_vec_push(&stored->explored, save.explored[i]));
        for (size_t w = 0; w < stored->words; w++)
            cr_assert(mm_vec_push(&stored->bits, save.explored[i].cells[w]));
    }
    vision_save_free(&save);
    cr_assert_eq(vision_checkpoint(core, &frame), MM_OK);
    frame->catalogue = &scene->catalogue;
    cr_assert_eq(mm_pb_pack(&frame->base, SIZE_MAX, &stored->checkpoint, &stored->checkpoint_bytes),
                 MM_OK);
    vision_checkpoint_free(frame);
    return stored;
}

static void expect_same(const struct vision *a, const struct vision *b)
{
    struct vision_stats x = {0}, y = {0};
    vision_stats(a, &x);
    vision_stats(b, &y);
    cr_assert_eq(vision_tick(a), vision_tick(b));
    cr_assert_eq(x.entities, y.entities);
    cr_assert_eq(x.explored_hexes, y.explored_hexes);
    cr_assert_eq(x.visible_hexes, y.visible_hexes);
    cr_assert_eq(x.sight_pairs, y.sight_pairs);
}

Test(begin, a_core_at_the_checkpoint, .timeout = 300)
{
    struct scene *scene = scene_new(EMPIRES, PER_EMPIRE);
    struct vision *core = watching_core(scene);
    struct vision_stored *stored = stored_of(core, scene);
    static struct mm_progress progress;
    cr_assert_eq(vision_begin_checkpoint(&settings, stored, &progress), MM_OK);
    cr_assert(stored->core && vision_is_live(stored->core));
    cr_assert_eq(stored->catalogue->chunk_radius, scene->catalogue.chunk_radius);
    expect_same(core, stored->core);
    cr_assert_geq(mm_progress_steps(&progress), BEGIN_STEPS_MIN);
    vision_stored_free(stored);
    vision_free(core);
    scene_free(scene);
}

Test(begin, a_snapshot_in_midst_of_the_game_tells_how_it_gets_on, .timeout = 300)
{
    struct scene *scene = scene_new(EMPIRES, PER_EMPIRE);
    struct vision *core = watching_core(scene);
    const Mmorts__Frame__VisionFrame *out;
    static struct mm_progress progress;
    vision_set_progress(core, &progress);
    scene_snapshot(scene, vision_tick(core) + 1);
    cr_assert_eq(vision_apply(core, &scene->snapshot, &out), MM_OK);
    cr_assert_geq(mm_progress_steps(&progress), SNAPSHOT_STEPS_MIN);
    vision_free(core);
    scene_free(scene);
}

Test(begin, it_can_be_given_up, .timeout = 300)
{
    struct scene *scene = scene_new(EMPIRES, PER_EMPIRE);
    struct vision *core = watching_core(scene);
    struct vision_stored *stored = stored_of(core, scene);
    static struct mm_progress progress;
    mm_progress_give_up(&progress);
    cr_assert_eq(vision_begin_checkpoint(&settings, stored, &progress), MM_CANCELLED);
    vision_stored_free(stored);

    // In the midst of it, too: what was begun is of no use, and a snapshot mends it.
    const Mmorts__Frame__VisionFrame *out;
    vision_set_progress(core, &progress);
    cr_assert_eq(vision_apply(core, &scene->snapshot, &out), MM_CANCELLED);
    cr_assert_not(vision_is_live(core));
    vision_set_progress(core, NULL);
    cr_assert_eq(vision_apply(core, &scene->snapshot, &out), MM_OK);
    cr_assert(vision_is_live(core));
    vision_free(core);
    scene_free(scene);
}

Test(begin, other_chunks_do_not_fit_and_a_damaged_checkpoint_is_none, .timeout = 300)
{
    struct scene *scene = scene_new(EMPIRES, PER_EMPIRE);
    struct vision *core = watching_core(scene);
    struct vision_stored *stored = stored_of(core, scene);
    stored->chunk_radius++;
    cr_assert_eq(vision_begin_checkpoint(&settings, stored, NULL), MM_FAILED_PRECONDITION);
    stored->chunk_radius--;
    stored->checkpoint_bytes /= 2;
    cr_assert_eq(vision_begin_checkpoint(&settings, stored, NULL), MM_OK);
    cr_assert(!stored->core || !vision_is_live(stored->core));
    vision_stored_free(stored);
    vision_free(core);
    scene_free(scene);
}
