#include "tests/support/world_mirror.h"

#include "libcommon/base/hash.h"
#include "tests/support/process.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(holds, what)                                                                          \
    do {                                                                                           \
        if (!(holds))                                                                              \
            test_fail("frame of tick %" PRIu64 " breaks the contract: %s", frame->tick, what);     \
    } while (0)

typedef const Mmorts__Frame__TickFrame tick_frame;

struct mirror *mirror_new(void)
{
    return calloc(1, sizeof(struct mirror));
}

static void clear(struct mirror *mirror)
{
    free(mirror->entities);
    free(mirror->empires);
    free(mirror->chunks);
    free(mirror->refunds);
    memset(mirror, 0, sizeof *mirror);
}

void mirror_free(struct mirror *mirror)
{
    if (mirror)
        clear(mirror);
    free(mirror);
}

// How many are allocated where the first `end` are used: the power of two that holds them. A
// snapshot spawns a hundred thousand one by one, and not every realloc grows in place.
static size_t room(size_t end)
{
    size_t count = end > 0 ? 1 : 0;
    while (count < end)
        count *= 2;
    return count;
}

static void *enlarge(void *memory, size_t *end, size_t wanted, size_t bytes_each)
{
    if (wanted <= *end)
        return memory;
    uint8_t *grown = memory;
    if (room(wanted) > room(*end))
        grown = realloc(memory, room(wanted) * bytes_each);
    if (!grown)
        abort();
    memset(grown + *end * bytes_each, 0, (wanted - *end) * bytes_each);
    *end = wanted;
    return grown;
}

static void apply_catalogue(struct mirror *mirror, tick_frame *frame)
{
    const Mmorts__Frame__Catalogue *catalogue = frame->catalogue;
    MUST(catalogue && catalogue->types && catalogue->terrains, "a snapshot lacks its catalogue");
    const Mmorts__Frame__TypeColumns *types = catalogue->types;
    size_t n = types->n_name;
    MUST(n <= 512 && types->n_kind == n && types->n_sight_hexes == n && types->n_sight_type == n &&
             types->n_health_max == n && types->n_ticks_per_hex == n && types->n_flags == n,
         "columns of types differ in length");
    size_t m = catalogue->terrains->n_name;
    MUST(m > 0 && catalogue->terrains->n_move_cost_percent == m &&
             catalogue->terrains->n_sight_cost == m,
         "columns of terrains differ in length");
    mirror->type_count = n;
    memcpy(mirror->health_max, types->health_max, n * sizeof *mirror->health_max);
    for (size_t i = 0; i < n; i++)
        mirror->eyes[i] = (struct mirror_eyes){
            (int32_t)types->sight_hexes[i], (int32_t)types->sight_type[i],
            (types->flags[i] & MMORTS__FRAME__TYPE_FLAG__TYPE_FLAG_STEALTH) != 0};
    uint32_t radius = catalogue->chunk_radius;
    mirror->cells_per_chunk = 3 * radius * (radius + 1) + 1;
    MUST(catalogue->tick_rate_hz == 20, "the tick rate is not 20");
    mirror->item_count = catalogue->n_items;
    MUST(catalogue->n_items <= 8, "there are more than 8 items");
    for (size_t i = 0; i < catalogue->n_items; i++)
        snprintf(mirror->items[i], sizeof mirror->items[i], "%s", catalogue->items[i]);
}

static void apply_empires(struct mirror *mirror, tick_frame *frame)
{
    const Mmorts__Frame__EmpireColumns *e = frame->empires;
    if (!e)
        return;
    size_t n = e->n_empire;
    MUST(n > 0 && e->n_id == n && e->n_player_id == n && e->n_name == n && e->n_home_q == n &&
             e->n_home_r == n,
         "columns of empires differ in length");
    for (size_t i = 0; i < n; i++) {
        MUST(e->empire[i] >= 1, "an empire is number 0");
        mirror->empires = enlarge(mirror->empires, &mirror->empire_end, (size_t)e->empire[i] + 1,
                                  sizeof *mirror->empires);
        struct mirror_empire *empire = &mirror->empires[e->empire[i]];
        MUST(empire->id == 0, "an empire is founded twice");
        empire->id = e->id[i];
        empire->player_id = e->player_id[i];
        snprintf(empire->name, sizeof empire->name, "%s", e->name[i]);
        empire->home_q = e->home_q[i];
        empire->home_r = e->home_r[i];
    }
}

