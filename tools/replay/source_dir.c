// A session's record as files, for when the database is elsewhere or will not stay as it is:
//
//   DIR/session                  index, text (write_index); written last, so it tells that all is
//   there DIR/snapshot-TICK-EPOCH.zst  the stored bytes: `zstd -d` gives the state (core/save.h)
//   DIR/journal                  row after row: tick, epoch, state hash u64 | length u32 | packed
//                                JournalEntry | XXH64 of the row so far, seeded with its tick.
//                                Numbers are little-endian.

#include "libcommon/base/alloc.h"
#include "libcommon/base/buf.h"
#include "libcommon/base/hash.h"
#include "tools/replay/source.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FORMAT = 1, ROW_HEAD_BYTES = 28, ROW_BYTES_MAX = 64 << 20, LINE_BYTES = 512 };

struct dir_source {
    struct replay_source base;
    char directory[PATH_MAX];
    FILE *journal;
    struct mm_buf row;
    uint64_t skip_to; // rows up to this tick are passed over
    uint64_t rows_read, last_tick;
};

static void path_of(char out[PATH_MAX + 64], const char *directory, const char *name)
{
    snprintf(out, PATH_MAX + 64, "%s/%s", directory, name);
}

static void snapshot_name(char out[64], const struct world_stored_snapshot *snapshot)
{
    snprintf(out, 64, "snapshot-%" PRIu64 "-%" PRIu64 ".zst", snapshot->tick, snapshot->epoch);
}

// --- reading ------------------------------------------------------------------------------------

static enum mm_err read_snapshot(struct replay_source *base, size_t index, uint8_t **out)
{
    const struct dir_source *source = (const struct dir_source *)base;
    const struct world_stored_snapshot *snapshot = &base->snapshots[index];
    char name[64], path[PATH_MAX + 64];
    snapshot_name(name, snapshot);
    path_of(path, source->directory, name);
    *out = NULL;
    if (snapshot->stored_bytes > WORLD_SAVE_BYTES_MAX)
        return MM_DATA_LOSS;
    FILE *file = fopen(path, "rb");
    if (!file)
        return MM_DATA_LOSS;
    uint8_t *data = mm_malloc(snapshot->stored_bytes + 1);
    size_t got = data ? fread(data, 1, snapshot->stored_bytes + 1, file) : 0;
    fclose(file);
    if (data && got == snapshot->stored_bytes) {
        *out = data;
        return MM_OK;
    }
    mm_free(data);
    return data ? MM_DATA_LOSS : MM_RESOURCE_EXHAUSTED;
}

static uint64_t u64_at(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}

static uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static enum mm_err damaged(struct dir_source *source, const char *what)
{
    snprintf(source->base.problem, sizeof source->base.problem,
             "%.300s/journal: %s after row %" PRIu64 " (tick %" PRIu64 ")", source->directory, what,
             source->rows_read, source->last_tick);
    return MM_DATA_LOSS;
}

static enum mm_err read_any_row(struct dir_source *source, struct replay_row *out)
{
    uint8_t head[ROW_HEAD_BYTES], sum[8];
    size_t got = fread(head, 1, sizeof head, source->journal);
    if (got == 0 && feof(source->journal))
        return source->rows_read == source->base.row_count ? MM_NOT_FOUND
                                                           : damaged(source, "it ends");
    uint32_t len = u32_at(head + 24);
    if (got != sizeof head || len > ROW_BYTES_MAX)
        return damaged(source, "it is damaged");
    mm_buf_reset(&source->row);
    mm_buf_append(&source->row, head, sizeof head);
    if (!mm_buf_reserve(&source->row, len))
        return MM_RESOURCE_EXHAUSTED;
    got = fread(source->row.data + ROW_HEAD_BYTES, 1, len, source->journal);
    source->row.len += got;
    *out = (struct replay_row){u64_at(head), u64_at(head + 8), u64_at(head + 16),
                               source->row.data + ROW_HEAD_BYTES, len};
    if (got != len || fread(sum, 1, 8, source->journal) != 8 ||
        u64_at(sum) != mm_hash64(source->row.data, source->row.len, out->tick) ||
        (source->rows_read > 0 && out->tick <= source->last_tick))
        return damaged(source, "it is damaged");
    source->rows_read++;
    source->last_tick = out->tick;
    return MM_OK;
}

