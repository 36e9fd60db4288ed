#ifndef MM_BASE_NAME_H
#define MM_BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>

// True for a name that may be shown to others: 1..chars_max code points of well-formed UTF-8, no
// space at either end, no control characters, and none that turn or hide the text around them
// (bidirectional overrides, zero-width and format characters, tags).
bool mm_name_valid(const char *name, size_t len, size_t chars_max);

#endif
