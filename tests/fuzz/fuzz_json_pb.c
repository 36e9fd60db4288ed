// JSON -> message -> JSON, and packed -> message -> JSON -> message -> JSON: whatever is accepted
// is written to a text that is accepted again and means the same.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gen/echo.pb-c.h"
#include "libcommon/base/check.h"
#include "libcommon/io/json_pb.h"
#include "libcommon/io/pb.h"

#define EVERYTHING (&mmorts__test__everything__descriptor)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_to(const ProtobufCMessage *message, struct mm_buf *out)
{
    mm_buf_init(out, (size_t)16 << 20);
    MM_CHECK(mm_json_from_pb(message, NULL, out) == MM_OK);
}

static void check_round_trip(const ProtobufCMessage *message)
{
    struct mm_buf first, second;
    ProtobufCMessage *back;
    char problem[200];
    write_to(message, &first);
    enum mm_err err = mm_json_to_pb(EVERYTHING, (const char *)first.data, first.len, NULL, &back,
                                    problem, sizeof problem);
    // A packed map may hold a key twice; JSON refuses that.
    if (err == MM_OK) {
        write_to(back, &second);
        MM_CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        mm_buf_free(&second);
        protobuf_c_message_free_unpacked(back, NULL);
    } else {
        const Mmorts__Test__Everything *all = (const void *)message;
        MM_CHECK(all->n_stock > 1 || all->n_places > 1);
    }
    mm_buf_free(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ProtobufCMessage *message;
    char problem[200];
    if (size > 0 && data[0] == '{') {
        if (mm_json_to_pb(EVERYTHING, (const char *)data, size, NULL, &message, problem,
                          sizeof problem) != MM_OK)
            return 0;
    } else if (mm_pb_unpack(EVERYTHING, NULL, data, size, 1 << 20, &message) != MM_OK) {
        return 0;
    }
    check_round_trip(message);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}
