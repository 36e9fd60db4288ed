#include "libcommon/base/err.h"

#include <string.h>

static const struct {
    const char *name;
    int http_status;
} err_table[MM_ERR_COUNT] = {
    [MM_OK] = {"OK", 200},
    [MM_CANCELLED] = {"CANCELLED", 499},
    [MM_UNKNOWN] = {"UNKNOWN", 500},
    [MM_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", 400},
    [MM_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", 504},
    [MM_NOT_FOUND] = {"NOT_FOUND", 404},
    [MM_ALREADY_EXISTS] = {"ALREADY_EXISTS", 409},
    [MM_PERMISSION_DENIED] = {"PERMISSION_DENIED", 403},
    [MM_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", 429},
    [MM_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", 400},
    [MM_ABORTED] = {"ABORTED", 409},
    [MM_OUT_OF_RANGE] = {"OUT_OF_RANGE", 400},
    [MM_UNIMPLEMENTED] = {"UNIMPLEMENTED", 501},
    [MM_INTERNAL] = {"INTERNAL", 500},
    [MM_UNAVAILABLE] = {"UNAVAILABLE", 503},
    [MM_DATA_LOSS] = {"DATA_LOSS", 500},
    [MM_UNAUTHENTICATED] = {"UNAUTHENTICATED", 401},
};

const char *mm_err_name(enum mm_err err)
{
    // A code may have come over the wire: it is not trusted to be in range.
    unsigned code = (unsigned)err;
    return code < MM_ERR_COUNT ? err_table[code].name : "UNKNOWN";
}

int mm_err_http_status(enum mm_err err)
{
    unsigned code = (unsigned)err;
    return code < MM_ERR_COUNT ? err_table[code].http_status : 500;
}

enum mm_err mm_err_from_name(const char *name)
{
    for (unsigned code = 0; code < MM_ERR_COUNT; code++)
        if (strcmp(err_table[code].name, name) == 0)
            return (enum mm_err)code;
    return MM_UNKNOWN;
}
