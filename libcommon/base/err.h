#ifndef MM_BASE_ERR_H
#define MM_BASE_ERR_H

// The one error type. Its values are the gRPC status codes, so that an error crosses a
// process boundary as it is. (Source: gRPC, doc/statuscodes.md.)
enum mm_err {
    MM_OK = 0,
    MM_CANCELLED = 1,
    MM_UNKNOWN = 2,
    MM_INVALID_ARGUMENT = 3,
    MM_DEADLINE_EXCEEDED = 4,
    MM_NOT_FOUND = 5,
    MM_ALREADY_EXISTS = 6,
    MM_PERMISSION_DENIED = 7,
    MM_RESOURCE_EXHAUSTED = 8,
    MM_FAILED_PRECONDITION = 9,
    MM_ABORTED = 10,
    MM_OUT_OF_RANGE = 11,
    MM_UNIMPLEMENTED = 12,
    MM_INTERNAL = 13,
    MM_UNAVAILABLE = 14,
    MM_DATA_LOSS = 15,
    MM_UNAUTHENTICATED = 16,
    MM_ERR_COUNT
};

#define MM_MUST_USE                      __attribute__((warn_unused_result))
#define MM_PRINTF(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))

// The code's gRPC name ("NOT_FOUND"); "UNKNOWN" for a value outside the enum. Never NULL.
const char *mm_err_name(enum mm_err err);

// The HTTP status that stands for the code (gRPC -> HTTP mapping of google.rpc.Code).
int mm_err_http_status(enum mm_err err);

// The code of that gRPC name, or MM_UNKNOWN.
enum mm_err mm_err_from_name(const char *name);

#endif
