#ifndef MM_BASE_LOG_H
#define MM_BASE_LOG_H

#include "libcommon/base/err.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Structured logging: one logfmt line per event, on stderr.
//
//   MM_LOG_INFO("player joined", "player=%" PRIu64 " name=%s", player_id, name);
//   -> ts=2026-01-31T12:00:00.123Z level=info service=sync msg="player joined" player=7 name="a b"
//
// The second argument (optional) is a literal of `key=%spec` fields separated by single spaces; the
// compiler checks it as a printf format. What a field prints is quoted and escaped as a whole when
// it needs to be, so that no value can forge a field or a line.
//
// Each call site may print MM_LOG_SITE_PER_SECOND lines a second; what is left out is counted and
// told in `suppressed=` with the site's next line. Lines longer than MM_LOG_LINE_BYTES are cut.
// Thread-safe. Never blocks: a line that stderr cannot take at once is dropped and counted
// (`dropped=` in the next line). Never log a token, a password or a mail address.

enum mm_log_level {
    MM_LOG_LEVEL_DEBUG,
    MM_LOG_LEVEL_INFO,
    MM_LOG_LEVEL_WARN,
    MM_LOG_LEVEL_ERROR,
    MM_LOG_LEVEL_OFF,
};

enum { MM_LOG_SITE_PER_SECOND = 20, MM_LOG_LINE_BYTES = 2048 };

// Names the process and sets the least level that is printed. Call once, before threads start.
// `service` is kept by reference.
void mm_log_init(const char *service, enum mm_log_level level);
void mm_log_set_level(enum mm_log_level level);
enum mm_log_level mm_log_get_level(void);
bool mm_log_enabled(enum mm_log_level level);

// "debug" "info" "warn" "error" "off"; MM_INVALID_ARGUMENT for anything else.
enum mm_err MM_MUST_USE mm_log_level_parse(const char *text, enum mm_log_level *out);
const char *mm_log_level_name(enum mm_log_level level);

// Adds `trace=<id>` to the lines of the calling thread until called with NULL. The text is copied
// (at most 63 bytes).
void mm_log_set_trace(const char *trace_id);

// Sends finished lines (with their newline) to `sink` instead of stderr; NULL restores stderr. The
// sink may be called from any thread. For tests: set it while nobody logs.
typedef void (*mm_log_sink_fn)(void *ctx, const char *line, size_t len);
void mm_log_set_sink(mm_log_sink_fn sink, void *ctx);

// State of one call site; static storage, zero-initialised.
struct mm_log_site {
    _Atomic uint64_t second;
    _Atomic uint32_t printed;
    _Atomic uint32_t suppressed;
};

void mm_log_write(enum mm_log_level level, struct mm_log_site *site, const char *msg,
                  const char *fields, ...) MM_PRINTF(4, 5);

#define MM_LOG_AT(level, msg, ...)                                                                 \
    do {                                                                                           \
        static struct mm_log_site mm_log_site_;                                                    \
        if (mm_log_enabled(level))                                                                 \
            mm_log_write((level), &mm_log_site_, (msg), " " __VA_ARGS__);                          \
    } while (0)

#define MM_LOG_DEBUG(...) MM_LOG_AT(MM_LOG_LEVEL_DEBUG, __VA_ARGS__)
#define MM_LOG_INFO(...)  MM_LOG_AT(MM_LOG_LEVEL_INFO, __VA_ARGS__)
#define MM_LOG_WARN(...)  MM_LOG_AT(MM_LOG_LEVEL_WARN, __VA_ARGS__)
#define MM_LOG_ERROR(...) MM_LOG_AT(MM_LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
