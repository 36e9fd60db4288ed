#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gen/auth.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "services/production/app.h"

typedef Mmorts__Production__Production_Service Service;

// The app, if it can take calls now; else the call has been failed.
static struct production_app *ready_app(struct mm_rpc_call *call, const char *session)
{
    struct production_app *app = mm_rpc_call_context(call);
    if (strcmp(session, app->session) != 0) {
        mm_rpc_fail(call, MM_NOT_FOUND, "no session '%s' here; this is '%s'", session,
                    app->session);
        return NULL;
    }
    if (!app->core) {
        mm_rpc_fail(call, MM_UNAVAILABLE, "the state is being loaded");
        return NULL;
    }
    return app;
}

// The same for calls that change something.
static struct production_app *writing_app(struct mm_rpc_call *call, const char *session)
{
    struct production_app *app = ready_app(call, session);
    if (!app)
        return NULL;
    if (app->is_draining || !app->feed.is_live) {
        mm_rpc_fail(call, MM_UNAVAILABLE, "%s",
                    app->is_draining ? "the service is stopping" : "world's ticks are not heard");
        return NULL;
    }
    if (app->pending.acks.count == PRODUCTION_ACKS_MAX) {
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "%d calls are waiting for the database",
                    PRODUCTION_ACKS_MAX);
        return NULL;
    }
    return app;
}

static const char *reason_text(enum production_reason reason)
{
    switch (reason) {
    case PRODUCTION_OK:
        return "";
    case PRODUCTION_UNKNOWN_RECIPE:
        return "There is no such recipe.";
    case PRODUCTION_UNKNOWN_BUILDING:
        return "You have no such building.";
    case PRODUCTION_WRONG_BUILDING:
        return "This building cannot make that.";
    case PRODUCTION_NOT_ENOUGH:
        return "Not enough resources.";
    case PRODUCTION_QUEUE_FULL:
        return "The building's queue is full.";
    case PRODUCTION_NO_EMPIRE:
        return "You have no empire yet.";
    case PRODUCTION_UNKNOWN_JOB:
        return "You have no such job.";
    case PRODUCTION_PAUSED:
        return "The session is paused.";
    case PRODUCTION_INVALID:
        return "The command makes no sense.";
    case PRODUCTION_REPEATED:
        return "This command was carried out before.";
    }
    return "";
}

static void fill_job(const struct production_app *app, const struct production_job *job,
                     Mmorts__Production__Job *out)
{
    mmorts__production__job__init(out);
    out->job_id = job->id;
    out->empire = job->empire;
    out->building = job->building;
    if (job->order != 0) // else all that is left is its id
        out->recipe = app->book.recipes[job->recipe].name;
    out->start_tick = job->start_tick;
    out->end_tick = job->end_tick;
    out->cycles_left = job->cycles_left;
    out->cycles_completed = job->cycles_completed;
}

static void reply_start(struct production_app *app, struct mm_rpc_call *call,
                        enum production_reason reason, const char *message,
                        const struct production_job *job)
{
    Mmorts__Production__StartJobReply reply = MMORTS__PRODUCTION__START_JOB_REPLY__INIT;
    Mmorts__Production__Job job_message;
    reply.reason = (Mmorts__Production__JobReason)reason;
    reply.message = (char *)(uintptr_t)message;
    if (reason == PRODUCTION_OK) {
        fill_job(app, job, &job_message);
        reply.job = &job_message;
    }
    mm_rpc_reply(call, &reply.base);
}

static void reply_cancel(struct production_app *app, struct mm_rpc_call *call,
                         enum production_reason reason)
{
    (void)app;
    Mmorts__Production__CancelJobReply reply = MMORTS__PRODUCTION__CANCEL_JOB_REPLY__INIT;
    reply.reason = (Mmorts__Production__JobReason)reason;
    reply.message = (char *)(uintptr_t)reason_text(reason);
    mm_rpc_reply(call, &reply.base);
}

