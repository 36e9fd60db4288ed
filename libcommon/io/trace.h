#ifndef MM_IO_TRACE_H
#define MM_IO_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// W3C Trace Context, `traceparent` header (https://www.w3.org/TR/trace-context/, section 3.2), and
// random identifiers. Any thread.

enum { MM_TRACEPARENT_CHARS = 55 }; // 00-<32 hex>-<16 hex>-<2 hex>

struct mm_trace {
    uint8_t trace_id[16]; // all zero = no trace
    uint8_t span_id[8];
    uint8_t flags; // bit 0: sampled
};

// Fills out with random bytes of the kernel's generator.
void mm_random_bytes(void *out, size_t len);

// False (and a zero trace) unless `text` is a valid traceparent; NULL is not. Versions above 00 are
// read as 00 with the rest ignored, as the specification asks; ff, upper case and all-zero ids are
// invalid.
bool mm_trace_parse(const char *text, struct mm_trace *out);

// A new trace with random ids.
struct mm_trace mm_trace_new(bool sampled);

// The same trace with a new span id: what a call made on behalf of `parent` carries. If the
// parent is zero or NULL: a new trace.
struct mm_trace mm_trace_child(const struct mm_trace *parent);

bool mm_trace_valid(const struct mm_trace *trace);

// Writes the traceparent with its terminating zero.
void mm_trace_format(const struct mm_trace *trace, char out[MM_TRACEPARENT_CHARS + 1]);

#endif