static enum mm_err read_row(struct replay_source *base, struct replay_row *out)
{
    struct dir_source *source = (struct dir_source *)base;
    enum mm_err err;
    do
        err = read_any_row(source, out);
    while (err == MM_OK && out->tick <= source->skip_to);
    return err;
}

static enum mm_err seek(struct replay_source *base, uint64_t after_tick)
{
    struct dir_source *source = (struct dir_source *)base;
    rewind(source->journal);
    source->skip_to = after_tick;
    source->rows_read = source->last_tick = 0;
    return MM_OK;
}

static void close_source(struct replay_source *base)
{
    struct dir_source *source = (struct dir_source *)base;
    if (source->journal)
        fclose(source->journal);
    mm_buf_free(&source->row);
    mm_free(base->snapshots);
    mm_free(source);
}

// --- the index ----------------------------------------------------------------------------------

static void write_index(FILE *file, const struct replay_source *source)
{
    fprintf(file, "mmorts-session %d\n", FORMAT);
    fprintf(file, "session %s\n", source->session);
    fprintf(file, "epoch %" PRIu64 "\ntick_reserved %" PRIu64 "\n", source->epoch,
            source->tick_reserved);
    fprintf(file, "rows %" PRIu64 " last %" PRIu64 "\n", source->row_count, source->last_row_tick);
    for (size_t i = 0; i < source->snapshot_count; i++) {
        const struct world_stored_snapshot *s = &source->snapshots[i];
        fprintf(file,
                "snapshot tick %" PRIu64 " epoch %" PRIu64 " state_hash %016" PRIx64 " raw %" PRIu64
                " stored %" PRIu64 " checksum %016" PRIx64 " parts %" PRIu32 "\n",
                s->tick, s->epoch, s->state_hash, s->raw_bytes, s->stored_bytes, s->checksum,
                s->parts);
    }
    fprintf(file, "end\n");
}

static bool read_snapshot_line(const char *line, struct world_stored_snapshot *s)
{
    return sscanf(line,
                  "snapshot tick %" SCNu64 " epoch %" SCNu64 " state_hash %" SCNx64 " raw %" SCNu64
                  " stored %" SCNu64 " checksum %" SCNx64 " parts %" SCNu32,
                  &s->tick, &s->epoch, &s->state_hash, &s->raw_bytes, &s->stored_bytes,
                  &s->checksum, &s->parts) == 7;
}

// OK only if every line is understood and the last one is "end".
static enum mm_err read_index(FILE *file, struct replay_source *source)
{
    char line[LINE_BYTES];
    int format;
    if (!fgets(line, sizeof line, file) || sscanf(line, "mmorts-session %d", &format) != 1)
        return MM_DATA_LOSS;
    if (format != FORMAT)
        return MM_UNIMPLEMENTED;
    unsigned seen = 0;
    while (fgets(line, sizeof line, file)) {
        struct world_stored_snapshot *next = &source->snapshots[source->snapshot_count];
        if (strcmp(line, "end\n") == 0)
            return seen == 4 ? MM_OK : MM_DATA_LOSS;
        if (sscanf(line, "session %64s", source->session) == 1 ||
            sscanf(line, "epoch %" SCNu64, &source->epoch) == 1 ||
            sscanf(line, "tick_reserved %" SCNu64, &source->tick_reserved) == 1 ||
            sscanf(line, "rows %" SCNu64 " last %" SCNu64, &source->row_count,
                   &source->last_row_tick) == 2)
            seen++;
        else if (source->snapshot_count < REPLAY_SNAPSHOTS_MAX && read_snapshot_line(line, next))
            source->snapshot_count++;
        else
            return MM_DATA_LOSS;
    }
    return MM_DATA_LOSS;
}

