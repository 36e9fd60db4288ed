#include "tools/bots/stats.h"

#include "libcommon/base/buf_json.h"
#include "libcommon/base/check.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CODES_MAX = 128 };

void stats_init(struct stats *stats)
{
    memset(stats, 0, sizeof *stats);
    stats->errors = mm_strmap_new(CODES_MAX);
    stats->close_codes = mm_strmap_new(CODES_MAX);
    MM_CHECK(stats->errors && stats->close_codes);
}

void stats_free(struct stats *stats)
{
    mm_strmap_free(stats->errors);
    mm_strmap_free(stats->close_codes);
}

void stats_count(struct mm_strmap *counts, const char *key)
{
    uint64_t count = 0;
    if (!mm_strmap_get(counts, key, &count) && mm_strmap_count(counts) >= CODES_MAX - 1) {
        key = "other";
        mm_strmap_get(counts, key, &count);
    }
    if (mm_strmap_set(counts, key, count + 1) != MM_OK)
        return; // out of memory: a statistic less
}

static double ms(uint64_t us)
{
    return (double)us / 1000;
}

void stats_print(struct stats *stats, uint64_t elapsed_ms)
{
    double seconds = elapsed_ms > 0 ? (double)elapsed_ms / 1000 : 1;
    printf("bots %u/%u  updates %.0f/s  %.1f KB/s  commands %" PRIu64 " acks %" PRIu64
           "  ack p50 %.1f p99 %.1f ms  ping p50 %.2f ms  trained %" PRIu64 "  reconnects %" PRIu64,
           stats->playing, stats->bots, (double)(stats->updates - stats->updates_printed) / seconds,
           (double)(stats->bytes_in - stats->bytes_printed) / 1024 / seconds, stats->commands,
           stats->acks, ms(mm_histogram_quantile(&stats->ack_us, 500000)),
           ms(mm_histogram_quantile(&stats->ack_us, 990000)),
           ms(mm_histogram_quantile(&stats->ping_us, 500000)), stats->units_trained,
           stats->reconnects);
    const char *code;
    uint64_t count;
    for (size_t cursor = 0; mm_strmap_next(stats->errors, &cursor, &code, &count);)
        printf("%s%s:%" PRIu64, cursor == 1 ? "  errors " : " ", code, count);
    if (stats->ticks_back || stats->unknown_changes || stats->malformed)
        printf("  FAULTS: ticks back %" PRIu64 ", unknown changes %" PRIu64 ", malformed %" PRIu64,
               stats->ticks_back, stats->unknown_changes, stats->malformed);
    printf("\n");
    fflush(stdout);
    stats->updates_printed = stats->updates;
    stats->bytes_printed = stats->bytes_in;
}

static void write_number(struct mm_buf *buf, const char *key, uint64_t value)
{
    mm_buf_json_key(buf, key);
    mm_buf_json_u64(buf, value);
    mm_buf_byte(buf, ',');
}

static void write_counts(struct mm_buf *buf, const char *key, const struct mm_strmap *counts)
{
    mm_buf_json_key(buf, key);
    mm_buf_byte(buf, '{');
    const char *code;
    uint64_t count;
    for (size_t cursor = 0; mm_strmap_next(counts, &cursor, &code, &count);) {
        if (cursor > 1)
            mm_buf_byte(buf, ',');
        mm_buf_json_cstr(buf, code);
        mm_buf_byte(buf, ':');
        mm_buf_json_u64(buf, count);
    }
    MM_BUF_LIT(buf, "},");
}

static void write_histogram(struct mm_buf *buf, const char *key, const struct mm_histogram *h)
{
    mm_buf_json_key(buf, key);
    mm_buf_byte(buf, '{');
    write_number(buf, "count", h->count);
    write_number(buf, "p50", mm_histogram_quantile(h, 500000));
    write_number(buf, "p99", mm_histogram_quantile(h, 990000));
    mm_buf_json_key(buf, "max");
    mm_buf_json_u64(buf, h->count ? h->max : 0);
    MM_BUF_LIT(buf, "},");
}

bool stats_write(const struct stats *stats, const char *path)
{
    struct mm_buf buf;
    mm_buf_init(&buf, 1 << 16);
    mm_buf_byte(&buf, '{');
    write_number(&buf, "bots", stats->bots);
    write_number(&buf, "playing", stats->playing);
    write_number(&buf, "logins_failed", stats->logins_failed);
    write_number(&buf, "connects", stats->connects);
    write_number(&buf, "reconnects", stats->reconnects);
    write_number(&buf, "closes", stats->closes);
    write_number(&buf, "messages_in", stats->messages_in);
    write_number(&buf, "bytes_in", stats->bytes_in);
    write_number(&buf, "updates", stats->updates);
    write_number(&buf, "commands", stats->commands);
    write_number(&buf, "resends", stats->resends);
    write_number(&buf, "acks", stats->acks);
    write_number(&buf, "chats_sent", stats->chats_sent);
    write_number(&buf, "chats_heard", stats->chats_heard);
    write_number(&buf, "units_trained", stats->units_trained);
    write_number(&buf, "ticks_back", stats->ticks_back);
    write_number(&buf, "unknown_changes", stats->unknown_changes);
    write_number(&buf, "malformed", stats->malformed);
    write_counts(&buf, "errors", stats->errors);
    write_counts(&buf, "close_codes", stats->close_codes);
    write_histogram(&buf, "ack_us", &stats->ack_us);
    write_histogram(&buf, "ping_us", &stats->ping_us);
    write_histogram(&buf, "away_ms", &stats->away_ms);
    buf.len -= buf.err == MM_OK; // the last comma
    MM_BUF_LIT(&buf, "}\n");
    FILE *file = buf.err == MM_OK ? fopen(path, "we") : NULL;
    bool good = file && fwrite(buf.data, 1, buf.len, file) == buf.len;
    if (file)
        good = fclose(file) == 0 && good;
    mm_buf_free(&buf);
    return good;
}
