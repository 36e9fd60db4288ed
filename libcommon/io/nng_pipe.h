#ifndef MM_IO_NNG_PIPE_H
#define MM_IO_NNG_PIPE_H

#include <nng/nng.h>
#include <stdatomic.h>

// Which connection of a dialling socket is there, as its pipe events tell it. They come on several
// of nng's threads, and for a connection that ends as soon as it is made the news of its end may
// come before that of its beginning: nng tells the latter after the connection has been started. It
// dials again only when both have been told, so one connection that has gone is all to remember.
// Zeroed memory knows of none.
struct mm_nng_pipe {
    atomic_int there; // id; 0: none
    atomic_int gone;  // the last one
};

// Any thread.
static inline int mm_nng_pipe_there(const struct mm_nng_pipe *self)
{
    return atomic_load(&self->there);
}

// In the callback of NNG_PIPE_EV_ADD_POST and NNG_PIPE_EV_REM_POST.
static inline void mm_nng_pipe_note(struct mm_nng_pipe *self, nng_pipe pipe, nng_pipe_ev event)
{
    int id = nng_pipe_id(pipe);
    if (event == NNG_PIPE_EV_ADD_POST) {
        atomic_store(&self->there, id);
        if (atomic_load(&self->gone) != id)
            return;
    } else {
        atomic_store(&self->gone, id);
    }
    // Only the end of the connection that is there counts.
    atomic_compare_exchange_strong(&self->there, &id, 0);
}

#endif
