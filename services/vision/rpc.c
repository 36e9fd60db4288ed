#include "gen/auth.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/io/db_conn.h"
#include "services/vision/app.h"

#include <inttypes.h>
#include <string.h>

// The Vision service. Answers speak of the last tick applied.

typedef Mmorts__Vision__Vision_Service Service;

enum { AREA_RADIUS_MAX = 64 };

struct vision_app *vision_rpc_app(struct mm_rpc_call *call, const char *session)
{
    struct vision_app *app = mm_rpc_call_context(call);
    if (strcmp(session, app->session) != 0) {
        mm_rpc_fail(call, MM_NOT_FOUND, "no session '%s' here; this is '%s'", session,
                    app->session);
        return NULL;
    }
    if (!app->publisher || !vision_is_live(app->core)) {
        mm_rpc_fail(call, MM_UNAVAILABLE, "world's state is not known yet");
        return NULL;
    }
    return app;
}

bool vision_rpc_empire_known(struct mm_rpc_call *call, const struct vision_app *app,
                             uint32_t empire)
{
    bool known = vision_knows_empire(app->core, empire);
    if (!known)
        mm_rpc_fail(call, MM_NOT_FOUND, "no empire %" PRIu32, empire);
    return known;
}

static void vision_rpc_get_view(Service *service, const Mmorts__Vision__GetViewRequest *input,
                                Mmorts__Vision__GetViewReply_Closure closure, void *closure_data)
{
    (void)service;
    struct mm_rpc_call *call = closure_data;
    struct vision_app *app = vision_rpc_app(call, input->session);
    if (!app || !vision_rpc_empire_known(call, app, input->empire))
        return;
    const struct mm_stream_publisher *stream = app->publisher;
    if (input->subscriber[0] != '\0') {
        const char *why;
        stream =
            vision_serve_publisher(app, input->subscriber, input->revision, input->empire, &why);
        if (!stream) {
            mm_rpc_fail(call, MM_FAILED_PRECONDITION, "%s", why);
            return;
        }
    }
    Mmorts__Vision__GetViewReply reply = MMORTS__VISION__GET_VIEW_REPLY__INIT;
    enum mm_err err = vision_view(app->core, input->empire, &reply.view);
    if (err != MM_OK) {
        mm_rpc_fail(call, err, "the view could not be made");
        return;
    }
    reply.epoch = mm_stream_publisher_epoch(stream);
    reply.seq = mm_stream_publisher_seq(stream);
    closure(&reply, call);
    vision_view_free(reply.view);
}

static void vision_rpc_get_visible_area(Service *service,
                                        const Mmorts__Vision__GetVisibleAreaRequest *input,
                                        Mmorts__Vision__GetVisibleAreaReply_Closure closure,
                                        void *closure_data)
{
    (void)service;
    struct mm_rpc_call *call = closure_data;
    struct vision_app *app = vision_rpc_app(call, input->session);
    if (!app || !vision_rpc_empire_known(call, app, input->empire))
        return;
    struct hex_axial center = {input->q, input->r};
    if (input->radius_hexes > AREA_RADIUS_MAX || !hex_in_bounds(center)) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "radius_hexes at most %d, hex within the world",
                    AREA_RADIUS_MAX);
        return;
    }
    int32_t radius = (int32_t)input->radius_hexes;
    size_t count = hex_disc_count(radius);
    struct hex_axial *hexes = mm_calloc(count, sizeof *hexes);
    Mmorts__Vision__GetVisibleAreaReply reply = MMORTS__VISION__GET_VISIBLE_AREA_REPLY__INIT;
    reply.q = mm_calloc(count, sizeof *reply.q);
    reply.r = mm_calloc(count, sizeof *reply.r);
    reply.state = mm_calloc(count, sizeof *reply.state);
    if (hexes && reply.q && reply.r && reply.state) {
        hex_disc(center, radius, hexes);
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            reply.q[n] = hexes[i].q;
            reply.r[n] = hexes[i].r;
            reply.state[n] = vision_hex_state(app->core, input->empire, hexes[i]);
            n += reply.state[n] != MMORTS__FRAME__VISIBILITY__VISIBILITY_SHROUD;
        }
        reply.n_q = reply.n_r = reply.n_state = n;
        reply.tick = vision_tick(app->core);
        closure(&reply, call);
    } else {
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "out of memory");
    }
    mm_free(hexes);
    mm_free(reply.q);
    mm_free(reply.r);
    mm_free(reply.state);
}

