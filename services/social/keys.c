#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libcommon/base/check.h"
#include "libcommon/base/log.h"
#include "services/social/app.h"

// All keys of a session carry the same hash tag, so that a cluster keeps them together and a script
// may touch them all.
void social_key(const struct social_app *app, const char *what, char out[SOCIAL_KEY_BYTES])
{
    int len = snprintf(out, SOCIAL_KEY_BYTES, "social:{%s}:%s", app->session, what);
    MM_CHECK(len > 0 && len < SOCIAL_KEY_BYTES);
}

void social_args_init(struct social_args *args)
{
    args->count = 0;
    args->key_count = 0;
    args->number_count = 0;
}

void social_args_bytes(struct social_args *args, const void *data, size_t size)
{
    MM_CHECK(args->count < SOCIAL_ARGS_MAX);
    args->items[args->count] = size > 0 ? data : "";
    args->sizes[args->count++] = size;
}

void social_args_str(struct social_args *args, const char *text)
{
    social_args_bytes(args, text, strlen(text));
}

void social_args_key(struct social_args *args, const struct social_app *app, const char *what)
{
    MM_CHECK(args->key_count == args->count && args->key_count < SOCIAL_KEYS_MAX);
    char *key = args->keys[args->key_count++];
    social_key(app, what, key);
    social_args_str(args, key);
}

void social_args_number(struct social_args *args, int64_t number)
{
    MM_CHECK(args->number_count < 16);
    char *text = args->numbers[args->number_count++];
    snprintf(text, SOCIAL_NUMBER_BYTES, "%" PRId64, number);
    social_args_str(args, text);
}

void social_fail_db(struct social_app *app, struct mm_rpc_call *call, enum mm_err err)
{
    (void)app;
    MM_LOG_WARN("database", "error=%s method=%s", mm_err_name(err), mm_rpc_call_method_name(call));
    mm_rpc_fail(call,
                err == MM_DEADLINE_EXCEEDED || err == MM_RESOURCE_EXHAUSTED ? err : MM_UNAVAILABLE,
                "the store of groups and mail does not answer");
}

void social_fail(struct social_app *app, struct mm_rpc_call *call, enum mm_err err)
{
    mm_counter_add(app->redis_errors, 1);
    MM_LOG_WARN("redis", "error=%s method=%s", mm_err_name(err), mm_rpc_call_method_name(call));
    mm_rpc_fail(call, err == MM_DEADLINE_EXCEEDED ? err : MM_UNAVAILABLE,
                "the presence and chat store does not answer");
}