// The empire's whole stock as a list; *names_out and the array are the caller's to free.
static size_t fill_stock(const struct production_app *app, uint32_t empire,
                         Mmorts__Production__Amount **amounts_out,
                         Mmorts__Production__Amount ***list_out)
{
    size_t count = app->book.item_count;
    *amounts_out = mm_calloc(count, sizeof **amounts_out);
    *list_out = mm_calloc(count, sizeof **list_out);
    MM_CHECK(*amounts_out && *list_out);
    for (size_t i = 0; i < count; i++) {
        Mmorts__Production__Amount *amount = &(*amounts_out)[i];
        mmorts__production__amount__init(amount);
        amount->item = app->book.items[i];
        amount->amount = production_stock(app->core, empire, (uint16_t)i);
        (*list_out)[i] = amount;
    }
    return count;
}

static void reply_grant(struct production_app *app, struct mm_rpc_call *call, uint32_t empire,
                        bool is_repeated)
{
    Mmorts__Production__GrantReply reply = MMORTS__PRODUCTION__GRANT_REPLY__INIT;
    Mmorts__Production__Amount *amounts;
    reply.repeated_key = is_repeated;
    reply.n_amounts = fill_stock(app, empire, &amounts, &reply.amounts);
    mm_rpc_reply(call, &reply.base);
    mm_free(reply.amounts);
    mm_free(amounts);
}

static void reply_pay(const struct production_ack *ack)
{
    Mmorts__Production__PayReply reply = MMORTS__PRODUCTION__PAY_REPLY__INIT;
    reply.paid = ack->paid;
    reply.missing = (char *)(uintptr_t)ack->missing;
    mm_rpc_reply(ack->call, &reply.base);
}

void production_rpc_answer(struct production_app *app, const struct production_ack *ack)
{
    switch (ack->kind) {
    case PRODUCTION_ACK_START:
        reply_start(app, ack->call, PRODUCTION_OK, "", &ack->job);
        break;
    case PRODUCTION_ACK_CANCEL:
        reply_cancel(app, ack->call, PRODUCTION_OK);
        break;
    case PRODUCTION_ACK_GRANT:
        if (app->core)
            reply_grant(app, ack->call, ack->empire, false);
        else
            mm_rpc_fail(ack->call, MM_UNAVAILABLE, "granted; the stock is being loaded");
        break;
    case PRODUCTION_ACK_PAY:
        reply_pay(ack);
        break;
    }
}

static void await_durable(struct production_app *app, const struct production_ack *ack)
{
    MM_CHECK(mm_vec_push(&app->pending.acks, *ack)); // writing_app made sure of the room
    production_store_flush(app);
}

// --- handlers ----------------------------------------------------------------------------------

void production_rpc_start(struct production_app *app, struct mm_rpc_call *call,
                          const Mmorts__Production__StartJobRequest *input)
{
    if (!writing_app(call, input->session))
        return;
    struct production_order order = {
        .player_id = input->player_id,
        .client_seq = input->client_seq,
        .empire = input->empire,
        .building = input->building,
        .recipe = input->recipe,
        .cycles = input->cycles,
    };
    struct production_ack ack = {.call = call, .kind = PRODUCTION_ACK_START};
    const char *missing = NULL;
    enum production_reason reason =
        production_start(app->core, &order, &app->pending.changes, &ack.job, &missing);
    if (reason == PRODUCTION_OK) {
        // Also a repeated command waits: its first one may still be on its way to the database.
        await_durable(app, &ack);
        return;
    }
    char message[128];
    if (missing)
        snprintf(message, sizeof message, "Not enough %s.", missing);
    else
        snprintf(message, sizeof message, "%s", reason_text(reason));
    reply_start(app, call, reason, message, &ack.job);
}

static void rpc_start_job(Service *service, const Mmorts__Production__StartJobRequest *input,
                          Mmorts__Production__StartJobReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct production_app *app = writing_app(call, input->session);
    // Whoever orders may know of a building that world's stream has not told of here yet.
    if (app && input->seen_tick > production_tick(app->core))
        production_held_add(app, call, input);
    else if (app)
        production_rpc_start(app, call, input);
}

