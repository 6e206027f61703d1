/* Columns and groups of a column, the same text for every instruction set: plain loops that compilers vectorize.
 *
 * A loop over an even number of weights keeps even rows in even places: what differs between the lanes is an array.
 */
#ifndef Q35_LANES_H
#define Q35_LANES_H

#include "common.h"
#include "rounding.h"

enum { BLOCK = 64 }; /* weights that are rounded together: a near-tie sends all of them to exact arithmetic */

/* ---- codes ------------------------------------------------------------------------------------------------------ */

enum { WORDS = CHUNK_CODES / 8 };

/* Eight 7-bit codes in eight bytes, to the 56 bits that they fill, and back. */
static inline uint64_t squeeze(uint64_t codes) {
    codes = (codes & UINT64_C(0x007f007f007f007f)) | (codes & UINT64_C(0x7f007f007f007f00)) >> 1;
    codes = (codes & UINT64_C(0x00003fff00003fff)) | (codes & UINT64_C(0x3fff00003fff0000)) >> 2;
    return (codes & UINT64_C(0x000000000fffffff)) | (codes & UINT64_C(0x0fffffff00000000)) >> 4;
}

static inline uint64_t spread(uint64_t bits) {
    bits = (bits & UINT64_C(0x000000000fffffff)) | (bits & UINT64_C(0x00fffffff0000000)) << 4;
    bits = (bits & UINT64_C(0x00003fff00003fff)) | (bits & UINT64_C(0x0fffc0000fffc000)) << 2;
    return (bits & UINT64_C(0x007f007f007f007f)) | (bits & UINT64_C(0x3f803f803f803f80)) << 1;
}

/* Little-endian, whatever the machine: compilers make one load or store of it. */
static inline uint64_t load_word(const uint8_t *p) {
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word |= (uint64_t)p[i] << 8 * i;
    return word;
}

static inline void store_word(uint8_t *p, uint64_t word) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(word >> 8 * i);
}

#ifndef HAVE_PACKING
/* Codes of a chunk's rows; whether every integer is inside its lane. */
static inline int encode(const int8_t *restrict q, uint8_t *restrict codes) {
    uint16_t outside = 0;
    for (int i = 0; i < CHUNK_CODES; i++) {
        const uint16_t pair = (uint16_t)((uint8_t)q[2 * i] | (uint8_t)q[2 * i + 1] << 8);
        const uint16_t wide = (uint16_t)((pair + WIDE_BIAS) & 0xff), narrow = (uint16_t)((pair >> 8) + NARROW_BIAS) & 0xff;
        outside |= (uint16_t)((wide & 0xf0) | (narrow & 0xf8));
        codes[i] = (uint8_t)((pair & 15) << 3 | (pair >> 8 & 7));
    }
    return outside == 0;
}

/* The stream of a chunk's codes: 56 bytes, and up to eight more that mean nothing. */
static inline void squeeze_chunk(const uint8_t *restrict codes, uint8_t *restrict stream) {
    uint64_t words[WORDS];
    for (int i = 0; i < WORDS; i++) words[i] = load_word(codes + 8 * i);
    for (int i = 0; i < WORDS; i++) words[i] = squeeze(words[i]);
    for (int i = 0; i < WORDS; i++) store_word(stream + 7 * i, words[i]);
}
#endif

static inline void decode(const uint8_t *restrict codes, int64_t pairs, int8_t *restrict q) {
    for (int64_t i = 0; i < pairs; i++) {
        q[2 * i] = (int8_t)((codes[i] >> 3 ^ WIDE_BIAS) - WIDE_BIAS);
        q[2 * i + 1] = (int8_t)(((codes[i] & 7) ^ NARROW_BIAS) - NARROW_BIAS);
    }
}

