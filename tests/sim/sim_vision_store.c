#include "tests/sim/sim_internal.h"

#include "libcommon/base/bitset.h"
#include "libcommon/io/pb.h"

#include <stdlib.h>
#include <string.h>

// What of vision outlives it, and how it comes back: rows written behind, now and then with a
// checkpoint, and sharing, which is durable at once.

enum { SAVE_ROUNDS = 23, CELLS = 37, CHECKPOINT_EVERY = 3, HURRY_EVERY = 3 };

// --- writing -------------------------------------------------------------------------------------

static void store_explored(struct sim_vision_store *store, const struct vision_explored *row)
{
    size_t words = MM_BITSET_WORDS(CELLS);
    uint64_t *cells = malloc(words * sizeof *cells);
    if (!cells)
        abort();
    memcpy(cells, row->cells, words * sizeof *cells);
    struct vision_explored copy = *row;
    copy.cells = cells;
    for (size_t i = 0; i < store->explored.count; i++) {
        struct vision_explored *known = &store->explored.items[i];
        if (known->empire == row->empire && hex_chunk_equal(known->chunk, row->chunk)) {
            free((void *)(uintptr_t)known->cells);
            *known = copy;
            return;
        }
    }
    if (!mm_vec_push(&store->explored, copy))
        abort();
}

static size_t memory_place(const struct sim_vision_store *store, uint32_t empire, uint64_t id)
{
    size_t i = 0;
    while (i < store->memories.count &&
           (store->memories.items[i].empire != empire || store->memories.items[i].id != id))
        i++;
    return i;
}

static void write_durable(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    struct sim_vision_store *store = &vision->store;
    const struct vision_save *save = &vision->save;
    for (size_t i = 0; i < save->forgotten_count; i++) {
        size_t at = memory_place(store, save->forgotten[i].empire, save->forgotten[i].id);
        if (at < store->memories.count)
            mm_vec_remove_swap(&store->memories, at);
    }
    for (size_t i = 0; i < save->explored_count; i++)
        if (sim->options.fault != SIM_FAULT_EXPLORED_NOT_SAVED)
            store_explored(store, &save->explored[i]);
    for (size_t i = 0; i < save->memory_count; i++) {
        size_t at = memory_place(store, save->memories[i].empire, save->memories[i].id);
        if (at < store->memories.count)
            store->memories.items[at] = save->memories[i];
        else if (!mm_vec_push(&store->memories, save->memories[i]))
            abort();
    }
    store->rows_tick = vision->write_tick;
    store->rows_all = vision->write_all;
    if (!vision->write_last || !vision->checkpoint)
        return;
    sim_bytes_drop(store->checkpoint);
    store->checkpoint = vision->checkpoint;
    vision->checkpoint = NULL;
    store->checkpoint_tick = vision->checkpoint_tick;
    store->epoch = vision->checkpoint_epoch;
    store->seq = vision->checkpoint_seq;
    *store->moment = *vision->checkpoint_moment;
}

static void drop_checkpoint(struct sim_vision *vision)
{
    sim_bytes_drop(vision->checkpoint);
    vision->checkpoint = NULL;
}

static void take_checkpoint(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    uint64_t tick = vision_tick(vision->core);
    const struct sim_moment *moment = sim_moment(sim, tick);
    Mmorts__Frame__TickFrame *frame;
    if (moment->tick != tick || moment->lineage != sim->lineage ||
        vision_checkpoint(vision->core, &frame) != MM_OK)
        return;
    frame->catalogue = vision->catalogue;
    vision->checkpoint = sim_bytes_of(&frame->base);
    frame->catalogue = NULL;
    vision_checkpoint_free(frame);
    vision->checkpoint_tick = tick;
    vision->checkpoint_epoch = sim->readers[SIM_VISION_TICKS].epoch;
    vision->checkpoint_seq = sim->readers[SIM_VISION_TICKS].seq;
    *vision->checkpoint_moment = *moment;
}