static void rpc_cancel_job(Service *service, const Mmorts__Production__CancelJobRequest *input,
                           Mmorts__Production__CancelJobReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct production_app *app = writing_app(call, input->session);
    if (!app)
        return;
    enum production_reason reason =
        production_cancel(app->core, input->player_id, input->client_seq, input->empire,
                          input->job_id, input->refund, &app->pending.changes);
    if (reason == PRODUCTION_OK)
        await_durable(app, &(struct production_ack){.call = call, .kind = PRODUCTION_ACK_CANCEL});
    else
        reply_cancel(app, call, reason);
}

static void rpc_grant(Service *service, const Mmorts__Production__GrantRequest *input,
                      Mmorts__Production__GrantReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct production_app *app = writing_app(call, input->session);
    if (!app)
        return;
    struct production_amount amounts[PRODUCTION_ITEMS_MAX];
    if (input->key.len == 0 || input->key.len > PRODUCTION_GRANT_KEY_BYTES_MAX ||
        input->n_amounts == 0 || input->n_amounts > PRODUCTION_ITEMS_MAX) {
        mm_rpc_fail(call, MM_INVALID_ARGUMENT,
                    "a grant has a key of 1 to %d bytes and 1 to %d amounts",
                    PRODUCTION_GRANT_KEY_BYTES_MAX, PRODUCTION_ITEMS_MAX);
        return;
    }
    for (size_t i = 0; i < input->n_amounts; i++) {
        int item = production_book_item(&app->book, input->amounts[i]->item);
        if (item < 0) {
            mm_rpc_fail(call, MM_INVALID_ARGUMENT, "unknown item '%s'", input->amounts[i]->item);
            return;
        }
        amounts[i] = (struct production_amount){(uint16_t)item, input->amounts[i]->amount};
    }
    const char *key = (const char *)input->key.data;
    if (mm_strmap_get_n(app->granted, key, input->key.len, NULL)) {
        reply_grant(app, call, input->empire, true);
        return;
    }
    if (mm_strmap_count(app->granted) == PRODUCTION_GRANTS_MAX) {
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "%d grants are remembered", PRODUCTION_GRANTS_MAX);
        return;
    }
    char cause[PRODUCTION_CAUSE_BYTES];
    snprintf(cause, sizeof cause, "grant %.60s", input->reason);
    enum production_reason reason = production_grant(
        app->core, input->empire, amounts, input->n_amounts, cause, &app->pending.changes);
    if (reason != PRODUCTION_OK) {
        mm_rpc_fail(call,
                    reason == PRODUCTION_NOT_ENOUGH  ? MM_FAILED_PRECONDITION
                    : reason == PRODUCTION_NO_EMPIRE ? MM_NOT_FOUND
                                                     : MM_INVALID_ARGUMENT,
                    "%s", reason_text(reason));
        return;
    }
    struct production_grant_key grant = {.len = input->key.len};
    memcpy(grant.bytes, input->key.data, input->key.len);
    MM_CHECK(mm_strmap_set_n(app->granted, key, input->key.len, 1) == MM_OK &&
             mm_vec_push(&app->pending.grants, grant));
    await_durable(app, &(struct production_ack){
                           .call = call, .kind = PRODUCTION_ACK_GRANT, .empire = input->empire});
}