static void apply_chunks(struct mirror *mirror, tick_frame *frame)
{
    const Mmorts__Frame__ChunkColumns *c = frame->chunks;
    if (!c)
        return;
    MUST(c->n_q == c->n_r && c->cells.len == c->n_q * mirror->cells_per_chunk,
         "columns of chunks differ in length");
    MUST(c->n_version == c->n_q, "columns of chunks differ in length");
    for (size_t i = 0; i < c->n_version; i++)
        MUST(c->version[i] != 0, "a chunk has no version");
    size_t end = mirror->chunk_count;
    mirror->chunks =
        enlarge(mirror->chunks, &end, mirror->chunk_count + c->n_q, sizeof *mirror->chunks);
    for (size_t i = 0; i < c->n_q; i++) {
        for (size_t j = 0; j < mirror->chunk_count; j++)
            MUST(mirror->chunks[j].q != c->q[i] || mirror->chunks[j].r != c->r[i],
                 "a chunk appears twice");
        mirror->chunks[mirror->chunk_count++] = (struct mirror_chunk){
            c->q[i], c->r[i],
            mm_hash64(c->cells.data + i * mirror->cells_per_chunk, mirror->cells_per_chunk, 0)};
    }
}

static struct mirror_entity *known(struct mirror *mirror, tick_frame *frame, uint32_t index)
{
    MUST(index != 0 && index < mirror->entity_end && mirror->entities[index].alive,
         "an entity is spoken of that does not exist");
    return &mirror->entities[index];
}

static void apply_spawned(struct mirror *mirror, tick_frame *frame)
{
    const Mmorts__Frame__SpawnColumns *s = frame->spawned;
    if (!s)
        return;
    size_t n = s->n_entity;
    MUST(n > 0 && s->n_id == n && s->n_type == n && s->n_owner == n && s->n_q == n && s->n_r == n,
         "columns of spawned differ in length");
    for (size_t i = 0; i < n; i++) {
        MUST(s->entity[i] != 0 && s->id[i] != 0 && s->type[i] < mirror->type_count,
             "a spawned entity is without index, id or type");
        mirror->entities = enlarge(mirror->entities, &mirror->entity_end, (size_t)s->entity[i] + 1,
                                   sizeof *mirror->entities);
        struct mirror_entity *entity = &mirror->entities[s->entity[i]];
        MUST(!entity->alive, "an entity is spawned in a taken slot");
        for (size_t d = 0; d < frame->n_despawned; d++)
            MUST(frame->despawned[d] != s->entity[i], "a slot is used again in the same frame");
        *entity =
            (struct mirror_entity){true, s->id[i], s->type[i], s->owner[i], s->q[i], s->r[i], {0}};
        entity->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_HEALTH] =
            (int32_t)mirror->health_max[s->type[i]];
        entity->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER] = (int32_t)s->owner[i];
        const struct mirror_eyes *eyes = &mirror->eyes[s->type[i]];
        entity->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_ENABLED] = 1;
        entity->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_HEXES] = eyes->hexes;
        entity->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_SIGHT_TYPE] = eyes->type;
        entity->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_STEALTHED] = eyes->stealthed;
        entity->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_PROGRESS] = 1000;
        mirror->entity_count++;
    }
}

static void apply_changes(struct mirror *mirror, tick_frame *frame)
{
    const Mmorts__Frame__PositionColumns *m = frame->moved;
    if (m) {
        MUST(m->n_entity > 0 && m->n_q == m->n_entity && m->n_r == m->n_entity,
             "columns of moved differ in length");
        for (size_t i = 0; i < m->n_entity; i++) {
            struct mirror_entity *entity = known(mirror, frame, m->entity[i]);
            MUST(entity->q != m->q[i] || entity->r != m->r[i], "an entity moved to where it was");
            entity->q = m->q[i];
            entity->r = m->r[i];
        }
    }
    for (size_t c = 0; c < frame->n_columns; c++) {
        const Mmorts__Frame__AttributeColumn *column = frame->columns[c];
        MUST(column->n_entity > 0 && column->n_value == column->n_entity,
             "columns of an attribute differ in length");
        MUST(column->attribute > 0 && (int)column->attribute < (int)MIRROR_ATTRIBUTES,
             "an attribute is unknown");
        for (size_t i = 0; i < column->n_entity; i++) {
            struct mirror_entity *entity = known(mirror, frame, column->entity[i]);
            entity->attributes[column->attribute] = column->value[i];
            if (column->attribute == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_OWNER)
                entity->owner = (uint32_t)column->value[i];
        }
    }
}

static void apply_refunds(struct mirror *mirror, tick_frame *frame)
{
    const Mmorts__Frame__RefundColumns *r = frame->refunds;
    if (!r)
        return;
    MUST(r->n_empire > 0 && r->n_item == r->n_empire && r->n_total == r->n_empire,
         "columns of refunds differ in length");
    for (size_t i = 0; i < r->n_empire; i++) {
        MUST(r->empire[i] >= 1 && r->empire[i] < mirror->empire_end &&
                 r->item[i] < mirror->item_count,
             "a refund is of no empire or no item");
        size_t at = 0;
        while (at < mirror->refund_count && (mirror->refunds[at].empire != r->empire[i] ||
                                             mirror->refunds[at].item != r->item[i]))
            at++;
        mirror->refunds =
            enlarge(mirror->refunds, &mirror->refund_count, at + 1, sizeof *mirror->refunds);
        MUST(mirror->refunds[at].total <= r->total[i], "a total of refunds falls");
        mirror->refunds[at] = (struct mirror_refund){r->empire[i], r->item[i], r->total[i]};
    }
}