static void vision_rpc_can_see(Service *service, const Mmorts__Vision__CanSeeRequest *input,
                               Mmorts__Vision__CanSeeReply_Closure closure, void *closure_data)
{
    (void)service;
    struct mm_rpc_call *call = closure_data;
    struct vision_app *app = vision_rpc_app(call, input->session);
    if (!app || !vision_rpc_empire_known(call, app, input->empire))
        return;
    Mmorts__Vision__CanSeeReply reply = MMORTS__VISION__CAN_SEE_REPLY__INIT;
    struct hex_axial at = {input->q, input->r};
    bool place_known = true;
    if (input->entity != 0) {
        place_known = vision_sees_entity(app->core, input->empire, input->entity, &at);
        reply.visible = place_known;
    }
    if (place_known)
        reply.state = vision_hex_state(app->core, input->empire, at);
    if (input->entity == 0)
        reply.visible = reply.state == MMORTS__FRAME__VISIBILITY__VISIBILITY_VISIBLE;
    reply.tick = vision_tick(app->core);
    closure(&reply, call);
}

// --- sharing: durable before it is answered --------------------------------------------------

// Who lends to one empire by order, at most: world, which has to know them all, takes four times as
// many, and those count there until their end takes effect.
enum { ORDERED_LENDERS_MAX = 256 };

struct share_change {
    struct vision_stamped stamped; // first
    struct mm_rpc_call *call;
    uint32_t from, to;
    bool mutual;
    bool begin;
    bool writes, writes_back; // what of it is not so already
    bool no_room;
};

static enum mm_err write_shares(struct mm_db_conn *conn, const struct vision_stamped *stamped)
{
    const struct share_change *change = (const void *)stamped;
    const char *session = stamped->app->session;
    enum mm_err err = MM_OK;
    if (change->writes)
        err =
            vision_sql_share(conn, session, change->from, change->to, stamped->tick, change->begin);
    if (err == MM_OK && change->writes_back)
        err =
            vision_sql_share(conn, session, change->to, change->from, stamped->tick, change->begin);
    return err;
}

static enum mm_err order(struct vision_app *app, uint32_t from, uint32_t to, uint64_t tick,
                         bool begin)
{
    return begin ? vision_share(app->core, from, to, tick)
                 : vision_unshare(app->core, from, to, tick);
}

static void share_failed(const struct share_change *change, enum mm_err err)
{
    if (vision_fence_lost(change->stamped.app, err))
        mm_rpc_fail(change->call, MM_UNAVAILABLE, "another process has taken this session over");
    else if (change->no_room)
        mm_rpc_fail(change->call, err, "%d empires lend it their sight already",
                    ORDERED_LENDERS_MAX);
    else
        mm_rpc_fail(change->call, err == MM_CANCELLED ? MM_UNAVAILABLE : err,
                    "the change could not be written");
}

static void share_done(enum mm_err err, struct vision_stamped *stamped)
{
    struct share_change *change = (void *)stamped;
    struct vision_app *app = stamped->app;
    uint64_t tick = stamped->tick;
    if (err == MM_OK && change->writes)
        err = order(app, change->from, change->to, tick, change->begin);
    if (err == MM_OK && change->writes_back)
        err = order(app, change->to, change->from, tick, change->begin);
    if (err != MM_OK) {
        share_failed(change, err);
    } else if (change->begin) {
        Mmorts__Vision__ShareVisionReply reply = MMORTS__VISION__SHARE_VISION_REPLY__INIT;
        reply.tick = tick;
        mm_rpc_reply(change->call, &reply.base);
    } else {
        Mmorts__Vision__StopSharingReply reply = MMORTS__VISION__STOP_SHARING_REPLY__INIT;
        reply.tick = tick;
        mm_rpc_reply(change->call, &reply.base);
    }
    mm_free(change);
    vision_lends_tell(app);
}