static void rpc_pay(Service *service, const Mmorts__Production__PayRequest *input,
                    Mmorts__Production__PayReply_Closure closure, void *closure_data)
{
    (void)service;
    (void)closure;
    struct mm_rpc_call *call = closure_data;
    struct production_app *app = writing_app(call, input->session);
    if (!app)
        return;
    struct production_amount amounts[PRODUCTION_ITEMS_MAX];
    struct production_payment payment = {
        .bill = input->bill,
        .settled_below = input->settled_below,
        .empire = input->empire,
        .amounts = amounts,
        .known_items = true,
    };
    bool sound = input->n_amounts <= PRODUCTION_ITEMS_MAX;
    for (size_t i = 0; sound && i < input->n_amounts; i++) {
        int item = production_book_item(&app->book, input->amounts[i]->item);
        int64_t amount = input->amounts[i]->amount;
        sound = amount > 0 && amount <= PRODUCTION_AMOUNT_MAX;
        if (item < 0) {
            MM_LOG_WARN("a bill is in what is no item of the book; it is refused", "item=%s",
                        input->amounts[i]->item);
            payment.known_items = false;
        } else {
            amounts[payment.count++] = (struct production_amount){(uint16_t)item, amount};
        }
    }
    struct production_ack ack = {.call = call, .kind = PRODUCTION_ACK_PAY};
    enum production_reason reason = PRODUCTION_INVALID;
    if (sound)
        reason =
            production_pay(app->core, &payment, &app->pending.changes, &ack.paid, &ack.missing);
    // Also what was decided before may still be on its way to the database.
    if (reason == PRODUCTION_OK)
        await_durable(app, &ack);
    else if (reason == PRODUCTION_NO_EMPIRE)
        mm_rpc_fail(call, MM_UNAVAILABLE, "the empire has no inventory yet");
    else if (reason == PRODUCTION_QUEUE_FULL)
        mm_rpc_fail(call, MM_RESOURCE_EXHAUSTED, "too many bills are not settled");
    else if (reason == PRODUCTION_REPEATED)
        mm_rpc_fail(call, MM_FAILED_PRECONDITION, "the bill was settled before");
    else
        mm_rpc_fail(call, MM_INVALID_ARGUMENT, "the bill makes no sense");
}

struct job_list {
    const struct production_app *app;
    struct {
        MM_VEC(Mmorts__Production__Job);
    } jobs;
};

static void list_job(void *arg, const struct production_job *job)
{
    struct job_list *list = arg;
    Mmorts__Production__Job message;
    fill_job(list->app, job, &message);
    MM_CHECK(mm_vec_push(&list->jobs, message));
}

static void rpc_list_jobs(Service *service, const Mmorts__Production__ListJobsRequest *input,
                          Mmorts__Production__ListJobsReply_Closure closure, void *closure_data)
{
    (void)service;
    struct mm_rpc_call *call = closure_data;
    struct production_app *app = ready_app(call, input->session);
    if (!app)
        return;
    struct job_list list = {.app = app};
    mm_vec_init(&list.jobs, PRODUCTION_JOBS_MAX);
    production_each_job(app->core, input->empire, list_job, &list);
    Mmorts__Production__ListJobsReply reply = MMORTS__PRODUCTION__LIST_JOBS_REPLY__INIT;
    reply.n_jobs = list.jobs.count;
    reply.jobs = mm_calloc(list.jobs.count + 1, sizeof *reply.jobs);
    MM_CHECK(reply.jobs);
    for (size_t i = 0; i < list.jobs.count; i++)
        reply.jobs[i] = &list.jobs.items[i];
    closure(&reply, call);
    mm_free(reply.jobs);
    mm_vec_free(&list.jobs);
}

static void rpc_get_inventory(Service *service,
                              const Mmorts__Production__GetInventoryRequest *input,
                              Mmorts__Production__GetInventoryReply_Closure closure,
                              void *closure_data)
{
    (void)service;
    struct mm_rpc_call *call = closure_data;
    struct production_app *app = ready_app(call, input->session);
    if (!app)
        return;
    if (!production_has_empire(app->core, input->empire)) {
        mm_rpc_fail(call, MM_NOT_FOUND, "empire %" PRIu32 " has no inventory", input->empire);
        return;
    }
    Mmorts__Production__GetInventoryReply reply = MMORTS__PRODUCTION__GET_INVENTORY_REPLY__INIT;
    Mmorts__Production__Amount *amounts;
    reply.n_amounts = fill_stock(app, input->empire, &amounts, &reply.amounts);
    closure(&reply, call);
    mm_free(reply.amounts);
    mm_free(amounts);
}

// One recipe as a message, with the arrays it points to.
struct recipe_message {
    Mmorts__Production__Recipe recipe;
    char *buildings[PRODUCTION_BUILDINGS_MAX];
    Mmorts__Production__Amount inputs[PRODUCTION_INPUTS_MAX], tools[PRODUCTION_TOOLS_MAX];
    Mmorts__Production__Amount *input_list[PRODUCTION_INPUTS_MAX], *tool_list[PRODUCTION_TOOLS_MAX];
    Mmorts__Production__Output outputs[PRODUCTION_OUTPUTS_MAX];
    Mmorts__Production__Output *output_list[PRODUCTION_OUTPUTS_MAX];
};

