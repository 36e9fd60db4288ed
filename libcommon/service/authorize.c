// See authorize.h. The cache is direct-mapped by the token's hash: a newer token takes the place of
// an older one with the same slot, so there is nothing to evict and nothing to grow.

#include "libcommon/service/authorize.h"

#include "gen/auth.pb-c.h"
#include "libcommon/base/alloc.h"
#include "libcommon/base/clock.h"
#include "libcommon/io/http_rpc.h"
#include "libcommon/io/loop.h"
#include "libcommon/io/rpc_client.h"
#include "libcommon/service/known_token.h"

#include <openssl/sha.h>
#include <stdbool.h>
#include <string.h>

enum { ASK_DEADLINE_MS = 3000 };

// A question to auth that is under way.
struct question {
    struct mm_authorizer *authorizer;
    struct mm_http_authorisation *authorisation;
    mm_rpc_handle call;
    struct question *next, **link;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    uint64_t asked_ms;
};

struct mm_authorizer {
    struct mm_rpc_client *auth;
    struct question *questions;
    size_t question_count;
    struct mm_known_token known[MM_AUTHORIZER_ENTRIES_MAX];
};

enum mm_err mm_authorizer_open(struct mm_rpc_client *auth, struct mm_authorizer **out)
{
    struct mm_authorizer *authorizer = mm_calloc(1, sizeof *authorizer);
    if (authorizer == NULL) {
        return MM_RESOURCE_EXHAUSTED;
    }
    authorizer->auth = auth;
    *out = authorizer;
    return MM_OK;
}

static struct mm_http_authorisation *end_question(struct question *question)
{
    struct mm_http_authorisation *authorisation = question->authorisation;
    *question->link = question->next;
    if (question->next != NULL) {
        question->next->link = question->link;
    }
    question->authorizer->question_count--;
    mm_free(question);
    return authorisation;
}

void mm_authorizer_close(struct mm_authorizer *authorizer)
{
    if (authorizer == NULL) {
        return;
    }
    while (authorizer->questions != NULL) {
        mm_rpc_cancel(authorizer->auth, authorizer->questions->call);
        mm_http_authorise(end_question(authorizer->questions), MM_CANCELLED, "shutting down", 0, 0);
    }
    mm_free(authorizer);
}

static struct mm_known_token *slot_of(struct mm_authorizer *authorizer, const uint8_t *hash)
{
    size_t number = (size_t)hash[0] | (size_t)hash[1] << 8;
    return &authorizer->known[number % MM_AUTHORIZER_ENTRIES_MAX];
}

static void remember(struct mm_authorizer *authorizer, const uint8_t *hash, uint64_t asked_ms,
                     const Mmorts__Auth__VerifyReply *reply)
{
    struct mm_known_token *slot = slot_of(authorizer, hash);
    *slot = (struct mm_known_token){
        .until_ms = asked_ms + MM_AUTHORIZER_TTL_MS,
        .expires_wall_ms = reply->expires_at_ms,
        .player_id = reply->player->player_id,
        .permissions = (uint64_t)reply->player->permissions,
    };
    memcpy(slot->hash, hash, sizeof slot->hash);
}

static void on_answer(void *arg, const struct mm_rpc_result *result)
{
    struct question *question = arg;
    struct mm_authorizer *authorizer = question->authorizer;
    const Mmorts__Auth__VerifyReply *reply = (const void *)result->reply;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    memcpy(hash, question->hash, sizeof hash);
    uint64_t asked_ms = question->asked_ms;
    struct mm_http_authorisation *authorisation = end_question(question);
    if (result->code != MM_OK) {
        mm_http_authorise(authorisation, MM_UNAVAILABLE, "the token cannot be checked now", 0, 0);
    } else if (reply->reason != MMORTS__AUTH__VERIFY_REASON__VERIFY_OK || reply->player == NULL) {
        enum mm_err err = reply->reason == MMORTS__AUTH__VERIFY_REASON__VERIFY_BANNED
                              ? MM_PERMISSION_DENIED
                              : MM_UNAUTHENTICATED;
        mm_http_authorise(authorisation, err, reply->message, 0, 0);
    } else {
        remember(authorizer, hash, asked_ms, reply);
        mm_http_authorise(authorisation, MM_OK, "", reply->player->player_id,
                          (uint64_t)reply->player->permissions);
    }
}

static enum mm_err ask(struct mm_authorizer *authorizer,
                       struct mm_http_authorisation *authorisation, const char *bearer,
                       const uint8_t *hash)
{
    if (authorizer->question_count >= MM_AUTHORIZER_WAITING_MAX) {
        return MM_RESOURCE_EXHAUSTED;
    }
    struct question *question = mm_calloc(1, sizeof *question);
    if (question == NULL) {
        return MM_RESOURCE_EXHAUSTED;
    }
    question->authorizer = authorizer;
    question->authorisation = authorisation;
    memcpy(question->hash, hash, sizeof question->hash);
    question->asked_ms = mm_clock_ms();
    Mmorts__Auth__VerifyRequest request = MMORTS__AUTH__VERIFY_REQUEST__INIT;
    request.token = (char *)(uintptr_t)bearer;
    struct mm_rpc_call_options options = {
        .deadline_ms = ASK_DEADLINE_MS, .idempotent = true, .wait_for_connection = true};
    enum mm_err err = mm_rpc_call(authorizer->auth, &mmorts__auth__auth__descriptor, "Verify",
                                  &request.base, &options, on_answer, question, &question->call);
    if (err != MM_OK) {
        mm_free(question);
        return err;
    }
    question->next = authorizer->questions;
    question->link = &authorizer->questions;
    if (question->next != NULL) {
        question->next->link = &question->next;
    }
    authorizer->questions = question;
    authorizer->question_count++;
    return MM_OK;
}

void mm_authorizer_ask(void *arg, struct mm_http_authorisation *authorisation, const char *bearer)
{
    struct mm_authorizer *authorizer = arg;
    size_t bytes = strlen(bearer);
    if (bytes > MM_AUTHORIZER_TOKEN_BYTES_MAX) {
        mm_http_authorise(authorisation, MM_UNAUTHENTICATED, "the token is too long", 0, 0);
        return;
    }
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)bearer, bytes, hash);
    const struct mm_known_token *slot = slot_of(authorizer, hash);
    if (mm_known_token_holds(slot, hash, mm_clock_ms(), mm_clock_wall_ms())) {
        mm_http_authorise(authorisation, MM_OK, "", slot->player_id, slot->permissions);
        return;
    }
    enum mm_err err = ask(authorizer, authorisation, bearer, hash);
    if (err != MM_OK) {
        mm_http_authorise(authorisation, MM_UNAVAILABLE, "the token cannot be checked now", 0, 0);
    }
}
