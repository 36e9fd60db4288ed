#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gen/echo.pb-c.h"
#include "libcommon/base/rng.h"
#include "libcommon/io/json_pb.h"
#include "libcommon/io/pb.h"

typedef Mmorts__Test__Everything Everything;
#define EVERYTHING (&mmorts__test__everything__descriptor)

static char *text_of(const Everything *message)
{
    struct mm_buf buf;
    mm_buf_init(&buf, 1 << 20);
    cr_assert_eq(mm_json_from_pb(&message->base, NULL, &buf), MM_OK);
    char *text = strdup(mm_buf_cstr(&buf));
    mm_buf_free(&buf);
    return text;
}

static Everything *parse(const char *text)
{
    ProtobufCMessage *message;
    char problem[256] = "";
    enum mm_err err =
        mm_json_to_pb(EVERYTHING, text, strlen(text), NULL, &message, problem, sizeof problem);
    cr_assert_eq(err, MM_OK, "%s: %s", text, problem);
    return (Everything *)message;
}

static void refused(const char *text, const char *expected)
{
    ProtobufCMessage *message;
    char problem[256] = "";
    enum mm_err err =
        mm_json_to_pb(EVERYTHING, text, strlen(text), NULL, &message, problem, sizeof problem);
    cr_expect_eq(err, MM_INVALID_ARGUMENT, "%s was taken", text);
    cr_expect_null(message);
    cr_expect(strstr(problem, expected) != NULL, "%s: says \"%s\", not \"%s\"", text, problem,
              expected);
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

static void free_message(Everything *message)
{
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

// The text a message must be written as, and that this text reads back to the same.
static void written_as(const char *input, const char *expected)
{
    Everything *message = parse(input);
    char *text = text_of(message);
    cr_expect_str_eq(text, expected);
    free(text);
    free_message(message);
}

Test(json_pb, writes_the_proto3_mapping)
{
    written_as("{}", "{}");
    written_as("", "{}");
    written_as("{\"anInt32\":-5,\"aUint32\":4294967295}",
               "{\"anInt32\":-5,\"aUint32\":4294967295}");
    written_as("{\"an_int64\":-9223372036854775808,\"a_uint64\":\"18446744073709551615\"}",
               "{\"anInt64\":\"-9223372036854775808\",\"aUint64\":\"18446744073709551615\"}");
    written_as("{\"aBool\":true,\"terrain\":2}", "{\"aBool\":true,\"terrain\":\"TERRAIN_FOREST\"}");
    written_as("{\"terrain\":\"TERRAIN_DEEP\"}", "{\"terrain\":\"TERRAIN_DEEP\"}");
    written_as("{\"terrain\":77}", "{\"terrain\":77}"); // of a newer version
    written_as("{\"text\":\"a\\\"\\u00fc\\n\"}", "{\"text\":\"a\\\"\xc3\xbc\\n\"}");
    written_as("{\"data\":\"_-8\"}", "{\"data\":\"/+8=\"}");
    written_as("{\"leaf\":{}}", "{\"leaf\":{}}"); // present, though empty
    written_as("{\"leaf\":null,\"counts\":null}", "{}");
    written_as("{\"counts\":[0,1],\"names\":[\"\"],\"leaves\":[{},{\"q\":1}]}",
               "{\"counts\":[0,1],\"names\":[\"\"],\"leaves\":[{},{\"q\":1}]}");
    written_as("{\"chosenNumber\":0}", "{\"chosenNumber\":0}"); // a oneof's default is a choice
    written_as("{\"chosenText\":\"\"}", "{\"chosenText\":\"\"}");
    written_as("{\"stock\":{\"gold\":\"7\",\"wood\":0},\"places\":{\"-3\":{\"q\":2}}}",
               "{\"stock\":{\"gold\":\"7\",\"wood\":\"0\"},\"places\":{\"-3\":{\"q\":2}}}");
    written_as("{\"aFloat\":0.1,\"aDouble\":0.1}", "{\"aFloat\":0.1,\"aDouble\":0.1}");
    // The largest float, whose shortest text is larger than itself.
    written_as("{\"aFloat\":-3.4028234663852886e38}", "{\"aFloat\":-3.4028235e+38}");
    written_as("{\"aFloat\":3.4028235e+38}", "{\"aFloat\":3.4028235e+38}");
    written_as("{\"aDouble\":\"-Infinity\",\"aFloat\":\"NaN\"}",
               "{\"aFloat\":\"NaN\",\"aDouble\":\"-Infinity\"}");
    written_as("{\"anInt32\":1e3,\"anInt64\":5.0}", "{\"anInt32\":1000,\"anInt64\":\"5\"}");
    written_as("{\"anInt32\":\"12\"}", "{\"anInt32\":12}");
}

Test(json_pb, refuses_what_is_not_such_a_message)
{
    refused("{", "not JSON");
    refused("[]", "not an object");
    refused("{\"anInt32\":1} x", "not JSON");
    refused("{\"nothing\":1}", "nothing: no such field");
    refused("{\"anInt32\":2147483648}", "anInt32: not a 32-bit integer");
    refused("{\"anInt32\":1.5}", "not a 32-bit integer");
    refused("{\"anInt32\":true}", "not a 32-bit integer");
    refused("{\"aUint32\":-1}", "not an unsigned 32-bit integer");
    refused("{\"aUint64\":\"18446744073709551616\"}", "not an unsigned 64-bit integer");
    refused("{\"aUint64\":\" 1\"}", "not an unsigned 64-bit integer");
    refused("{\"aFloat\":1e39}", "float");
    refused("{\"aFloat\":3.40282357e38}", "float");
    refused("{\"aBool\":1}", "not true or false");
    refused("{\"terrain\":\"TERRAIN_LAVA\"}", "no such Terrain");
    refused("{\"text\":5}", "not a string");
    refused("{\"text\":\"a\\u0000b\"}", "not JSON");
    refused("{\"text\":\"\xff\"}", "not JSON");
    refused("{\"data\":\"a\"}", "not a base64 string");
    refused("{\"data\":\"ab!d\"}", "not a base64 string");
    refused("{\"data\":\"ab==cd\"}", "not a base64 string");
    refused("{\"data\":\"aR\"}", "not a base64 string"); // bits left over
    refused("{\"counts\":5}", "counts: not an array");
    refused("{\"counts\":[1,null]}", "counts[1]: not an unsigned");
    refused("{\"leaves\":[{\"q\":\"x\"}]}", "leaves[0].q: not a 32-bit");
    refused("{\"leaves\":[{},5]}", "leaves[1]: not an object");
    refused("{\"chosenNumber\":1,\"chosenText\":\"a\"}", "another choice");
    refused("{\"anInt32\":1,\"an_int32\":2}", "given twice");
    refused("{\"counts\":[1],\"counts\":[2]}", "not JSON");
    refused("{\"stock\":[]}", "stock: not an object");
    refused("{\"places\":{\"x\":{}}}", "places[\"x\"]: not a 32-bit");
}

Test(json_pb, ignores_unknown_fields_if_told_to)
{
    static const char text[] = "{\"newer\":{\"a\":[1,2]},\"anInt32\":3}";
    struct mm_json_read_options options = {.ignore_unknown = true};
    ProtobufCMessage *message;
    cr_assert_eq(mm_json_to_pb(EVERYTHING, text, sizeof text - 1, &options, &message, NULL, 0),
                 MM_OK);
    cr_expect_eq(((Everything *)message)->an_int32, 3);
    protobuf_c_message_free_unpacked(message, NULL);
}

Test(json_pb, stops_at_the_buffers_end)
{
    Everything *message = parse("{\"text\":\"0123456789\"}");
    for (size_t room = 0; room < 21; room++) {
        struct mm_buf buf;
        mm_buf_init(&buf, room);
        cr_expect_eq(mm_json_from_pb(&message->base, NULL, &buf), MM_RESOURCE_EXHAUSTED);
        mm_buf_free(&buf);
    }
    free_message(message);
}

Test(json_pb, writes_defaults_if_told_to)
{
    Mmorts__Test__Leaf leaf = MMORTS__TEST__LEAF__INIT;
    struct mm_buf buf;
    mm_buf_init(&buf, 1000);
    struct mm_json_write_options options = {.with_defaults = true};
    cr_assert_eq(mm_json_from_pb(&leaf.base, &options, &buf), MM_OK);
    cr_expect_str_eq(mm_buf_cstr(&buf), "{\"q\":0,\"r\":0}");
    mm_buf_free(&buf);
}

// --- random messages: through JSON and back they are packed to the same bytes --------------------

static uint64_t interesting(struct mm_rng *rng)
{
    static const uint64_t values[] = {0,         1,
                                      127,       128,
                                      INT32_MAX, UINT32_MAX,
                                      INT64_MAX, UINT64_MAX,
                                      1u << 31,  (uint64_t)1 << 53,
                                      300,       (uint64_t)1 << 63};
    if (mm_rng_chance(rng, 1, 2))
        return values[mm_rng_below(rng, sizeof values / sizeof values[0])];
    return mm_rng_u64(rng) >> mm_rng_below(rng, 64);
}

static double any_double(struct mm_rng *rng)
{
    uint64_t bits = mm_rng_u64(rng);
    double value;
    memcpy(&value, &bits, sizeof value);
    return isnan(value) ? 0.5 : value;
}

static char *any_text(struct mm_rng *rng)
{
    static const char *const pieces[] = {
        "a", "\"", "\\",         "\n",        "\x01",         "\x7f",
        "ü", "€",  "\U0001F3F0", "</script>", "\xe2\x80\xa8", "/"};
    char *text = calloc(1, 256);
    size_t len = 0;
    for (uint64_t count = mm_rng_below(rng, 8); count > 0; count--) {
        const char *piece = pieces[mm_rng_below(rng, sizeof pieces / sizeof pieces[0])];
        memcpy(text + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return text;
}

static ProtobufCBinaryData any_bytes(struct mm_rng *rng)
{
    size_t len = mm_rng_below(rng, 9);
    uint8_t *data = len ? malloc(len) : NULL;
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)mm_rng_u64(rng);
    return (ProtobufCBinaryData){len, data};
}

static Mmorts__Test__Leaf *any_leaf(struct mm_rng *rng)
{
    Mmorts__Test__Leaf *leaf = malloc(sizeof *leaf);
    mmorts__test__leaf__init(leaf);
    leaf->q = (int32_t)interesting(rng);
    leaf->r = (int32_t)interesting(rng);
    return leaf;
}

static size_t any_count(struct mm_rng *rng)
{
    return mm_rng_below(rng, 4);
}

static void fill_repeated(struct mm_rng *rng, Everything *m)
{
    m->n_counts = any_count(rng);
    m->counts = calloc(4, sizeof *m->counts);
    for (size_t i = 0; i < m->n_counts; i++)
        m->counts[i] = (uint32_t)interesting(rng);
    m->n_deltas = any_count(rng);
    m->deltas = calloc(4, sizeof *m->deltas);
    for (size_t i = 0; i < m->n_deltas; i++)
        m->deltas[i] = (int64_t)interesting(rng);
    m->n_names = any_count(rng);
    m->names = calloc(4, sizeof *m->names);
    for (size_t i = 0; i < m->n_names; i++)
        m->names[i] = any_text(rng);
    m->n_blobs = any_count(rng);
    m->blobs = calloc(4, sizeof *m->blobs);
    for (size_t i = 0; i < m->n_blobs; i++)
        m->blobs[i] = any_bytes(rng);
    m->n_leaves = any_count(rng);
    m->leaves = calloc(4, sizeof *m->leaves);
    for (size_t i = 0; i < m->n_leaves; i++)
        m->leaves[i] = any_leaf(rng);
    m->n_terrains = any_count(rng);
    m->terrains = calloc(4, sizeof *m->terrains);
    for (size_t i = 0; i < m->n_terrains; i++)
        m->terrains[i] = (Mmorts__Test__Terrain)mm_rng_between(rng, -2, 4);
    m->n_ratios = any_count(rng);
    m->ratios = calloc(4, sizeof *m->ratios);
    for (size_t i = 0; i < m->n_ratios; i++)
        m->ratios[i] = any_double(rng);
    m->n_stock = any_count(rng);
    m->stock = calloc(4, sizeof *m->stock);
    for (size_t i = 0; i < m->n_stock; i++) {
        m->stock[i] = malloc(sizeof **m->stock);
        mmorts__test__everything__stock_entry__init(m->stock[i]);
        char *key = any_text(rng);
        key[strlen(key)] = (char)('0' + i); // keys differ
        m->stock[i]->key = key;
        m->stock[i]->value = interesting(rng);
    }
}

static Everything *any_message(struct mm_rng *rng)
{
    Everything *m = malloc(sizeof *m);
    mmorts__test__everything__init(m);
    m->an_int32 = (int32_t)interesting(rng);
    m->a_sint32 = (int32_t)interesting(rng);
    m->a_sfixed32 = (int32_t)interesting(rng);
    m->an_int64 = (int64_t)interesting(rng);
    m->a_sint64 = (int64_t)interesting(rng);
    m->a_sfixed64 = (int64_t)interesting(rng);
    m->a_uint32 = (uint32_t)interesting(rng);
    m->a_fixed32 = (uint32_t)interesting(rng);
    m->a_uint64 = interesting(rng);
    m->a_fixed64 = interesting(rng);
    uint32_t bits = (uint32_t)mm_rng_u64(rng);
    memcpy(&m->a_float, &bits, sizeof bits);
    if (isnan(m->a_float))
        m->a_float = 0.25f;
    m->a_double = any_double(rng);
    m->a_bool = mm_rng_chance(rng, 1, 2);
    m->terrain = (Mmorts__Test__Terrain)mm_rng_between(rng, -2, 4);
    m->text = any_text(rng);
    m->data = any_bytes(rng);
    if (mm_rng_chance(rng, 1, 2))
        m->leaf = any_leaf(rng);
    fill_repeated(rng, m);
    switch (mm_rng_below(rng, 4)) {
    case 1:
        m->choice_case = MMORTS__TEST__EVERYTHING__CHOICE_CHOSEN_NUMBER;
        m->chosen_number = (uint32_t)interesting(rng);
        break;
    case 2:
        m->choice_case = MMORTS__TEST__EVERYTHING__CHOICE_CHOSEN_TEXT;
        m->chosen_text = any_text(rng);
        break;
    case 3:
        m->choice_case = MMORTS__TEST__EVERYTHING__CHOICE_CHOSEN_LEAF;
        m->chosen_leaf = any_leaf(rng);
        break;
    default:
        break;
    }
    return m;
}

Test(json_pb, round_trip_of_random_messages)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 20260101);
    for (int i = 0; i < 3000; i++) {
        Everything *message = any_message(&rng);
        char *text = text_of(message);
        Everything *back = parse(text);
        uint8_t *packed, *packed_back;
        size_t len, len_back;
        cr_assert_eq(mm_pb_pack(&message->base, 1 << 20, &packed, &len), MM_OK);
        cr_assert_eq(mm_pb_pack(&back->base, 1 << 20, &packed_back, &len_back), MM_OK);
        cr_assert(len == len_back && memcmp(packed, packed_back, len) == 0, "%s", text);
        free(packed);
        free(packed_back);
        free(text);
        free_message(message);
        free_message(back);
    }
}

Test(json_pb, survives_every_cut_and_flipped_byte)
{
    struct mm_rng rng;
    mm_rng_seed(&rng, 7);
    for (int i = 0; i < 40; i++) {
        Everything *message = any_message(&rng);
        char *text = text_of(message);
        size_t len = strlen(text);
        for (size_t at = 0; at < len; at++) {
            ProtobufCMessage *out;
            char kept = text[at];
            text[at] = (char)mm_rng_u64(&rng);
            if (mm_json_to_pb(EVERYTHING, text, len, NULL, &out, NULL, 0) == MM_OK)
                protobuf_c_message_free_unpacked(out, NULL);
            text[at] = kept;
            cr_expect_neq(mm_json_to_pb(EVERYTHING, text, at, NULL, &out, NULL, 0),
                          at == 0 ? MM_INVALID_ARGUMENT : MM_OK);
            protobuf_c_message_free_unpacked(out, NULL);
        }
        free(text);
        free_message(message);
    }
}

Test(pb, strings_must_be_utf8)
{
    static const uint8_t good[] = {0x7a, 2, 0xc3, 0xbc};       // text = "ü"
    static const uint8_t bad[] = {0x7a, 1, 0xff};              // text
    static const uint8_t bad_name[] = {0xa2, 0x01, 1, 0x80};   // names[0]
    static const uint8_t bad_choice[] = {0xda, 0x01, 1, 0xc0}; // chosen_text
    ProtobufCMessage *message;
    cr_expect_eq(mm_pb_unpack(EVERYTHING, NULL, good, sizeof good, 100, &message), MM_OK);
    protobuf_c_message_free_unpacked(message, NULL);
    cr_expect_eq(mm_pb_unpack(EVERYTHING, NULL, bad, sizeof bad, 100, &message),
                 MM_INVALID_ARGUMENT);
    cr_expect_eq(mm_pb_unpack(EVERYTHING, NULL, bad_name, sizeof bad_name, 100, &message),
                 MM_INVALID_ARGUMENT);
    cr_expect_eq(mm_pb_unpack(EVERYTHING, NULL, bad_choice, sizeof bad_choice, 100, &message),
                 MM_INVALID_ARGUMENT);
    cr_expect_eq(mm_pb_unpack(EVERYTHING, NULL, good, sizeof good, 3, &message),
                 MM_RESOURCE_EXHAUSTED);
}
