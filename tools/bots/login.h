#ifndef BOTS_LOGIN_H
#define BOTS_LOGIN_H

#include "libcommon/base/buf.h"
#include "libcommon/io/loop.h"
#include "tools/bots/address.h"

// Asks the login server for a token by name: POST <path>/api/login {"username":...}, answered by
// {"token":...}.

enum { LOGIN_TOKEN_BYTES = 4096 };

// token is NULL when there is none; it dies with the call.
typedef void (*login_done_fn)(void *arg, const char *token);

struct login {
    struct mm_loop *loop;
    login_done_fn on_done;
    void *arg;
    int fd; // -1: nothing under way
    struct mm_buf request;
    size_t sent;
    struct mm_buf answer;
    struct mm_loop_timer timer;
};

void login_init(struct login *login, struct mm_loop *loop);
// on_done is called once, from the loop, unless login_cancel is called before.
void login_start(struct login *login, const struct address *server, const char *username,
                 login_done_fn on_done, void *arg);
void login_cancel(struct login *login);
void login_free(struct login *login);

#endif
