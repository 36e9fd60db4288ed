#ifndef TESTS_SUPPORT_DB_OPTIONS_H
#define TESTS_SUPPORT_DB_OPTIONS_H

#include "libcommon/io/db.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

// To a server of the tests, with limits that nothing reaches which comes at all: a disk that is
// busy for seconds fails no test that is not about that. Strings are not copied.
static inline struct mm_db_options test_db_options(const struct test_address *address,
                                                   const char *database)
{
    return (struct mm_db_options){.host = address->host,
                                  .port = address->port,
                                  .user = address->user,
                                  .password = address->password,
                                  .database = database,
                                  .connect_timeout_ms = TEST_PATIENCE_MS,
                                  .io_timeout_ms = TEST_PATIENCE_MS,
                                  .statement_timeout_ms = TEST_PATIENCE_MS,
                                  .lock_wait_s = TEST_PATIENCE_MS / 1000};
}

#endif
