#include "libcommon/hex/hex.h"

#include "libcommon/base/check.h"

const struct hex_axial hex_directions[HEX_DIRECTIONS] = {
    {+1, 0}, {+1, -1}, {0, -1}, {-1, 0}, {-1, +1}, {0, +1},
};

int hex_direction_between(struct hex_axial a, struct hex_axial b)
{
    static const int8_t direction_of[3][3] = {{-1, 3, 4}, {2, -1, 5}, {1, 0, -1}};
    uint32_t q = (uint32_t)b.q - (uint32_t)a.q + 1, r = (uint32_t)b.r - (uint32_t)a.r + 1;
    return q < 3 && r < 3 ? direction_of[q][r] : -1;
}

unsigned hex_direction_towards(struct hex_axial a, struct hex_axial b)
{
    // The direction with the greatest inner product; twice the Euclidean one, in axial coordinates.
    int64_t q = (int64_t)b.q - a.q, r = (int64_t)b.r - a.r;
    unsigned best = 0;
    int64_t best_product = INT64_MIN;
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        struct hex_axial u = hex_directions[d];
        int64_t product = 2 * (q * u.q + r * u.r) + q * u.r + r * u.q;
        if (product > best_product) {
            best_product = product;
            best = d;
        }
    }
    return best;
}

struct hex_axial hex_rotate(struct hex_axial a, unsigned steps)
{
    for (steps %= HEX_DIRECTIONS; steps > 0; steps--)
        a = (struct hex_axial){a.q + a.r, -a.q};
    return a;
}

size_t hex_ring(struct hex_axial center, int32_t radius, struct hex_axial *out)
{
    MM_CHECK(radius >= 0);
    if (radius == 0) {
        out[0] = center;
        return 1;
    }
    size_t count = 0;
    struct hex_axial at = hex_add(center, hex_scale(hex_directions[0], radius));
    for (unsigned d = 0; d < HEX_DIRECTIONS; d++) {
        for (int32_t i = 0; i < radius; i++) {
            out[count++] = at;
            at = hex_neighbor(at, (d + 2) % HEX_DIRECTIONS);
        }
    }
    return count;
}

// The least and greatest q of a disc's row r.
static int32_t row_first(int32_t radius, int32_t r)
{
    return r < 0 ? -radius - r : -radius;
}

static int32_t row_last(int32_t radius, int32_t r)
{
    return r < 0 ? radius : radius - r;
}

size_t hex_disc(struct hex_axial center, int32_t radius, struct hex_axial *out)
{
    MM_CHECK(radius >= 0);
    size_t count = 0;
    for (int32_t r = -radius; r <= radius; r++)
        for (int32_t q = row_first(radius, r); q <= row_last(radius, r); q++)
            out[count++] = (struct hex_axial){center.q + q, center.r + r};
    return count;
}

uint32_t hex_disc_index(struct hex_axial offset, int32_t radius)
{
    // Rows grow by one from R + 1 at the top to 2R + 1 in the middle and shrink again, so the rows
    // before (upper half) or from (lower half) a row are an arithmetic series.
    int32_t first = row_first(radius, offset.r);
    int32_t start;
    if (offset.r <= 0) {
        int32_t rows = offset.r + radius;
        start = rows * (radius + 1) + rows * (rows - 1) / 2;
    } else {
        int32_t rows = radius - offset.r + 1;
        int32_t total = 3 * radius * (radius + 1) + 1;
        start = total - rows * (radius + 1) - rows * (rows - 1) / 2;
    }
    return (uint32_t)(start + offset.q - first);
}

// --- line ----------------------------------------------------------------------------------------

static int64_t floor_div(int64_t n, int64_t d)
{
    return n / d - (n % d != 0 && n < 0);
}

// n / d rounded to the nearest integer; d > 0. The caller never asks for an exact half.
static int64_t round_div(int64_t n, int64_t d)
{
    return floor_div(2 * n + d, 2 * d);
}

// The hex that holds the point (q, r, s) / d in cube coordinates.
static struct hex_axial cube_round(int64_t q, int64_t r, int64_t s, int64_t d)
{
    int64_t rq = round_div(q, d), rr = round_div(r, d), rs = round_div(s, d);
    int64_t eq = rq * d - q, er = rr * d - r, es = rs * d - s;
    eq = eq < 0 ? -eq : eq;
    er = er < 0 ? -er : er;
    es = es < 0 ? -es : es;
    // The coordinate with the largest error is recomputed from the other two.
    if (eq > er && eq > es)
        rq = -rr - rs;
    else if (er > es)
        rr = -rq - rs;
    return (struct hex_axial){(int32_t)rq, (int32_t)rr};
}

size_t hex_line(struct hex_axial a, struct hex_axial b, struct hex_axial *out, size_t out_max)
{
    int64_t n = hex_distance(a, b);
    MM_CHECK(n <= (INT64_C(1) << 20));
    if (n == 0) {
        if (out_max > 0)
            out[0] = a;
        return 1;
    }
    // Point i is (a * (n - i) + b * i) / n. Everything is scaled by 8 and nudged by (1, 2, -3) /
    // 8n, which is less than the distance of any point of the line from a hex border that it is not
    // exactly on, and has no direction: so ties break the same way from both ends.
    enum { SCALE = 8 };
    int64_t as = -(int64_t)a.q - a.r, bs = -(int64_t)b.q - b.r;
    for (int64_t i = 0; i <= n && (size_t)i < out_max; i++) {
        int64_t q = (a.q * (n - i) + b.q * i) * SCALE + 1;
        int64_t r = (a.r * (n - i) + b.r * i) * SCALE + 2;
        int64_t s = (as * (n - i) + bs * i) * SCALE - 3;
        out[i] = cube_round(q, r, s, n * SCALE);
    }
    return (size_t)n + 1;
}

// --- spiral --------------------------------------------------------------------------------------

// How many hexes lie within rings 0..k-1.
static uint64_t inside(uint64_t k)
{
    return k == 0 ? 0 : 3 * k * (k - 1) + 1;
}

struct hex_axial hex_spiral(uint64_t index)
{
    MM_CHECK(index < inside(HEX_COORD_MAX));
    if (index == 0)
        return (struct hex_axial){0, 0};
    // The greatest k with inside(k) <= index, by bisection.
    uint64_t low = 1, high = HEX_COORD_MAX;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (inside(middle) <= index)
            low = middle;
        else
            high = middle;
    }
    uint64_t along = index - inside(low);
    unsigned side = (unsigned)(along / low);
    struct hex_axial corner = hex_scale(hex_directions[side], (int32_t)low);
    struct hex_axial step = hex_directions[(side + 2) % HEX_DIRECTIONS];
    return hex_add(corner, hex_scale(step, (int32_t)(along % low)));
}

uint64_t hex_spiral_index(struct hex_axial a)
{
    int32_t k = hex_length(a);
    if (k == 0)
        return 0;
    // Turned back by its side's angle, a hex of the ring lies on side 0: q = k and -k < r <= 0.
    for (unsigned side = 0; side < HEX_DIRECTIONS; side++) {
        struct hex_axial turned = hex_rotate(a, HEX_DIRECTIONS - side);
        if (turned.q == k && turned.r <= 0 && turned.r > -k)
            return inside((uint64_t)k) + (uint64_t)side * (uint64_t)k + (uint64_t)-turned.r;
    }
    mm_check_failed("every hex of a ring is on one of its sides", __FILE__, __LINE__);
}