static int pack_column(const int8_t *q, int64_t k, int32_t layout, uint8_t *column) {
    uint8_t codes[CHUNK_CODES], last_bytes[CHUNK_READ];
    int8_t last[CHUNK_ROWS] = {0};
    const uint8_t *const column_end = column + (pairs_of(k) - pairs_of(k) / 8);
    for (int64_t row = 0; row < k; row += CHUNK_ROWS) {
        const int64_t left = k - row, pairs = pairs_of(left < CHUNK_ROWS ? left : CHUNK_ROWS);
        const int8_t *integers = left < CHUNK_ROWS ? memcpy(last, q + row, (size_t)left) : q + row;
        if (!encode(integers, codes)) return Q35_BAD_ARGUMENT;
        if (layout == Q35_BYTE) {
            memcpy(column + row / 2, codes, (size_t)pairs);
            continue;
        }
        uint8_t *const bytes = column + row / GROUP_MULTIPLE * 7;
        uint8_t *const stream = column_end - bytes >= CHUNK_READ ? bytes : last_bytes;
        squeeze_chunk(codes, stream);
        if (stream != bytes) memcpy(bytes, stream, (size_t)(pairs - pairs / 8));
    }
    return Q35_OK;
}

/* Whether the codes are below 128, or the padding bits clear. */
static int column_is_legal(const uint8_t *column, int64_t k, int64_t bytes, int32_t layout) {
    if (layout == Q35_DENSE) {
        const int spare = (int)(8 * bytes - 7 * pairs_of(k));
        return column[bytes - 1] >> (8 - spare) == 0;
    }
    unsigned bits = 0;
    for (int64_t i = 0; i < bytes; i++) bits |= column[i];
    return bits < 128;
}

static int unpack_column(const uint8_t *column, int64_t k, int32_t layout, int8_t *q) {
    const int64_t pairs = pairs_of(k), bytes = layout == Q35_BYTE ? pairs : pairs - pairs / 8;
    if (!column_is_legal(column, k, bytes, layout)) return Q35_BAD_ARGUMENT;
    uint8_t codes[CHUNK_CODES];
    int8_t last[CHUNK_ROWS];
    for (int64_t row = 0; row < k; row += CHUNK_ROWS) {
        const int64_t rows = k - row < CHUNK_ROWS ? k - row : CHUNK_ROWS, pairs_here = pairs_of(rows);
        const uint8_t *from = column + row / 2;
        if (layout == Q35_DENSE) {
            const int64_t start = row / GROUP_MULTIPLE * 7, left = bytes - start;
            uint8_t tail[CHUNK_CODES] = {0};
            const uint8_t *stream = column + start;
            if (left < CHUNK_CODES) stream = memcpy(tail, stream, (size_t)left);
            uint64_t words[WORDS];
            for (int i = 0; i < WORDS; i++) words[i] = load_word(stream + 7 * i);
            for (int i = 0; i < WORDS; i++) words[i] = spread(words[i]);
            for (int i = 0; i < WORDS; i++) store_word(codes + 8 * i, words[i]);
            from = codes;
        }
        if (rows == CHUNK_ROWS) {
            decode(from, CHUNK_CODES, q + row);
        } else {
            decode(from, pairs_here, last);
            memcpy(q + row, last, (size_t)rows);
        }
    }
    return Q35_OK;
}

/* ---- ranges ----------------------------------------------------------------------------------------------------- */

/* Floats in the order of integers, which compilers know how to reduce: -0 is before 0, and what is not finite is
 * beyond both ends. */
static inline int32_t order_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ (bits >> 31 & INT32_MAX);
}

