#include "libcommon/base/check.h"

#include <stdio.h>
#include <stdlib.h>

void mm_check_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "level=fatal msg=\"check failed\" check=\"%s\" at=%s:%d\n", cond, file, line);
    abort();
}
