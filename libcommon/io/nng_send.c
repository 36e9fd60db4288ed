#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcommon/base/check.h"
#include "libcommon/io/nng_close.h"

// See nng_close.h for why.

typedef ssize_t (*sendmsg_fn)(int fd, const struct msghdr *message, int flags);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sendmsg_fn next_sendmsg; // libc's, or a sanitizer's in front of it
static void *nng_base;          // where nng is loaded

static void find_symbols(void)
{
    // The C standard knows no conversion between data and function pointers; POSIX does.
    union {
        void *data;
        sendmsg_fn function;
    } found = {.data = dlsym(RTLD_NEXT, "sendmsg")};
    MM_CHECK(found.data != NULL);
    next_sendmsg = found.function;
    Dl_info info;
    void *inside = dlsym(RTLD_DEFAULT, "nng_msg_alloc");
    if (inside && dladdr(inside, &info) != 0)
        nng_base = info.dli_fbase;
}

void mm_nng_guard_sends(void)
{
    pthread_once(&once, find_symbols);
}

static bool is_nng(const void *code)
{
    Dl_info info;
    return nng_base && dladdr(code, &info) != 0 && info.dli_fbase == nng_base;
}

static ssize_t send_next(int fd, const struct msghdr *message, int flags)
{
#ifdef __SANITIZE_THREAD__
    // nng counts the references of what is sent by atomics that ThreadSanitizer does not see: that
    // another thread frees it as the last would look like a race with what its sendmsg reads.
    return syscall(SYS_sendmsg, fd, message, flags);
#else
    return next_sendmsg(fd, message, flags);
#endif
}

// The dynamic linker gives this to every library that calls sendmsg; only nng's calls that failed
// for a lost peer are treated differently.
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    pthread_once(&once, find_symbols);
    ssize_t sent = send_next(fd, message, flags);
    if (sent >= 0 || (errno != EPIPE && errno != ECONNRESET) ||
        !is_nng(__builtin_return_address(0)))
        return sent;
    (void)shutdown(fd, SHUT_RDWR);
    sent = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        sent += (ssize_t)message->msg_iov[i].iov_len;
    return sent;
}
