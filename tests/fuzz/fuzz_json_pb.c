// JSON -> message -> JSON, and packed -> message -> JSON -> message -> JSON: whatever is accepted
// is written to a text that is accepted again and means the same.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/echo.pb-c.h"
#include "libcommon/base/check.h"
#include "libcommon/io/json_pb.h"
#include "libcommon/io/pb.h"
#include "tests/fuzz/input.h"

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

// The rest of a text made of words: the fields' names and what else JSON is made of.
static size_t write_words(const uint8_t *data, size_t size, char *out, size_t out_bytes)
{
    static const char *const values[] = {"true",
                                         "false",
                                         "null",
                                         "-1",
                                         "1.5",
                                         "1e3",
                                         "-0",
                                         "0.1e-2",
                                         "2147483647",
                                         "-2147483648",
                                         "4294967295",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "18446744073709551615",
                                         "\"18446744073709551615\"",
                                         "\"-7\"",
                                         "\"1e2\"",
                                         "3.4028236e38",
                                         "1.7976931348623157e308",
                                         "\"NaN\"",
                                         "\"Infinity\"",
                                         "\"-Infinity\"",
                                         "\"TERRAIN_FOREST\"",
                                         "\"TERRAIN_DEEP\"",
                                         "\"AAEC\"",
                                         "\"_-8=\"",
                                         "\"_-8\"",
                                         "\"\\ud83d\\ude00\"",
                                         "\"\\u0000\"",
                                         "\"\\ud83d\"",
                                         "{\"q\":1,\"r\":-2}",
                                         "{\"a\":1}",
                                         "{\"1\":{}}",
                                         "\"anInt32\":",
                                         "\"chosenLeaf\":"};
    enum { VALUES = sizeof values / sizeof values[0] };
    static char names[64][40];
    static const char *words[VALUES + 64];
    size_t count = 0;
    for (size_t i = 0; i < VALUES; i++)
        words[count++] = values[i];
    for (unsigned i = 0; i < EVERYTHING->n_fields && i < 64; i++) {
        (void)snprintf(names[i], sizeof names[i], "\"%s\":", EVERYTHING->fields[i].name);
        words[count++] = names[i];
    }
    return fuzz_words(data, size, words, count, out, out_bytes);
}

// JSON as it is behind '{', made of words behind '[', else a packed message.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ProtobufCMessage *message;
    char problem[200];
    static char text[1 << 16];
    if (size > 0 && data[0] == '[') {
        text[0] = '{';
        size_t len = 1 + write_words(data + 1, size - 1, text + 1, sizeof text - 1);
        if (mm_json_to_pb(EVERYTHING, text, len, NULL, &message, problem, sizeof problem) != MM_OK)
            return 0;
    } else if (size > 0 && data[0] == '{') {
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