static inline float of_order(int32_t order) {
    const int32_t bits = order ^ (order >> 31 & INT32_MAX);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static int range_of(const float *w, int64_t rows, float *low, float *high) {
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (int64_t row = 0; row < rows; row++) {
        const int32_t order = order_of(w[row]);
        least = order < least ? order : least;
        most = order > most ? order : most;
    }
    *low = of_order(least);
    *high = of_order(most);
    return least < order_of(-FLT_MAX) || most > order_of(FLT_MAX) ? Q35_NOT_FINITE : Q35_OK;
}

/* ---- rounding to integers --------------------------------------------------------------------------------------- */

/* For the weights of a block: what the reciprocal of the scale is multiplied by, and the interval. */
typedef struct {
    float factor[BLOCK], low[BLOCK], high[BLOCK];
} lane_pattern;

#define TWICE(...) __VA_ARGS__, __VA_ARGS__
#define BLOCK_OF(even, odd) {TWICE(TWICE(TWICE(TWICE(TWICE(even, odd)))))}

static const lane_pattern weight_lanes_gain_1 = {BLOCK_OF(1, 1), BLOCK_OF(-8, -4), BLOCK_OF(7, 3)};
static const lane_pattern weight_lanes_gain_2 = {BLOCK_OF(1, 0.5f), BLOCK_OF(-8, -4), BLOCK_OF(7, 3)};
static const lane_pattern activation_lanes = {BLOCK_OF(1, 1), BLOCK_OF(-127, -127), BLOCK_OF(127, 127)};

/* What rounds a group's weights. */
typedef struct {
    const lane_pattern *lanes;
    float scale, offset;
    float near_tie; /* farther than this from an integer, the float32 quotient may round the wrong way */
} rounder;

#define TAME_LEAST 0x1p-60f
#define TAME_MOST 0x1p60f
#define TO_INTEGER 0x1.8p23f /* added and taken away, it rounds to an integer, ties to even */

/* Integers of some weights by exact arithmetic. */
static int round_exactly(const float *w, int64_t count, const rounder *by, int8_t *q) {
    for (int64_t i = 0; i < count; i++) {
        const double step = (double)by->scale / by->lanes->factor[i % 2]; /* exact: a power of two */
        if (!(fabsf(w[i]) <= FLT_MAX)) return Q35_NOT_FINITE;
        q[i] = (int8_t)exact_integer(w[i], by->offset, step, (int)by->lanes->low[i % 2], (int)by->lanes->high[i % 2]);
    }
    return Q35_OK;
}

/* The float32 quotient is off by at most three roundings, of a difference, a reciprocal and a product, and clamped to
 * the interval before it is rounded; it is certain unless it is within that of a half. */
static int round_weights(const float *restrict w, int64_t rows, const rounder *by, int8_t *restrict q) {
    const float offset = by->offset, reciprocal = 1.0f / by->scale, near_tie = by->near_tie;
    const int tame = by->scale > TAME_LEAST && by->scale < TAME_MOST && fabsf(offset) < TAME_MOST;
    const lane_pattern *const lanes = by->lanes;
    int64_t row = 0;
    for (; tame && row + BLOCK <= rows; row += BLOCK) {
        int uncertain = 0;
        int32_t rounded[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            const float weight = w[row + i];
            float x = (weight - offset) * reciprocal * lanes->factor[i];
            x = x < lanes->low[i] ? lanes->low[i] : x;
            x = x > lanes->high[i] ? lanes->high[i] : x;
            const float shifted = x + TO_INTEGER;
            const float distance = fabsf(x - (shifted - TO_INTEGER));
            uncertain |= !(fabsf(weight) < TAME_MOST) | (distance > near_tie);
            memcpy(&rounded[i], &shifted, sizeof shifted); /* the integer is in its low bits, in two's complement */
        }
        for (int i = 0; i < BLOCK; i++) q[row + i] = (int8_t)(uint8_t)rounded[i];
        if (uncertain) {
            const int status = round_exactly(w + row, BLOCK, by, q + row);
            if (status != Q35_OK) return status;
        }
    }
    return round_exactly(w + row, rows - row, by, q + row);
}

static int quantize_group(const float *w, int64_t rows, float scale, float offset, int32_t narrow_gain, int8_t *q) {
    const lane_pattern *const lanes = narrow_gain == 1 ? &weight_lanes_gain_1 : &weight_lanes_gain_2;
    return round_weights(w, rows, &(rounder){lanes, scale, offset, 0.5f - 8 * 4 * 0x1p-24f}, q);
}

/* ---- back to weights -------------------------------------------------------------------------------------------- */

/* RN32(scale * gain * q + offset) for every integer: the wide lane's by their low four bits, then the narrow lane's by
 * their low three.
 *
 * The product is exact in double. So is the sum, unless the terms are of very different size: it is below 17 times the
 * larger scale or offset, and a multiple of 2^-24 times the smaller. */
enum { TABLE_SIZE = 16 + 8 };

static void fill_table(float scale, float offset, int32_t narrow_gain, float table[TABLE_SIZE]) {
    static const double integers[TABLE_SIZE] = {0,  1,  2,  3,  4,  5, 6, 7, -8, -7, -6, -5,
                                                -4, -3, -2, -1, 0, 1, 2, 3,  -4, -3, -2, -1};
    const double wide = scale, narrow = wide * narrow_gain, size = fabs((double)offset);
    const int exact = size == 0 || (size <= wide * 0x1p24 && wide <= size * 0x1p24);
    if (exact) {
        for (int i = 0; i < 16; i++) table[i] = (float)(integers[i] * wide + offset);
        for (int i = 16; i < TABLE_SIZE; i++) table[i] = (float)(integers[i] * narrow + offset);
    } else {
        for (int i = 0; i < TABLE_SIZE; i++) table[i] = round_sum(integers[i] * (i < 16 ? wide : narrow), offset);
    }
}

/* Whether every integer is inside its lane: made unsigned, a legal one has no bit beyond its field. */
static int integers_are_legal(const int8_t *q, int64_t rows) {
    static const uint8_t bias[BLOCK] = BLOCK_OF(WIDE_BIAS, NARROW_BIAS), beyond[BLOCK] = BLOCK_OF(0xf0, 0xf8);
    uint8_t outside[BLOCK] = {0};
    int64_t row = 0;
    for (; row + BLOCK <= rows; row += BLOCK)
        for (int i = 0; i < BLOCK; i++) outside[i] |= (uint8_t)(q[row + i] + bias[i]) & beyond[i];
    for (int i = 0; row + i < rows; i++) outside[i] |= (uint8_t)(q[row + i] + bias[i]) & beyond[i];
    uint8_t any = 0;
    for (int i = 0; i < BLOCK; i++) any |= outside[i];
    return any == 0;
}

/* Defined with each instruction set: each weight is its integer's in the table, stored past the caches if `stream`
 * says so and the address allows it. */
static void look_up(const int8_t *q, int64_t rows, const float table[TABLE_SIZE], int stream, float *w);

/* The same for the rows from an even one on. */
static inline void look_up_rest(const int8_t *q, int64_t from, int64_t to, const float table[TABLE_SIZE], float *w) {
    for (int64_t row = from; row < to; row++) w[row] = row % 2 ? table[16 + (q[row] & 7)] : table[q[row] & 15];
}

/* Rows before the first address that is a multiple of `alignment` bytes; `rows` if there is none at an even row. */
static inline int64_t rows_before(const float *w, int64_t rows, uintptr_t alignment) {
    const int64_t before = (int64_t)((alignment - (uintptr_t)w % alignment) % alignment / sizeof *w);
    return before % 2 == 0 && before < rows ? before : rows;
}

static int dequantize_group(const int8_t *q, int64_t rows, float scale, float offset, int32_t narrow_gain, int stream,
                            float *w) {
    float table[TABLE_SIZE];
    if (!integers_are_legal(q, rows)) return Q35_BAD_ARGUMENT;
    fill_table(scale, offset, narrow_gain, table);
    look_up(q, rows, table, stream, w);
    return Q35_OK;
}

/* ---- activations ------------------------------------------------------------------------------------------------ */

static int quantize_activation_row(const float *x, int64_t k, float *scale, int8_t *a) {
    float low, high;
    const int status = range_of(x, k, &low, &high);
    if (status != Q35_OK) return status;
    const float largest = -low > high ? -low : high;
    *scale = largest == 0 ? 1.0f : round_quotient((two_sum_t){largest, 0}, 127);
    return round_weights(x, k, &(rounder){&activation_lanes, *scale, 0, 0.5f - 128 * 4 * 0x1p-24f}, a);
}

#endif
