#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// What fuzzers make of their bytes where bytes as they are would hardly get past the first check.

struct fuzz_input {
    const uint8_t *data;
    size_t len;
};

// A small number, 0 to bound - 1, of the next byte; 0 at the end.
static inline uint32_t fuzz_below(struct fuzz_input *in, uint32_t bound)
{
    if (in->len == 0)
        return 0;
    in->len--;
    return *in->data++ % bound;
}

// Text in which the bytes from 0x80 on stand for the words, as far as there are any; all others for
// themselves. As much as fits; the length.
static inline size_t fuzz_words(const uint8_t *data, size_t len, const char *const *words,
                                size_t word_count, char *out, size_t out_bytes)
{
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        const char *word = (const char *)data + i;
        size_t word_len = 1;
        if (data[i] >= 0x80 && data[i] - 0x80u < word_count) {
            word = words[data[i] - 0x80u];
            word_len = strlen(word);
        }
        if (word_len > out_bytes - at)
            break;
        memcpy(out + at, word, word_len);
        at += word_len;
    }
    return at;
}

#endif