// A save is what was unsaved as it began, with a checkpoint of that moment or none; or, in a hurry,
// what is unsaved as it ends, with a checkpoint of then.
static void save_begin(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    vision->hurry = sim_below(sim, HURRY_EVERY) == 0;
    vision->wants_checkpoint = sim_below(sim, CHECKPOINT_EVERY) == 0;
    vision->round_rows = vision_save_pending_explored(vision->core);
    if (vision->wants_checkpoint && !vision->hurry)
        take_checkpoint(sim);
}

static void write_begin(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    if (!vision->between)
        save_begin(sim);
    if (vision_save_take(vision->core, sim->save_rows, &vision->save) != MM_OK)
        abort();
    size_t rows = vision->save.explored_count;
    vision->round_rows -= rows < vision->round_rows ? rows : vision->round_rows;
    vision->writing = true;
    vision->write_all = vision_save_pending(vision->core) == 0;
    vision->write_last = vision->hurry ? vision->write_all : vision->round_rows == 0;
    vision->write_tick = vision_tick(vision->core);
    vision->write_at =
        sim->round + 1 + (sim->calm ? 0 : sim_below(sim, sim->weather.commit_max + 1));
    // A checkpoint must not be ahead of the rows.
    if (vision->wants_checkpoint && vision->hurry && vision->write_last)
        take_checkpoint(sim);
}

static void write_end(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    vision->writing = vision->between = false;
    if (sim->store_away_until > sim->round || (!sim->calm && sim_chance(sim, 300))) {
        vision_save_return(vision->core, &vision->save);
        drop_checkpoint(vision);
        return;
    }
    write_durable(sim);
    vision_save_free(&vision->save);
    vision->between = !vision->write_last;
    if (vision->write_last)
        drop_checkpoint(vision);
}

void sim_vision_jumped(struct sim *sim)
{
    // World's stream is another: what was taken before leads nowhere.
    if (!sim->vision.hurry)
        drop_checkpoint(&sim->vision);
}

void sim_vision_round(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    if (!vision->up) {
        if (sim->round >= vision->up_at)
            sim_vision_start(sim);
        return;
    }
    sim_parts_round(sim);
    if (vision->writing && sim->round >= vision->write_at)
        write_end(sim);
    if (!vision->writing && vision->core && vision_is_live(vision->core) &&
        !vision_is_replaying(vision->core) && sim->publishers[SIM_VISIONS].epoch &&
        (vision->between || sim->round % SAVE_ROUNDS == 0))
        write_begin(sim);
}

// --- dying and coming back -----------------------------------------------------------------------

static void stop(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    if (vision->writing)
        vision_save_free(&vision->save);
    vision->writing = vision->between = false;
    drop_checkpoint(vision);
    vision_free(vision->core);
    vision->core = NULL;
    vision->up = false;
    vision->life++;
    sim_publisher_close(sim, SIM_VISIONS);
    sim_parts_close(sim);
    sim_reader_close(sim, SIM_VISION_TICKS);
}

void sim_vision_crash(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    if (!vision->up)
        return;
    bool first = vision->writing && !vision->write_last;
    if (vision->writing && sim_chance(sim, 5000))
        write_durable(sim); // the transaction had just arrived
    else
        first = false;
    sim->report->torn_saves += vision->between || first;
    sim_tell(sim, "vision dies at tick %llu",
             (unsigned long long)(vision->core ? vision_tick(vision->core) : 0));
    stop(sim);
    vision->up_at = sim->round + 1 + sim_below(sim, 60);
    sim->report->vision_crashes++;
}

// In the order in which the shell reads its rows: by pair, then by time.
static void load_shares(struct sim *sim)
{
    const struct sim_vision_store *store = &sim->vision.store;
    for (uint32_t from = 1; from <= SIM_EMPIRES; from++) {
        for (uint32_t to = 1; to <= SIM_EMPIRES; to++) {
            for (size_t i = 0; i < store->shares.count; i++) {
                const struct sim_share_order *order = &store->shares.items[i];
                if (order->alliance == 0 && order->from == from && order->to == to)
                    sim_vision_order(sim, order);
            }
        }
    }
    for (size_t i = 0; i < store->shares.count; i++) {
        if (store->shares.items[i].alliance != 0)
            sim_vision_order(sim, &store->shares.items[i]);
    }
}

