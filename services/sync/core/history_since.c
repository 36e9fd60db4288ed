#include "services/sync/core/history.h"

#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "libcommon/base/check.h"
#include "libcommon/base/idmap.h"
#include "services/sync/core/core.h"
#include "services/sync/core/history_block.h"

#include <string.h>

// Reading the log: which things changed since, each once, and then what is true of them now. What
// came into sight and left it again in the meantime is nothing to a client that saw neither.

// What became of a number since.
enum told {
    FOLLOWED, // it means what it meant to the client
    UNSURE,   // it was given to an entity that the client may have been told of or not
    UNKNOWN,  // it was given to an entity that the client has not been told of
};

struct touch {
    uint8_t mask; // enum sync_dirty
    uint8_t told; // enum told
};

// An entity that left sight or is remembered, or was.
struct mention {
    uint64_t id;
    uint32_t number; // as the client knows it, SYNC_NONE: it is named by its id
    uint8_t kind;
    bool known; // the client may know it
};

struct patch {
    int32_t q, r; // of the tile
    uint64_t changed[SYNC_TILE_CELLS / 64], explored[SYNC_TILE_CELLS / 64];
};

struct reading {
    const struct sync_core *core;
    const struct sync_view *view;
    bool sure;              // what is read now was certainly not told
    bool failed;            // out of memory
    struct touch *touches;  // by number
    struct mm_idmap *index; // id -> mention
    struct {
        MM_VEC(struct mention);
    } mentions;
    struct mm_idmap *patch_index; // tile -> patch
    struct {
        MM_VEC(struct patch);
    } patches;
    size_t last; // patch used last
};

// --- reading bytes, all of them our own ----------------------------------------------------------

static uint64_t get_varint(const uint8_t **at)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
}

static uint64_t get_u64(const uint8_t **at)
{
    uint64_t value;
    memcpy(&value, *at, sizeof value);
    *at += sizeof value;
    return value;
}

static struct touch *touch_of(struct reading *reading, uint64_t number)
{
    MM_CHECK(number < reading->view->number_bits);
    return &reading->touches[number];
}

// --- entities ------------------------------------------------------------------------------------

// The entity's mention, made if there is none: *is_new.
static struct mention *mention(struct reading *reading, uint64_t id, bool *is_new)
{
    uint64_t at = 0;
    *is_new = !mm_idmap_get(reading->index, id, &at);
    if (!*is_new)
        return &reading->mentions.items[at];
    if (!mm_vec_push(&reading->mentions, ((struct mention){.id = id, .number = SYNC_NONE})) ||
        mm_idmap_set(reading->index, id, reading->mentions.count - 1) != MM_OK) {
        reading->failed = true;
        return NULL;
    }
    return &reading->mentions.items[reading->mentions.count - 1];
}

// An entity left sight. `by_number`: the client will find it under its number.
static void leave(struct reading *reading, uint64_t number, uint64_t id, uint8_t kind,
                  bool by_number)
{
    struct touch *touch = touch_of(reading, number);
    bool is_new = false;
    struct mention *it = mention(reading, id, &is_new);
    if (it && is_new) {
        it->known = touch->told != UNKNOWN || !reading->sure;
        if (by_number && reading->sure && touch->told == FOLLOWED)
            it->number = (uint32_t)number;
    }
    if (it)
        it->kind = kind;
    *touch = (struct touch){.told = UNKNOWN};
}

// A memory begins, changes or ends. known: there was one before.
static void remember(struct reading *reading, uint64_t id, bool known)
{
    bool is_new = false;
    struct mention *it = mention(reading, id, &is_new);
    if (it && is_new)
        it->known = known || !reading->sure;
}

static void read_cached(struct reading *reading, const uint8_t **at)
{
    for (uint64_t count = get_varint(at); count > 0; count--) {
        uint64_t number = get_varint(at);
        bool known = *(*at)++;
        uint64_t id = get_u64(at);
        // It may have been told that it is remembered before the connection ended: then it no
        // longer has a number there.
        if (number > 0)
            leave(reading, number - 1, id, 0, false);
        else
            remember(reading, id, known);
    }
}