enum mm_err replay_source_dir(const char *directory, struct replay_source **out, char *problem)
{
    *out = NULL;
    struct dir_source *source = mm_calloc(1, sizeof *source);
    if (!source)
        return MM_RESOURCE_EXHAUSTED;
    struct replay_source *base = &source->base;
    base->read_snapshot = read_snapshot;
    base->read_row = read_row;
    base->seek = seek;
    base->close = close_source;
    snprintf(source->directory, sizeof source->directory, "%s", directory);
    mm_buf_init(&source->row, ROW_BYTES_MAX + ROW_HEAD_BYTES);
    base->snapshots = mm_calloc(REPLAY_SNAPSHOTS_MAX + 1, sizeof *base->snapshots);
    char path[PATH_MAX + 64];
    path_of(path, directory, "session");
    FILE *index = fopen(path, "r");
    enum mm_err err = !base->snapshots ? MM_RESOURCE_EXHAUSTED : index ? MM_OK : MM_NOT_FOUND;
    if (err == MM_OK)
        err = read_index(index, base);
    if (index)
        fclose(index);
    if (err != MM_OK)
        snprintf(problem, REPLAY_PROBLEM_BYTES, "%.300s: %s", path,
                 err == MM_NOT_FOUND       ? "no exported session is there"
                 : err == MM_UNIMPLEMENTED ? "of another format"
                                           : "damaged");
    if (err == MM_OK) {
        path_of(path, directory, "journal");
        source->journal = fopen(path, "rb");
        if (!source->journal) {
            snprintf(problem, REPLAY_PROBLEM_BYTES, "%.300s: %s", path, strerror(errno));
            err = MM_DATA_LOSS;
        }
    }
    if (err != MM_OK)
        close_source(base);
    else
        *out = base;
    return err;
}

// --- exporting ----------------------------------------------------------------------------------

static enum mm_err write_failed(char *problem, const char *path)
{
    snprintf(problem, REPLAY_PROBLEM_BYTES, "%.300s: %s", path, strerror(errno));
    return errno == EEXIST ? MM_ALREADY_EXISTS : MM_UNAVAILABLE;
}

static enum mm_err export_snapshots(struct replay_source *source, const char *directory,
                                    char *problem)
{
    for (size_t i = 0; i < source->snapshot_count; i++) {
        char name[64], path[PATH_MAX + 64];
        snapshot_name(name, &source->snapshots[i]);
        path_of(path, directory, name);
        uint8_t *data;
        enum mm_err err = source->read_snapshot(source, i, &data);
        if (err == MM_DATA_LOSS)
            continue; // missing there, missing here: who replays is told so
        if (err != MM_OK)
            return err;
        FILE *file = fopen(path, "wbx");
        bool good = file && fwrite(data, 1, source->snapshots[i].stored_bytes, file) ==
                                source->snapshots[i].stored_bytes;
        mm_free(data);
        good = file && fclose(file) == 0 && good;
        if (!good)
            return write_failed(problem, path);
    }
    return MM_OK;
}

static enum mm_err export_journal(struct replay_source *source, const char *directory,
                                  char *problem)
{
    char path[PATH_MAX + 64];
    path_of(path, directory, "journal");
    FILE *file = fopen(path, "wbx");
    if (!file)
        return write_failed(problem, path);
    struct mm_buf bytes;
    mm_buf_init(&bytes, ROW_BYTES_MAX + ROW_HEAD_BYTES + 8);
    struct replay_row row;
    bool good = true;
    enum mm_err err = source->seek(source, 0);
    while (err == MM_OK && good && (err = source->read_row(source, &row)) == MM_OK) {
        mm_buf_reset(&bytes);
        mm_buf_u64le(&bytes, row.tick);
        mm_buf_u64le(&bytes, row.epoch);
        mm_buf_u64le(&bytes, row.state_hash);
        mm_buf_u32le(&bytes, (uint32_t)row.inputs_len);
        mm_buf_append(&bytes, row.inputs, row.inputs_len);
        if (bytes.err == MM_OK)
            mm_buf_u64le(&bytes, mm_hash64(bytes.data, bytes.len, row.tick));
        err = bytes.err;
        good = err == MM_OK && fwrite(bytes.data, 1, bytes.len, file) == bytes.len;
    }
    mm_buf_free(&bytes);
    good = fclose(file) == 0 && good;
    if (err != MM_NOT_FOUND && err != MM_OK)
        return err;
    return good ? MM_OK : write_failed(problem, path);
}

enum mm_err replay_export(struct replay_source *source, const char *directory, char *problem)
{
    char path[PATH_MAX + 64];
    path_of(path, directory, "session");
    struct stat status;
    if (stat(path, &status) == 0) {
        errno = EEXIST;
        return write_failed(problem, path);
    }
    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        return write_failed(problem, directory);
    enum mm_err err = export_snapshots(source, directory, problem);
    if (err == MM_OK)
        err = export_journal(source, directory, problem);
    if (err != MM_OK)
        return err;
    FILE *file = fopen(path, "wx");
    if (!file)
        return write_failed(problem, path);
    write_index(file, source);
    return fclose(file) == 0 ? MM_OK : write_failed(problem, path);
}
