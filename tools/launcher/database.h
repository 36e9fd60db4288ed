#ifndef LAUNCHER_DATABASE_H
#define LAUNCHER_DATABASE_H

#include <stdint.h>

// The private MariaDB and Redis servers: their data directories, settings and command lines. All
// returned strings are the caller's to free.

// The path of a program on PATH (or in the sbin directories, which users' paths lack); dies with a
// message that says how to install it.
char *database_find_program(const char *name);

// Prepares DIR/mariadb (which takes seconds at the first start) and returns the server's arguments,
// ending with NULL.
char **database_mariadb_args(const char *data, const char *run, uint16_t port,
                             const char *password);

// Writes DIR/redis/redis.conf and returns its path.
char *database_redis_settings(const char *data, uint16_t port, const char *password);

#endif
