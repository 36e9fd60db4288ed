#include "libcommon/base/check.h"
#include "libcommon/base/seq.h"
#include "services/production/core/state.h"

// What players order: each command carried out once, refused with a reason, or known to have been
// carried out before.

static struct production_player *need_player(struct production *production, uint64_t player_id)
{
    uint64_t index = 0;
    if (mm_idmap_get(production->player_index, player_id, &index))
        return &production->players.items[index];
    struct production_player player = {0};
    index = production->players.count;
    if (!mm_vec_push(&production->players, player))
        return NULL;
    if (mm_idmap_set(production->player_index, player_id, index) != MM_OK) {
        production->players.count--;
        return NULL;
    }
    return &production->players.items[index];
}

// Its range; NULL: nothing of it was carried out, or so long ago that it is forgotten.
static struct production_range *range_of(struct production_player *player, uint64_t client_seq)
{
    for (size_t i = 0; i < PRODUCTION_SEQ_RANGES; i++) {
        struct production_range *range = &player->ranges[i];
        if (range->last_seq != 0 && range->range == mm_seq_range(client_seq))
            return range;
    }
    return NULL;
}

// Whether a command was carried out before: then *job_out is its job's id, or 0 if forgotten.
static bool is_repeated(struct production *production, uint64_t player_id, uint64_t client_seq,
                        uint64_t *job_out)
{
    uint64_t index = 0;
    *job_out = 0;
    if (player_id == 0 || !mm_idmap_get(production->player_index, player_id, &index))
        return false;
    struct production_player *player = &production->players.items[index];
    const struct production_range *range = range_of(player, client_seq);
    if (!range || client_seq > range->last_seq)
        return false;
    uint64_t back = range->last_seq - client_seq;
    if (back < PRODUCTION_SEQ_WINDOW && !(range->seen >> back & 1))
        return false;
    for (size_t i = 0; i < PRODUCTION_ANSWERS_KEPT; i++)
        if (player->answers[i].client_seq == client_seq)
            *job_out = player->answers[i].job_id;
    return true;
}

// The one used the longest ago gives way to a new one.
static struct production_range *new_range(struct production_player *player, uint64_t client_seq,
                                          struct production_range *forgotten)
{
    struct production_range *range = &player->ranges[0];
    for (size_t i = 1; i < PRODUCTION_SEQ_RANGES; i++)
        if (player->ranges[i].used < range->used)
            range = &player->ranges[i];
    *forgotten = *range;
    *range = (struct production_range){.range = mm_seq_range(client_seq)};
    return range;
}

static enum mm_err restore_answer(struct production *production, uint64_t player_id,
                                  uint64_t client_seq, uint64_t job_id,
                                  struct production_range *forgotten)
{
    if (player_id == 0 || client_seq == 0)
        return MM_INVALID_ARGUMENT;
    struct production_player *player = need_player(production, player_id);
    if (!player)
        return MM_RESOURCE_EXHAUSTED;
    struct production_range *range = range_of(player, client_seq);
    if (!range)
        range = new_range(player, client_seq, forgotten);
    if (client_seq > range->last_seq) {
        uint64_t ahead = client_seq - range->last_seq;
        range->seen = ahead < PRODUCTION_SEQ_WINDOW ? range->seen << ahead : 0;
        range->seen |= 1;
        range->last_seq = client_seq;
    } else if (range->last_seq - client_seq < PRODUCTION_SEQ_WINDOW) {
        range->seen |= UINT64_C(1) << (range->last_seq - client_seq);
    }
    range->used = ++player->uses;
    player->answers[player->answer_next++ % PRODUCTION_ANSWERS_KEPT] =
        (struct production_answer){client_seq, job_id};
    return MM_OK;
}

enum mm_err production_restore_answer(struct production *production, uint64_t player_id,
                                      uint64_t client_seq, uint64_t job_id)
{
    struct production_range forgotten;
    return restore_answer(production, player_id, client_seq, job_id, &forgotten);
}

static void answered(struct production *production, uint64_t player_id, uint64_t client_seq,
                     uint64_t job_id, struct production_changes *changes)
{
    if (player_id == 0)
        return;
    struct production_range forgotten = {0};
    MM_CHECK(restore_answer(production, player_id, client_seq, job_id, &forgotten) == MM_OK);
    struct production_change *change = production_note(changes, PRODUCTION_CHANGE_ANSWERED);
    change->player_id = player_id;
    change->client_seq = client_seq;
    change->answer_job = job_id;
    change->forgets = forgotten.last_seq != 0;
    change->forgotten_range = forgotten.range;
}

