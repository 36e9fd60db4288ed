#include "libcommon/base/alloc.h"
#include "libcommon/base/bitset.h"
#include "services/vision/app.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Explain and GetCache.

typedef Mmorts__Vision__Vision_Service Service;

// A memory columns message of rows that lie elsewhere.
static bool fill_memories(Mmorts__Frame__MemoryColumns *columns, const struct vision_memory *rows,
                          size_t count)
{
    mmorts__frame__memory_columns__init(columns);
    columns->id = mm_calloc(count + 1, sizeof *columns->id);
    columns->type = mm_calloc(count + 1, sizeof *columns->type);
    columns->owner = mm_calloc(count + 1, sizeof *columns->owner);
    columns->q = mm_calloc(count + 1, sizeof *columns->q);
    columns->r = mm_calloc(count + 1, sizeof *columns->r);
    columns->health = mm_calloc(count + 1, sizeof *columns->health);
    columns->first_seen = mm_calloc(count + 1, sizeof *columns->first_seen);
    columns->last_seen = mm_calloc(count + 1, sizeof *columns->last_seen);
    columns->mode = mm_calloc(count + 1, sizeof *columns->mode);
    columns->expires_at = mm_calloc(count + 1, sizeof *columns->expires_at);
    if (!columns->id || !columns->type || !columns->owner || !columns->q || !columns->r ||
        !columns->health || !columns->first_seen || !columns->last_seen || !columns->mode ||
        !columns->expires_at)
        return false;
    columns->n_id = columns->n_type = columns->n_owner = columns->n_q = columns->n_r = count;
    columns->n_health = columns->n_first_seen = columns->n_last_seen = count;
    columns->n_mode = columns->n_expires_at = count;
    for (size_t i = 0; i < count; i++)
        vision_memory_to_columns(columns, i, &rows[i]);
    return true;
}

static void free_memories(Mmorts__Frame__MemoryColumns *columns)
{
    void *items[] = {columns->id,        columns->type,      columns->owner, columns->q,
                     columns->r,         columns->health,    columns->mode,  columns->first_seen,
                     columns->last_seen, columns->expires_at};
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        mm_free(items[i]);
}

// --- Explain ---------------------------------------------------------------------------------

static void reply_explanation(struct mm_rpc_call *call, const struct vision_app *app,
                              const struct vision_explanation *explanation,
                              Mmorts__Frame__MemoryColumns *remembered)
{
    Mmorts__Vision__SightSource sources[VISION_SOURCES_MAX];
    Mmorts__Vision__SightSource *source_list[VISION_SOURCES_MAX];
    Mmorts__Vision__ExplainReply reply = MMORTS__VISION__EXPLAIN_REPLY__INIT;
    for (size_t i = 0; i < explanation->source_count && i < VISION_SOURCES_MAX; i++) {
        const struct vision_source_of *from = &explanation->sources[i];
        Mmorts__Vision__SightSource *to = source_list[i] = &sources[i];
        mmorts__vision__sight_source__init(to);
        to->entity = from->id;
        to->empire = from->empire;
        to->q = from->at.q;
        to->r = from->at.r;
        to->range_hexes = (uint32_t)from->range_hexes;
        to->distance_hexes = (uint32_t)from->distance_hexes;
        to->detector = from->detects;
        to->share = (Mmorts__Vision__SightShare)from->share;
        to->alliance = from->alliance;
        reply.n_sources++;
    }
    reply.sources = source_list;
    reply.source_count = (uint32_t)explanation->source_count;
    reply.tick = vision_tick(app->core);
    reply.visible = explanation->visible;
    reply.reason = (Mmorts__Vision__SightReason)explanation->reason;
    reply.state = explanation->state;
    reply.q = explanation->at.q;
    reply.r = explanation->at.r;
    reply.stealthed = explanation->stealthed;
    reply.owner = explanation->owner;
    reply.remembered = remembered;
    mm_rpc_reply(call, &reply.base);
}

void vision_rpc_explain(Service *service, const Mmorts__Vision__ExplainRequest *input,
                        Mmorts__Vision__ExplainReply_Closure closure, void *closure_data)
{
    (void)service, (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct vision_app *app = vision_rpc_app(call, input->session);
    if (!app || !vision_rpc_empire_known(call, app, input->empire))
        return;
    struct hex_axial at = {input->q, input->r};
    if (input->entity == 0 && !hex_in_bounds(at)) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "the hex is out of the world");
        return;
    }
    struct vision_explanation explanation;
    enum mm_err err = vision_explain(app->core, input->empire, input->entity, at, &explanation);
    if (err != MM_OK) {
        mm_rpc_fail(call, err, "no explanation");
        return;
    }
    struct vision_memory memory;
    Mmorts__Frame__MemoryColumns remembered;
    if (input->entity == 0 || !vision_recall(app->core, input->empire, input->entity, &memory)) {
        reply_explanation(call, app, &explanation, NULL);
        return;
    }
    if (fill_memories(&remembered, &memory, 1))
        reply_explanation(call, app, &explanation, &remembered);
    else
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "out of memory");
    free_memories(&remembered);
}

// --- GetCache --------------------------------------------------------------------------------

enum { PAGE_SIZE_DEFAULT = 100, PAGE_SIZE_MAX = 500, TOKEN_BYTES = 24 };

// "": the beginning; "c" or "m" for chunks or memories, and the last one's key unless there is
// none.
static bool read_token(const char *token, struct vision_page_place *out)
{
    *out = (struct vision_page_place){0};
    if (*token == '\0')
        return true;
    if (*token != 'c' && *token != 'm')
        return false;
    out->memories = *token++ == 'm';
    if (*token == '\0')
        return out->memories;
    if (strlen(token) != 16 || strspn(token, "0123456789abcdef") != 16)
        return false;
    out->begun = true;
    out->after = strtoull(token, NULL, 16);
    return true;
}

