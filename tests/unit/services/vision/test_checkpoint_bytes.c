#include "libcommon/base/alloc.h"
#include "libcommon/io/pb.h"
#include "services/vision/app.h"

#include <criterion/criterion.h>
#include <string.h>

enum { LAND = 100000, PLAIN_MAX = 1 << 20 };

static uint8_t land[LAND];
static Mmorts__Frame__ChunkColumns chunks;
static Mmorts__Frame__TickFrame frame;

static void setup(void)
{
    memset(land, 3, sizeof land);
    mmorts__frame__chunk_columns__init(&chunks);
    chunks.cells = (ProtobufCBinaryData){.data = land, .len = LAND};
    mmorts__frame__tick_frame__init(&frame);
    frame.tick = 77;
    frame.snapshot = 1;
    frame.chunks = &chunks;
}

TestSuite(checkpoint_bytes, .init = setup);

static void expect_frame(const uint8_t *bytes, size_t size)
{
    ProtobufCMessage *unpacked;
    cr_assert_eq(mm_pb_unpack(&mmorts__frame__tick_frame__descriptor, NULL, bytes, size, PLAIN_MAX,
                              &unpacked),
                 MM_OK);
    const Mmorts__Frame__TickFrame *out = (const Mmorts__Frame__TickFrame *)unpacked;
    cr_assert_eq(out->tick, 77);
    cr_assert(out->chunks);
    cr_assert_eq(out->chunks->cells.len, LAND);
    cr_assert_arr_eq(out->chunks->cells.data, land, LAND);
    protobuf_c_message_free_unpacked(unpacked, NULL);
}

Test(checkpoint_bytes, land_takes_little_and_comes_back)
{
    uint8_t *bytes;
    size_t size;
    cr_assert_eq(vision_checkpoint_pack(&frame, &bytes, &size), MM_OK);
    cr_assert_lt(size, LAND / 10);
    cr_assert_eq(vision_checkpoint_unfold(&bytes, &size), MM_OK);
    expect_frame(bytes, size);
    mm_free(bytes);
}

Test(checkpoint_bytes, those_of_former_versions_are_plain)
{
    uint8_t *bytes;
    size_t size;
    cr_assert_eq(mm_pb_pack(&frame.base, PLAIN_MAX, &bytes, &size), MM_OK);
    cr_assert_eq(vision_checkpoint_unfold(&bytes, &size), MM_OK);
    expect_frame(bytes, size);
    mm_free(bytes);
}

Test(checkpoint_bytes, what_is_cut_off_or_changed_is_refused)
{
    uint8_t *bytes;
    size_t size;
    cr_assert_eq(vision_checkpoint_pack(&frame, &bytes, &size), MM_OK);
    for (size_t cut = 4; cut < size; cut++) {
        size_t left = cut;
        uint8_t *copy = mm_malloc(left);
        memcpy(copy, bytes, left);
        cr_assert_eq(vision_checkpoint_unfold(&copy, &left), MM_DATA_LOSS, "cut to %zu", cut);
        cr_assert_eq(left, cut);
        mm_free(copy);
    }
    memset(bytes + 4, 0xff, size - 4); // says that it is larger than anything
    cr_assert_eq(vision_checkpoint_unfold(&bytes, &size), MM_DATA_LOSS);
    mm_free(bytes);
}