// All that can be wrong with an order, before anything is changed.
static enum production_reason check_order(struct production *production,
                                          const struct production_order *order, int *recipe_out,
                                          const char **detail_out)
{
    const struct production_building *building =
        production_find_building(production, order->building);
    *recipe_out = production_book_recipe(production->book, order->recipe);
    if (order->cycles > PRODUCTION_CYCLES_MAX || (order->player_id != 0 && order->client_seq == 0))
        return PRODUCTION_INVALID;
    if (!production_has_empire(production, order->empire))
        return PRODUCTION_NO_EMPIRE;
    if (*recipe_out < 0)
        return PRODUCTION_UNKNOWN_RECIPE;
    if (!building || !building->exists || building->owner != order->empire)
        return PRODUCTION_UNKNOWN_BUILDING;
    const struct production_recipe *recipe = &production->book->recipes[*recipe_out];
    if (!production_recipe_fits(recipe, building->type))
        return PRODUCTION_WRONG_BUILDING;
    if (production->is_paused)
        return PRODUCTION_PAUSED;
    if (building->job_count == PRODUCTION_BUILDING_JOBS_MAX ||
        production_job_count(production) == PRODUCTION_JOBS_MAX)
        return PRODUCTION_QUEUE_FULL;
    if (!production_can_afford(production, order->empire, recipe,
                               production_cost_of(production, order->building), detail_out))
        return PRODUCTION_NOT_ENOUGH;
    if (order->player_id != 0 && !need_player(production, order->player_id))
        return PRODUCTION_QUEUE_FULL;
    return PRODUCTION_OK;
}

static uint64_t new_job_id(struct production *production)
{
    for (;;) {
        uint64_t id = mm_rng_u64(&production->rng);
        if (id != 0 && !production_find_job(production, id))
            return id;
    }
}

enum production_reason production_start(struct production *production,
                                        const struct production_order *order,
                                        struct production_changes *changes,
                                        struct production_job *job_out, const char **detail_out)
{
    const char *unused = NULL;
    uint64_t known_job = 0;
    int recipe = -1;
    *job_out = (struct production_job){0};
    if (is_repeated(production, order->player_id, order->client_seq, &known_job)) {
        if (known_job != 0 && !production_job_get(production, known_job, job_out))
            *job_out = (struct production_job){.id = known_job, .empire = order->empire};
        return known_job != 0 ? PRODUCTION_OK : PRODUCTION_REPEATED;
    }
    enum production_reason reason =
        check_order(production, order, &recipe, detail_out ? detail_out : &unused);
    if (reason != PRODUCTION_OK)
        return reason;

    struct production_job job = {
        .id = new_job_id(production),
        .empire = order->empire,
        .building = order->building,
        .recipe = (uint32_t)recipe,
        .cycles_left = order->cycles,
        .order = production->next_order++,
    };
    uint32_t index = 0;
    struct production_slot *slot = production_slot_new(production, &job, &index);
    if (!slot)
        return PRODUCTION_QUEUE_FULL;
    struct production_building *building = production_find_building(production, order->building);
    building->jobs[building->job_count++] = index;
    production_move_inputs(production, &job, &production->book->recipes[recipe],
                           production_cost_of(production, order->building), -1, changes);
    if (building->job_count == 1)
        production_building_run(production, building, changes);
    else
        production_job_waits(changes, &job);
    answered(production, order->player_id, order->client_seq, job.id, changes);
    *job_out = slot->job;
    return PRODUCTION_OK;
}

enum production_reason production_cancel(struct production *production, uint64_t player_id,
                                         uint64_t client_seq, uint32_t empire, uint64_t job_id,
                                         bool refund, struct production_changes *changes)
{
    uint64_t known_job = 0;
    if (player_id != 0 && client_seq == 0)
        return PRODUCTION_INVALID;
    if (is_repeated(production, player_id, client_seq, &known_job))
        return known_job == job_id ? PRODUCTION_OK : PRODUCTION_REPEATED;
    struct production_slot *slot = production_find_job(production, job_id);
    if (!slot || slot->job.empire != empire)
        return PRODUCTION_UNKNOWN_JOB;
    if (player_id != 0 && !need_player(production, player_id))
        return PRODUCTION_QUEUE_FULL;

    struct production_job job = slot->job;
    production_slot_drop(production, slot);
    if (refund)
        production_move_inputs(production, &job, &production->book->recipes[job.recipe],
                               production_cost_of(production, job.building), 1, changes);
    production_note_job(changes, PRODUCTION_CHANGE_NO_JOB, &job);
    production_note_event(changes, PRODUCTION_CANCELLED, &job, "");
    answered(production, player_id, client_seq, job_id, changes);
    struct production_building *building = production_find_building(production, job.building);
    if (building)
        production_building_run(production, building, changes);
    return PRODUCTION_OK;
}