void sim_vision_make(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    const struct sim_vision_store *store = &vision->store;
    struct vision_options options = vision_options_default();
    options.chunk_radius = (int32_t)sim->rules->map.chunk_radius;
    options.memory.building_ticks = (uint64_t)sim_types[5].memory_ticks;
    options.memory.hero_ticks = (uint64_t)sim_types[6].memory_ticks;
    options.memory.settlement_ticks = options.memory.npc_ticks = options.memory.endgame_ticks = 0;
    options.memory.per_empire_max = sim->memories_max;
    options.alliances_share = !sim->beacons_only;
    if (vision_new(&options, &vision->core) != MM_OK)
        abort();
    for (size_t i = 0; i < store->explored.count; i++)
        if (vision_load_explored(vision->core, &store->explored.items[i]) != MM_OK)
            sim_fail(sim, "vision refused an explored row that it had saved");
    vision_loaded_as_of(vision->core, store->rows_tick, true);
    for (size_t i = 0; i < store->memories.count; i++)
        if (vision_load_memory(vision->core, &store->memories.items[i]) != MM_OK)
            sim_fail(sim, "vision refused a memory that it had saved");
    load_shares(sim);
}

void sim_vision_start(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    const struct sim_vision_store *store = &vision->store;
    vision->up = true;
    sim_parts_open(sim);
    if (!store->checkpoint) {
        sim_tell(sim, "vision begins without a checkpoint");
        sim_reader_open(sim, SIM_VISION_TICKS, 0, 0);
        return;
    }
    sim_vision_make(sim);
    mm_arena_reset(vision->arena);
    ProtobufCAllocator allocator = mm_pb_arena_allocator(vision->arena);
    Mmorts__Frame__TickFrame *frame = mmorts__frame__tick_frame__unpack(
        &allocator, store->checkpoint->len, store->checkpoint->data);
    enum mm_err err = vision_resume(vision->core, frame);
    if (err != MM_OK)
        sim_fail(sim, "vision refused its own checkpoint of tick %llu: %s %s",
                 (unsigned long long)store->checkpoint_tick, mm_err_name(err),
                 vision_refusal(vision->core));
    sim->report->resumes++;
    sim->report->torn_resumes += !store->rows_all;
    sim_tell(sim, "vision resumes from tick %llu", (unsigned long long)store->checkpoint_tick);
    sim_reader_open(sim, SIM_VISION_TICKS, store->epoch, store->seq);
}

void sim_vision_init(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    vision->arena = mm_arena_new(1 << 16, 1 << 26);
    vision->checkpoint_moment = calloc(1, sizeof *vision->checkpoint_moment);
    vision->store.moment = calloc(1, sizeof *vision->store.moment);
    if (!vision->arena || !vision->checkpoint_moment || !vision->store.moment)
        abort();
    vision->store.rows_all = true;
    mm_vec_init(&vision->store.explored, 1 << 16);
    mm_vec_init(&vision->store.memories, 1 << 16);
    mm_vec_init(&vision->store.shares, 1 << 20);
    mm_vec_init(&sim->shares, 1 << 20);
    mm_vec_init(&sim->lineage_of_epoch, 1 << 20);
    sim_vision_start(sim);
}

void sim_vision_free(struct sim *sim)
{
    struct sim_vision *vision = &sim->vision;
    stop(sim);
    for (size_t i = 0; i < vision->store.explored.count; i++)
        free((void *)(uintptr_t)vision->store.explored.items[i].cells);
    mm_vec_free(&vision->store.explored);
    mm_vec_free(&vision->store.memories);
    mm_vec_free(&vision->store.shares);
    mm_vec_free(&sim->shares);
    mm_vec_free(&sim->lineage_of_epoch);
    sim_bytes_drop(vision->store.checkpoint);
    free(vision->store.moment);
    free(vision->checkpoint_moment);
    if (vision->catalogue)
        mmorts__frame__catalogue__free_unpacked(vision->catalogue, NULL);
    mm_arena_free(vision->arena);
}