static void read_gone(struct reading *reading, const uint8_t **at)
{
    for (uint64_t count = get_varint(at); count > 0; count--) {
        uint64_t number = get_varint(at);
        uint8_t kind = *(*at)++;
        uint64_t id = get_u64(at);
        if (number > 0) {
            leave(reading, number - 1, id, kind, true);
            continue;
        }
        remember(reading, id, true);
        uint64_t place = 0;
        if (mm_idmap_get(reading->index, id, &place))
            reading->mentions.items[place].kind = kind;
    }
}

static void read_appeared(struct reading *reading, const uint8_t **at)
{
    for (uint64_t count = get_varint(at); count > 0; count--) {
        uint64_t head = get_varint(at);
        *touch_of(reading, head / 2) = (struct touch){.told = reading->sure ? UNKNOWN : UNSURE};
        if (head % 2)
            remember(reading, get_u64(at), true);
    }
}

static void read_changed(struct reading *reading, const uint8_t **at)
{
    for (uint64_t count = get_varint(at); count > 0; count--) {
        struct touch *touch = touch_of(reading, get_varint(at));
        touch->mask |= *(*at)++;
    }
}

// --- hexes ---------------------------------------------------------------------------------------

static struct patch *patch_at(struct reading *reading, int32_t q, int32_t r)
{
    int32_t tile_q = q & ~(SYNC_TILE_SIDE - 1), tile_r = r & ~(SYNC_TILE_SIDE - 1);
    if (reading->last < reading->patches.count) {
        struct patch *last = &reading->patches.items[reading->last];
        if (last->q == tile_q && last->r == tile_r)
            return last;
    }
    uint64_t key = (uint64_t)(uint32_t)tile_q << 32 | (uint32_t)tile_r, at = 0;
    if (!mm_idmap_get(reading->patch_index, key, &at)) {
        at = reading->patches.count;
        if (!mm_vec_push(&reading->patches, ((struct patch){.q = tile_q, .r = tile_r})) ||
            mm_idmap_set(reading->patch_index, key, at) != MM_OK) {
            reading->failed = true;
            return NULL;
        }
    }
    reading->last = at;
    return &reading->patches.items[at];
}

static void read_hexes(struct reading *reading, const uint8_t **at, bool explored)
{
    int32_t q = 0, r = 0;
    for (uint64_t count = get_varint(at); count > 0; count--) {
        uint8_t near = *(*at)++;
        if (near != 0) {
            q += (near >> 4) - 8;
            r += (near & 15) - 8;
        } else {
            q += (int32_t)mm_zigzag_decode(get_varint(at));
            r += (int32_t)mm_zigzag_decode(get_varint(at));
        }
        struct patch *patch = patch_at(reading, q, r);
        if (!patch)
            continue;
        unsigned cell = (unsigned)(r - patch->r) * SYNC_TILE_SIDE + (unsigned)(q - patch->q);
        mm_bitset_set(patch->changed, cell);
        if (explored)
            mm_bitset_set(patch->explored, cell);
    }
}

// --- what is true of it now ----------------------------------------------------------------------

// Whether the client may know an entity by something else than its number, or by another one.
static bool is_known(const struct reading *reading, uint64_t id)
{
    uint64_t at = reading->mentions.count;
    (void)mm_idmap_get(reading->index, id, &at);
    return at < reading->mentions.count && reading->mentions.items[at].known;
}

static bool tell_sight(const struct reading *reading, struct sync_delta *out)
{
    const struct sync_core *core = reading->core;
    for (size_t i = 0; i < reading->view->sight.count; i++) {
        const struct sync_sighting *s = &core->sightings.items[reading->view->sight.items[i]];
        const struct touch *touch = &reading->touches[s->number];
        if (touch->told != FOLLOWED) {
            bool known = is_known(reading, core->mirror.entities[s->slot].id);
            if (!mm_vec_push(&out->appeared, ((struct sync_appearance){s->slot, s->number, known})))
                return false;
            continue;
        }
        unsigned mask = touch->mask;
        if (core->mirror.entities[s->slot].owner != reading->view->empire)
            mask &= SYNC_DIRTY_PUBLIC;
        else if (mask & SYNC_DIRTY_OWNER)
            mask |= SYNC_DIRTY_OWNER_ONLY;
        if (mask != 0 && !mm_vec_push(&out->changed, ((struct sync_change){s->slot, s->number,
                                                                           (uint8_t)mask, false})))
            return false;
    }
    return true;
}

