#ifndef LOGIN_LOGIN_H
#define LOGIN_LOGIN_H

#include "libcommon/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A stand-in for the real login server, for local games and tests: no passwords, a name is enough,
// the same name is the same player. It is in no production image.

struct login_users;
struct login_signer;
struct mm_http_server;

enum {
    LOGIN_USERS_MAX = 1000000,
    LOGIN_NAME_CHARS_MAX = 32,
    LOGIN_BODY_BYTES_MAX = 4096,
    LOGIN_TOKEN_CHARS_MAX = 2048,
    LOGIN_TOKEN_LIFE_S = 86400,
    LOGIN_PERMISSIONS_OPERATOR = 256 | 512, // MODERATE and OPERATE of proto/auth.proto
};

// --- users.c: names and their numbers, kept in DIR/users ---

// INTERNAL (logged): the file cannot be read, or is damaged.
enum mm_err login_users_open(const char *directory, struct login_users **out) MM_MUST_USE;
void login_users_close(struct login_users *users);

// The name's number, a new one (on disk before this returns) if it is new. The name is valid.
// UNAVAILABLE: it cannot be written. RESOURCE_EXHAUSTED: LOGIN_USERS_MAX.
enum mm_err login_users_id(struct login_users *users, const char *name, int64_t *out) MM_MUST_USE;

// --- signer.c: the key, kept in DIR/key.pem, and tokens signed with it ---

// Loads the key, or makes it. INTERNAL (logged) if neither can be done.
enum mm_err login_signer_open(const char *directory, struct login_signer **out) MM_MUST_USE;
void login_signer_close(struct login_signer *signer);

// Replaces the key by a new one, also on disk.
enum mm_err login_signer_rotate(struct login_signer *signer) MM_MUST_USE;

// The public key's PEM, until the next rotation.
const char *login_signer_public_pem(const struct login_signer *signer);

// Signs the claims (JSON text) with ES256. RESOURCE_EXHAUSTED: too long.
enum mm_err login_signer_sign(struct login_signer *signer, const char *claims,
                              char out[LOGIN_TOKEN_CHARS_MAX + 1]) MM_MUST_USE;

// --- server.c: the HTTP routes ---

struct login_server {
    struct login_users *users;
    struct login_signer *signer;
    const char *issuer;
    const char *operators; // names, comma separated, whose tokens carry all permissions
    bool test;             // knobs for tests are open
};

void login_server_add_routes(struct login_server *server, struct mm_http_server *http);

#endif