static void write_token(const struct vision_page_place *place, char out[TOKEN_BYTES])
{
    if (place->begun)
        snprintf(out, TOKEN_BYTES, "%c%016" PRIx64, place->memories ? 'm' : 'c', place->after);
    else
        snprintf(out, TOKEN_BYTES, "%c", place->memories ? 'm' : 'c');
}

struct cache_reply {
    Mmorts__Vision__GetCacheReply message;
    Mmorts__Frame__MemoryColumns remembered;
    Mmorts__Vision__ExploredChunk *chunks;
    int32_t *numbers; // of all hexes: q, r, terrain, state side by side
    char token[TOKEN_BYTES];
};

static void free_cache(struct cache_reply *reply)
{
    free_memories(&reply->remembered);
    mm_free(reply->message.chunks);
    mm_free(reply->message.remembered_type);
    mm_free(reply->chunks);
    mm_free(reply->numbers);
}

static void fill_chunk(const struct vision_app *app, uint32_t empire,
                       const struct vision_explored *from, Mmorts__Vision__ExploredChunk *to,
                       int32_t **numbers)
{
    struct hex_tiling tiling;
    if (hex_tiling_init(&tiling, (int32_t)app->catalogue->chunk_radius) != MM_OK)
        return;
    mmorts__vision__explored_chunk__init(to);
    struct hex_axial center = hex_chunk_center(&tiling, from->chunk);
    to->q = center.q;
    to->r = center.r;
    to->first_seen = from->first_seen;
    to->last_seen = from->last_seen;
    size_t count = mm_bitset_count(from->cells, tiling.cells);
    to->hex_q = *numbers;
    to->hex_r = to->hex_q + count;
    to->hex_terrain = (uint32_t *)(to->hex_r + count);
    to->hex_state = (Mmorts__Frame__Visibility *)(to->hex_terrain + count);
    *numbers += 4 * count;
    to->n_hex_q = to->n_hex_r = to->n_hex_terrain = to->n_hex_state = count;
    size_t n = 0;
    for (size_t cell = mm_bitset_next(from->cells, tiling.cells, 0); cell < tiling.cells;
         cell = mm_bitset_next(from->cells, tiling.cells, cell + 1), n++) {
        struct hex_axial at = hex_chunk_hex(&tiling, from->chunk, (uint32_t)cell);
        to->hex_q[n] = at.q;
        to->hex_r[n] = at.r;
        to->hex_terrain[n] = vision_terrain(app->core, at) + UINT32_C(1);
        to->hex_state[n] = vision_hex_state(app->core, empire, at);
    }
}

static bool fill_cache(const struct vision_app *app, uint32_t empire,
                       const struct vision_page *page, struct cache_reply *reply)
{
    Mmorts__Vision__GetCacheReply *message = &reply->message;
    size_t cells = hex_disc_count((int32_t)app->catalogue->chunk_radius);
    message->chunks = mm_calloc(page->chunk_count + 1, sizeof(void *));
    message->remembered_type = mm_calloc(page->memory_count + 1, sizeof(char *));
    reply->chunks = mm_calloc(page->chunk_count + 1, sizeof *reply->chunks);
    reply->numbers = mm_calloc(page->chunk_count * cells + 1, 4 * sizeof *reply->numbers);
    if (!fill_memories(&reply->remembered, page->memories, page->memory_count) ||
        !message->chunks || !message->remembered_type || !reply->chunks || !reply->numbers)
        return false;
    int32_t *numbers = reply->numbers;
    for (size_t i = 0; i < page->chunk_count; i++) {
        message->chunks[i] = &reply->chunks[i];
        fill_chunk(app, empire, &page->chunks[i], &reply->chunks[i], &numbers);
    }
    message->n_chunks = page->chunk_count;
    for (size_t i = 0; i < page->memory_count; i++)
        message->remembered_type[i] = app->catalogue->types->name[page->memories[i].type];
    message->n_remembered_type = page->memory_count;
    message->remembered = &reply->remembered;
    message->tick = vision_tick(app->core);
    if (page->more) {
        write_token(&page->next, reply->token);
        message->next_page_token = reply->token;
    }
    return true;
}

void vision_rpc_get_cache(Service *service, const Mmorts__Vision__GetCacheRequest *input,
                          Mmorts__Vision__GetCacheReply_Closure closure, void *closure_data)
{
    (void)service, (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct vision_app *app = vision_rpc_app(call, input->session);
    if (!app || !vision_rpc_empire_known(call, app, input->empire))
        return;
    struct vision_page_place place;
    if (input->page_size > PAGE_SIZE_MAX || !read_token(input->page_token, &place)) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT,
                    "page_size at most %d, page_token as the last page gave it", PAGE_SIZE_MAX);
        return;
    }
    struct vision_page page;
    enum mm_err err = vision_page(app->core, input->empire, place,
                                  input->page_size ? input->page_size : PAGE_SIZE_DEFAULT, &page);
    struct cache_reply reply = {.message = MMORTS__VISION__GET_CACHE_REPLY__INIT};
    if (err == MM_OK && fill_cache(app, input->empire, &page, &reply))
        mm_rpc_reply(call, &reply.message.base);
    else
        mm_rpc_fail(call, err == MM_OK ? MM_RESOURCE_EXHAUSTED : err, "the page could not be made");
    free_cache(&reply);
    vision_page_free(&page);
}