static void fill_amounts(struct production_app *app, const struct production_amount *from,
                         size_t count, Mmorts__Production__Amount *to,
                         Mmorts__Production__Amount **list)
{
    for (size_t i = 0; i < count; i++) {
        mmorts__production__amount__init(&to[i]);
        to[i].item = app->book.items[from[i].item];
        to[i].amount = from[i].amount;
        list[i] = &to[i];
    }
}

static void fill_recipe(struct production_app *app, struct production_recipe *from,
                        struct recipe_message *to)
{
    Mmorts__Production__Recipe *recipe = &to->recipe;
    mmorts__production__recipe__init(recipe);
    recipe->name = from->name;
    recipe->category = from->category;
    recipe->n_buildings = from->building_count;
    recipe->buildings = to->buildings;
    for (size_t i = 0; i < from->building_count; i++)
        to->buildings[i] = from->buildings[i];
    recipe->n_inputs = from->input_count;
    recipe->inputs = to->input_list;
    fill_amounts(app, from->inputs, from->input_count, to->inputs, to->input_list);
    recipe->n_tools = from->tool_count;
    recipe->tools = to->tool_list;
    fill_amounts(app, from->tools, from->tool_count, to->tools, to->tool_list);
    recipe->n_outputs = from->output_count;
    recipe->outputs = to->output_list;
    for (size_t i = 0; i < from->output_count; i++) {
        Mmorts__Production__Output *output = &to->outputs[i];
        mmorts__production__output__init(output);
        if (from->outputs[i].is_unit)
            output->unit = from->outputs[i].unit;
        else
            output->item = app->book.items[from->outputs[i].item];
        output->amount = from->outputs[i].amount;
        output->probability_permille = from->outputs[i].probability_permille;
        to->output_list[i] = output;
    }
    recipe->duration_ticks = from->duration_ticks;
}

static void rpc_list_recipes(Service *service, const Mmorts__Production__ListRecipesRequest *input,
                             Mmorts__Production__ListRecipesReply_Closure closure,
                             void *closure_data)
{
    (void)service;
    struct mm_rpc_call *call = closure_data;
    struct production_app *app = mm_rpc_call_context(call);
    size_t count = app->book.recipe_count;
    struct recipe_message *messages = mm_calloc(count, sizeof *messages);
    Mmorts__Production__ListRecipesReply reply = MMORTS__PRODUCTION__LIST_RECIPES_REPLY__INIT;
    reply.recipes = mm_calloc(count, sizeof *reply.recipes);
    MM_CHECK(messages && reply.recipes);
    for (size_t i = 0; i < count; i++) {
        struct production_recipe *recipe = &app->book.recipes[i];
        if (*input->category && strcmp(input->category, recipe->category) != 0)
            continue;
        if (*input->output && !production_recipe_makes(recipe, &app->book, input->output))
            continue;
        struct recipe_message *message = &messages[reply.n_recipes];
        fill_recipe(app, recipe, message);
        reply.recipes[reply.n_recipes++] = &message->recipe;
    }
    closure(&reply, call);
    mm_free(reply.recipes);
    mm_free(messages);
}

static Service production_service = MMORTS__PRODUCTION__PRODUCTION__INIT(rpc_);

static const struct mm_rpc_policy policies[] = {
    {"StartJob", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
    {"CancelJob", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true,
     .idempotent = true},
    {"Grant", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true, .idempotent = true},
    {"Pay", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .mutating = true, .idempotent = true},
    {"ListJobs", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .idempotent = true},
    {"GetInventory", MMORTS__AUTH__PERMISSION__PERMISSION_OPERATE, .idempotent = true},
    {"ListRecipes", MM_RPC_PUBLIC, .idempotent = true},
};

void production_rpc_register(struct production_app *app)
{
    mm_rpc_server_register(mm_service_rpc_server(app->service), &production_service.base, app,
                           policies, sizeof policies / sizeof policies[0]);
}
