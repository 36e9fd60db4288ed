#ifndef PRODUCTION_STORE_SQL_H
#define PRODUCTION_STORE_SQL_H

#include "libcommon/io/db_conn.h"
#include "services/production/app.h"

// The statements. On a worker thread of the pool; touches nothing but its arguments.

struct production_sql_batch {
    const char *session;
    const struct production_book *book;
    uint64_t owner_epoch;
    uint64_t tick;
    const struct production_change *changes;
    size_t change_count;
    const struct production_grant_key *grants;
    size_t grant_count;
};

// Writes all changes in one transaction. FAILED_PRECONDITION: the session has another owner.
MM_MUST_USE enum mm_err production_sql_write(struct mm_db_conn *conn,
                                             const struct production_sql_batch *batch);

struct production_sql_loaded {
    uint64_t seed; // in
    struct production *core;
    struct mm_strmap *granted;
    uint64_t owner_epoch;
    struct {
        MM_VEC(struct production_spawn);
    } spawns;
};

// Takes the session over (a new owner epoch) and reads its state. The lock on the owner's row makes
// it wait for a transaction of an earlier owner that is still under way. DATA_LOSS: what is
// stored contradicts itself.
MM_MUST_USE enum mm_err production_sql_load(struct mm_db_conn *conn, const char *session,
                                            const struct production_book *book,
                                            struct production_sql_loaded *out);
void production_sql_loaded_free(struct production_sql_loaded *loaded);

#endif
