#include "tools/replay/source.h"

#include "libcommon/base/alloc.h"

enum mm_err replay_source_load(struct replay_source *source, size_t index, struct world **out)
{
    uint8_t *data;
    *out = NULL;
    enum mm_err err = source->read_snapshot(source, index, &data);
    if (err != MM_OK)
        return err;
    const struct world_stored_snapshot *snapshot = &source->snapshots[index];
    err = world_stored_load(snapshot, data, snapshot->stored_bytes, NULL, out);
    mm_free(data);
    return err;
}

void replay_source_close(struct replay_source *source)
{
    if (!source)
        return;
    source->close(source);
}