static bool room_for(const struct vision_app *app, uint32_t to)
{
    return vision_ordered_lenders(app->core, to) < ORDERED_LENDERS_MAX;
}

// What is so already is not written again, but answered only if the session is still ours.
static enum mm_err prepare_share(struct vision_stamped *stamped)
{
    struct share_change *change = (void *)stamped;
    const struct vision_app *app = stamped->app;
    change->writes = vision_shares(app->core, change->from, change->to) != change->begin;
    change->writes_back =
        change->mutual && vision_shares(app->core, change->to, change->from) != change->begin;
    change->no_room = change->begin && ((change->writes && !room_for(app, change->to)) ||
                                        (change->writes_back && !room_for(app, change->from)));
    return change->no_room ? MM_RESOURCE_EXHAUSTED : MM_OK;
}

static void change_sharing(struct mm_rpc_call *call, const char *session,
                           const struct share_change *wanted)
{
    static const struct vision_stamped_kind kind = {
        .prepare = prepare_share, .write = write_shares, .done = share_done};
    struct vision_app *app = vision_rpc_app(call, session);
    if (!app || !vision_rpc_empire_known(call, app, wanted->from) ||
        !vision_rpc_empire_known(call, app, wanted->to))
        return;
    if (wanted->from == wanted->to) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "an empire sees what it sees");
        return;
    }
    struct share_change *change = mm_malloc(sizeof *change);
    if (!change) {
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    *change = *wanted;
    change->stamped = (struct vision_stamped){.app = app, .kind = &kind};
    change->call = call;
    if (vision_stamps_write(&change->stamped) == MM_OK)
        return;
    mm_rpc_fail(call, MM_UNAVAILABLE, "too many changes of sharing wait to be written");
    mm_free(change);
}

static void vision_rpc_share_vision(Service *service,
                                    const Mmorts__Vision__ShareVisionRequest *input,
                                    Mmorts__Vision__ShareVisionReply_Closure closure,
                                    void *closure_data)
{
    (void)service, (void)closure;
    struct share_change change = {
        .from = input->from_empire, .to = input->to_empire, .mutual = input->mutual, .begin = true};
    change_sharing(closure_data, input->session, &change);
}

static void vision_rpc_stop_sharing(Service *service,
                                    const Mmorts__Vision__StopSharingRequest *input,
                                    Mmorts__Vision__StopSharingReply_Closure closure,
                                    void *closure_data)
{
    (void)service, (void)closure;
    struct share_change change = {
        .from = input->from_empire, .to = input->to_empire, .mutual = input->mutual};
    change_sharing(closure_data, input->session, &change);
}

void vision_rpc_register(struct vision_app *app)
{
    static Service service = MMORTS__VISION__VISION__INIT(vision_rpc_);
    // Over HTTP for the operator only: whoever may ask for any empire's view sees everything.
    static const struct mm_rpc_policy policies[] = {
        {.method = "GetView",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
         .idempotent = true},
        {.method = "Serve",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
         .idempotent = true},
        {.method = "GetVisibleArea",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
         .idempotent = true},
        {.method = "CanSee",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
         .idempotent = true},
        {.method = "Explain",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
         .idempotent = true},
        {.method = "GetCache",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
         .idempotent = true},
        {.method = "ShareVision",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
         .mutating = true,
         .idempotent = true},
        {.method = "StopSharing",
         .permission = MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE,
         .mutating = true,
         .idempotent = true},
    };
    mm_rpc_server_register(mm_service_rpc_server(app->service), &service.base, app, policies,
                           sizeof policies / sizeof *policies);
}