uint64_t mirror_refunded(const struct mirror *mirror, uint32_t empire, const char *item)
{
    for (size_t i = 0; i < mirror->refund_count; i++)
        if (mirror->refunds[i].empire == empire &&
            strcmp(mirror->items[mirror->refunds[i].item], item) == 0)
            return mirror->refunds[i].total;
    return 0;
}

void mirror_apply(struct mirror *mirror, const Mmorts__Frame__TickFrame *frame)
{
    if (frame->snapshot) {
        clear(mirror);
        apply_catalogue(mirror, frame);
    } else {
        MUST(frame->tick == mirror->tick + 1, "a tick is missing or comes twice");
        MUST(!frame->catalogue, "a catalogue is not in a snapshot");
    }
    MUST(frame->state == MMORTS__FRAME__SESSION_STATE__SESSION_STATE_RUNNING ||
             frame->state == MMORTS__FRAME__SESSION_STATE__SESSION_STATE_PAUSED,
         "the state is unknown");
    mirror->tick = frame->tick;
    mirror->state_hash = frame->state_hash;
    mirror->state = frame->state;
    apply_empires(mirror, frame);
    apply_chunks(mirror, frame);
    for (size_t i = 0; i < frame->n_despawned; i++) {
        known(mirror, frame, frame->despawned[i])->alive = false;
        mirror->entity_count--;
    }
    apply_spawned(mirror, frame);
    apply_changes(mirror, frame);
    apply_refunds(mirror, frame);
}

void mirror_apply_bytes(struct mirror *mirror, const uint8_t *bytes, size_t len)
{
    Mmorts__Frame__TickFrame *frame = mmorts__frame__tick_frame__unpack(NULL, len, bytes);
    if (!frame)
        test_fail("a frame of %zu bytes cannot be unpacked", len);
    mirror_apply(mirror, frame);
    mmorts__frame__tick_frame__free_unpacked(frame, NULL);
}

static bool differ(const struct mirror *a, const char *what, uint64_t which)
{
    fprintf(stderr, "mirrors differ at tick %" PRIu64 ": %s %" PRIu64 "\n", a->tick, what, which);
    return false;
}

static bool entity_equal(const struct mirror_entity *a, const struct mirror_entity *b)
{
    if (a->alive != b->alive)
        return false;
    if (!a->alive)
        return true;
    bool moving = a->attributes[MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_ACTIVITY] ==
                  MMORTS__FRAME__ACTIVITY__ACTIVITY_MOVING;
    for (int i = 0; i < MIRROR_ATTRIBUTES; i++) {
        bool target = i == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_TARGET_Q ||
                      i == MMORTS__FRAME__ATTRIBUTE__ATTRIBUTE_TARGET_R;
        if (a->attributes[i] != b->attributes[i] && (moving || !target))
            return false;
    }
    return a->id == b->id && a->type == b->type && a->owner == b->owner && a->q == b->q &&
           a->r == b->r;
}

bool mirror_equal(const struct mirror *a, const struct mirror *b)
{
    if (a->tick != b->tick || a->state_hash != b->state_hash || a->state != b->state)
        return differ(a, "tick, state or hash, other tick", b->tick);
    if (a->entity_count != b->entity_count || a->chunk_count != b->chunk_count ||
        a->empire_end != b->empire_end)
        return differ(a, "counts; other entities", b->entity_count);
    static const struct mirror_entity nobody;
    size_t end = a->entity_end > b->entity_end ? a->entity_end : b->entity_end;
    for (size_t i = 0; i < end; i++)
        if (!entity_equal(i < a->entity_end ? &a->entities[i] : &nobody,
                          i < b->entity_end ? &b->entities[i] : &nobody))
            return differ(a, "entity", i);
    for (size_t i = 0; i < a->empire_end; i++)
        if (memcmp(&a->empires[i], &b->empires[i], sizeof a->empires[i]) != 0)
            return differ(a, "empire", i);
    for (size_t i = 0; i < a->chunk_count; i++)
        if (a->chunks[i].q != b->chunks[i].q || a->chunks[i].r != b->chunks[i].r ||
            a->chunks[i].cells_hash != b->chunks[i].cells_hash)
            return differ(a, "chunk", i);
    for (uint32_t empire = 1; empire < a->empire_end; empire++)
        for (size_t item = 0; item < a->item_count; item++)
            if (mirror_refunded(a, empire, a->items[item]) !=
                mirror_refunded(b, empire, a->items[item]))
                return differ(a, "refunds of empire", empire);
    return true;
}
