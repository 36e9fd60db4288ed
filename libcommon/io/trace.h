#ifndef MM_IO_TRACE_H
#define MM_IO_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// W3C Trace Context (https://www.w3.org/TR/trace-context/, section 3.2) and random identifiers.

#define MM_TRACEPARENT_LEN 55 // "00-" 32 hex "-" 16 hex "-" 2 hex

struct mm_trace {
    uint8_t trace_id[16]; // all zero = no trace
    uint8_t span_id[8];
    uint8_t flags;
};

// Fills out with `len` random bytes from the kernel. Any thread.
void mm_random_bytes(void *out, size_t len);

// A new trace with a first span.
struct mm_trace mm_trace_new(void);

// A new span of the same trace; of a new trace when parent is NULL or empty.
struct mm_trace mm_trace_child(const struct mm_trace *parent);

// Whether text is a valid traceparent; fills *out then, else leaves it all zero. NULL is invalid.
bool mm_trace_parse(const char *text, struct mm_trace *out);

// Writes the traceparent and its NUL.
void mm_trace_format(const struct mm_trace *trace, char out[MM_TRACEPARENT_LEN + 1]);

#endif
