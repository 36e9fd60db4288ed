#include "services/sync/core/resume.h"

#include "libcommon/base/buf_json.h"
#include "services/sync/core/binary.h"
#include "services/sync/core/encode.h"
#include "services/sync/core/update_parts.h"

bool sync_resume_possible(const struct sync_core *core, const struct sync_view *view,
                          const struct sync_place_in_stream *place)
{
    // Numbers, names and the origin mean what they did only as long as the view has lived on.
    return core->history_ticks > 0 && view->state == SYNC_VIEW_LIVE &&
           place->generation == view->generation && place->names_epoch == view->names_epoch &&
           place->position.settled <= place->position.tick &&
           place->position.tick <= core->mirror.tick &&
           place->position.settled + core->history_ticks >= core->mirror.tick &&
           sync_history_covers(&view->history, place->position.settled);
}

// Names that were told behind the place: the client may have missed them, and cannot know how many.
static void put_names(struct mm_buf *out, const struct sync_core *core,
                      const struct sync_view *view, enum sync_encoding encoding, size_t known)
{
    for (size_t i = known; i < view->names_told; i++) {
        const struct sync_empire *empire = sync_full_empire(core, view, i);
        if (encoding == SYNC_BINARY) {
            sync_binary_empire(out, empire);
            continue;
        }
        mm_buf_str(out, i > known ? "," : ",\"empires\":[");
        sync_encode_empire(out, empire);
    }
    if (encoding == SYNC_JSON && known < view->names_told)
        mm_buf_byte(out, ']');
}

static void put_resumed(struct mm_buf *out, const struct sync_core *core,
                        const struct sync_view *view, enum sync_encoding encoding, size_t known)
{
    if (encoding == SYNC_BINARY) {
        mm_buf_byte(out, SYNC_BINARY_RESUMED);
        mm_buf_varint(out, core->mirror.tick);
        mm_buf_varint(out, known);
        mm_buf_varint(out, view->names_told - known);
        put_names(out, core, view, encoding, known);
        return;
    }
    MM_BUF_LIT(out, "{\"type\":\"resumed\",\"tick\":");
    mm_buf_dec_u64(out, core->mirror.tick);
    put_names(out, core, view, encoding, known);
    mm_buf_byte(out, '}');
}

// A hex takes about as much whether it is explored, visible or news.
static bool is_shorter(const struct sync_view *view, const struct sync_delta *news)
{
    size_t entities = news->appeared.count + news->changed.count + news->cached.count;
    return entities <= view->sight.count + view->memories.items.count &&
           news->hexes.count <= (size_t)view->hexes.explored + view->hexes.visible;
}

bool sync_resume_begin(const struct sync_core *core, const struct sync_view *view,
                       enum sync_encoding encoding, const struct sync_place_in_stream *place,
                       struct mm_buf *out, struct sync_delta *news)
{
    if (!sync_resume_possible(core, view, place) ||
        !sync_history_since(core, view, place->position, news) || !is_shorter(view, news))
        return false;
    put_resumed(out, core, view, encoding, sync_view_named_until(view, place->position.settled));
    return out->err == MM_OK;
}

bool sync_resume_encode(struct sync_encoder *encoder, struct sync_core *core,
                        struct sync_view *view, enum sync_encoding encoding, bool beside,
                        struct sync_delta *news)
{
    struct sync_holding *holding = sync_stock_holding(&core->stock, view->empire);
    if (!holding || holding->lost || !sync_holding_tell_again(holding) ||
        !sync_encoder_name_delta(core, view, news))
        return false;
    uint64_t tick = core->mirror.tick;
    bool ok = sync_encode_part(encoder, core, view, news, 0, encoding, tick);
    // What is news to the others is still to be told to them.
    if (ok && !beside)
        sync_encode_told(core, view);
    if (ok && encoder->messages.count == 0)
        ok = sync_encode_idle(encoder, core, 0, encoding, tick);
    return ok;
}
