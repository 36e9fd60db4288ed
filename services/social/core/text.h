#ifndef SOCIAL_CORE_TEXT_H
#define SOCIAL_CORE_TEXT_H

#include <stddef.h>

// What may be said. Pure.

enum social_text { // in the order in which they are looked for
    SOCIAL_TEXT_OK,
    SOCIAL_TEXT_INVALID,  // not UTF-8, or control or direction-override characters in it
    SOCIAL_TEXT_EMPTY,    // nothing but white space
    SOCIAL_TEXT_TOO_LONG, // more than `characters_max` code points
};

// Narrows *text, *len to the message without white space around it and judges it.
enum social_text social_text_check(const char **text, size_t *len, size_t characters_max);
// The same for a text of several lines: line feeds within it are allowed.
enum social_text social_text_check_lines(const char **text, size_t *len, size_t characters_max);

#endif