static bool tell_mentions(const struct reading *reading, struct sync_delta *out)
{
    const struct sync_core *core = reading->core;
    for (size_t i = 0; i < reading->mentions.count; i++) {
        const struct mention *it = &reading->mentions.items[i];
        uint32_t slot = sync_mirror_slot(&core->mirror, it->id);
        if (slot != 0 && sync_core_sees(core, reading->view, slot))
            continue; // it appears
        const struct sync_memory *memory = sync_memories_find(&reading->view->memories, it->id);
        bool ok = true;
        if (memory)
            ok = mm_vec_push(&out->cached,
                             ((struct sync_cached_news){.memory = *memory, .known = it->known}));
        else if (it->known)
            ok = mm_vec_push(&out->gone, ((struct sync_gone){it->id, it->kind, it->number}));
        if (!ok)
            return false;
    }
    return true;
}

static bool tell_hexes(const struct reading *reading, struct sync_delta *out)
{
    for (size_t p = 0; p < reading->patches.count; p++) {
        const struct patch *patch = &reading->patches.items[p];
        for (size_t cell = 0;
             (cell = mm_bitset_next(patch->changed, SYNC_TILE_CELLS, cell)) < SYNC_TILE_CELLS;
             cell++) {
            int32_t q = patch->q + (int32_t)(cell % SYNC_TILE_SIDE);
            int32_t r = patch->r + (int32_t)(cell / SYNC_TILE_SIDE);
            uint8_t terrain = 0;
            unsigned state = sync_hexes_get(&reading->view->hexes, q, r, &terrain);
            if (!mm_bitset_get(patch->explored, cell))
                terrain = 0;
            if (!mm_vec_push(&out->hexes, ((struct sync_hex_news){q, r, (uint8_t)state, terrain})))
                return false;
        }
    }
    return true;
}

// --- the whole -----------------------------------------------------------------------------------

static void read_block(struct reading *reading, const struct sync_block *block)
{
    const uint8_t *at = block->body, *end = block->body + block->bytes - 4;
    unsigned parts = *at++;
    if (parts & SYNC_BLOCK_CACHED)
        read_cached(reading, &at);
    if (parts & SYNC_BLOCK_GONE)
        read_gone(reading, &at);
    if (parts & SYNC_BLOCK_APPEARED)
        read_appeared(reading, &at);
    if (parts & SYNC_BLOCK_CHANGED)
        read_changed(reading, &at);
    if (parts & SYNC_BLOCK_HEXES)
        read_hexes(reading, &at, false);
    if (parts & SYNC_BLOCK_EXPLORED)
        read_hexes(reading, &at, true);
    MM_CHECK(at == end);
}

static void read_log(struct reading *reading, struct sync_position position)
{
    const struct sync_history *history = &reading->view->history;
    uint64_t tick = history->first_tick;
    for (size_t at = history->start; at < history->buf.len && !reading->failed;) {
        struct sync_block block;
        sync_block_open(&block, history->buf.data + at);
        if (at > history->start)
            tick += block.ticks;
        reading->sure = tick > position.tick;
        if (tick > position.settled)
            read_block(reading, &block);
        at += block.bytes;
    }
}

bool sync_history_since(const struct sync_core *core, const struct sync_view *view,
                        struct sync_position position, struct sync_delta *out)
{
    sync_delta_clear(out);
    if (view->state != SYNC_VIEW_LIVE || !sync_history_covers(&view->history, position.settled))
        return false;
    struct reading reading = {.core = core, .view = view};
    mm_vec_init(&reading.mentions, SYNC_VIEW_ENTITIES_MAX + SYNC_MEMORIES_MAX);
    mm_vec_init(&reading.patches, SYNC_TILES_MAX);
    reading.touches = mm_calloc(view->number_bits + 1, sizeof *reading.touches);
    reading.index = mm_idmap_new(SYNC_VIEW_ENTITIES_MAX + SYNC_MEMORIES_MAX);
    reading.patch_index = mm_idmap_new(SYNC_TILES_MAX);
    bool ok = reading.touches && reading.index && reading.patch_index;
    if (ok)
        read_log(&reading, position);
    ok = ok && !reading.failed && tell_sight(&reading, out) && tell_mentions(&reading, out) &&
         tell_hexes(&reading, out);
    mm_free(reading.touches);
    mm_idmap_free(reading.index);
    mm_idmap_free(reading.patch_index);
    mm_vec_free(&reading.mentions);
    mm_vec_free(&reading.patches);
    return ok;
}
