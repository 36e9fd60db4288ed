#include "tests/support/payer.h"

#include "gen/production.pb-c.h"
#include "libcommon/base/vec.h"
#include "libcommon/io/rpc_server.h"
#include "tests/support/process.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AMOUNTS_MAX = 8 };

struct bill {
    uint64_t number;
    uint32_t empire;
    bool paid;
    size_t amount_count;
    struct {
        char item[32];
        int64_t amount;
    } amounts[AMOUNTS_MAX];
};

struct payer {
    struct mm_rpc_server *server;
    struct mm_rng rng;
    uint64_t settled_below;
    size_t lost;
    struct {
        MM_VEC(struct bill);
    } bills;
};

static struct bill *bill_of(struct payer *payer, uint64_t number)
{
    for (size_t i = 0; i < payer->bills.count; i++)
        if (payer->bills.items[i].number == number)
            return &payer->bills.items[i];
    return NULL;
}

static bool same(const struct bill *bill, const Mmorts__Production__PayRequest *request)
{
    if (bill->empire != request->empire || bill->amount_count != request->n_amounts)
        return false;
    for (size_t i = 0; i < bill->amount_count; i++)
        if (strcmp(bill->amounts[i].item, request->amounts[i]->item) != 0 ||
            bill->amounts[i].amount != request->amounts[i]->amount)
            return false;
    return true;
}

static struct bill *decide(struct payer *payer, const Mmorts__Production__PayRequest *request)
{
    struct bill bill = {.number = request->bill, .empire = request->empire};
    if (request->n_amounts == 0 || request->n_amounts > AMOUNTS_MAX)
        test_fail("bill %" PRIu64 " is of %zu items", request->bill, request->n_amounts);
    for (size_t i = 0; i < request->n_amounts; i++) {
        snprintf(bill.amounts[i].item, sizeof bill.amounts[i].item, "%s",
                 request->amounts[i]->item);
        bill.amounts[i].amount = request->amounts[i]->amount;
        if (bill.amounts[i].amount <= 0)
            test_fail("bill %" PRIu64 " is of %" PRId64 " %s", request->bill,
                      bill.amounts[i].amount, bill.amounts[i].item);
    }
    bill.amount_count = request->n_amounts;
    bill.paid = !mm_rng_chance(&payer->rng, 1, 6);
    if (!mm_vec_push(&payer->bills, bill))
        test_fail("out of memory");
    return &payer->bills.items[payer->bills.count - 1];
}

static void pay(Mmorts__Production__Production_Service *service,
                const Mmorts__Production__PayRequest *request,
                Mmorts__Production__PayReply_Closure closure, void *data)
{
    (void)service;
    struct payer *payer = mm_rpc_call_context(data);
    if (request->bill < payer->settled_below)
        test_fail("bill %" PRIu64 " was said to be settled", request->bill);
    if (request->settled_below > payer->settled_below)
        payer->settled_below = request->settled_below;
    struct bill *bill = bill_of(payer, request->bill);
    if (!bill)
        bill = decide(payer, request);
    else if (!same(bill, request))
        test_fail("bill %" PRIu64 " is asked about otherwise than before", request->bill);
    // Decided, but world does not learn of it and must ask again. (Where nobody is reached the RPC
    // client asks again by itself.)
    if (mm_rng_chance(&payer->rng, 1, 4)) {
        payer->lost++;
        mm_rpc_fail(data, MM_ABORTED, "this answer is lost");
        return;
    }
    Mmorts__Production__PayReply reply = MMORTS__PRODUCTION__PAY_REPLY__INIT;
    reply.paid = bill->paid;
    if (!bill->paid)
        reply.missing = bill->amounts[0].item;
    closure(&reply, data);
}

static Mmorts__Production__Production_Service service = {
    .base = MMORTS__PRODUCTION__PRODUCTION__BASE_INIT,
    .pay = pay,
};

struct payer *payer_open(struct mm_loop *loop, const char *url, uint64_t seed)
{
    struct payer *payer = calloc(1, sizeof *payer);
    if (!payer)
        test_fail("out of memory");
    mm_rng_seed(&payer->rng, seed);
    mm_vec_init(&payer->bills, 1 << 20);
    if (mm_rpc_server_open(loop, NULL, &payer->server) != MM_OK)
        test_fail("no server");
    mm_rpc_server_register(payer->server, &service.base, payer, NULL, 0);
    if (mm_rpc_server_listen(payer->server, url) != MM_OK)
        test_fail("cannot serve at %s", url);
    return payer;
}

void payer_close(struct payer *payer)
{
    mm_rpc_server_close(payer->server);
    mm_vec_free(&payer->bills);
    free(payer);
}

uint64_t payer_paid(const struct payer *payer, uint32_t empire, const char *item)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < payer->bills.count; i++) {
        const struct bill *bill = &payer->bills.items[i];
        for (size_t k = 0; bill->paid && bill->empire == empire && k < bill->amount_count; k++)
            sum += strcmp(bill->amounts[k].item, item) == 0 ? (uint64_t)bill->amounts[k].amount : 0;
    }
    return sum;
}

size_t payer_bills(const struct payer *payer, bool paid)
{
    size_t count = 0;
    for (size_t i = 0; i < payer->bills.count; i++)
        count += payer->bills.items[i].paid == paid;
    return count;
}

size_t payer_lost(const struct payer *payer)
{
    return payer->lost;
}
