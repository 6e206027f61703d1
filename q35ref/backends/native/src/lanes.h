/* Columns and groups of a column, the same text for every instruction set: plain loops that compilers vectorize.
 *
 * A loop over 16 weights at a time keeps even rows in even places, so that what differs between the lanes is an array.
 */
#ifndef Q35_LANES_H
#define Q35_LANES_H

#include "common.h"
#include "rounding.h"

enum { BLOCK = 16 }; /* weights that are rounded together: a near-tie sends all of them to exact arithmetic */

/* ---- codes ------------------------------------------------------------------------------------------------------ */

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

/* Codes of some rows; whether every integer is inside its lane. */
static inline int encode(const int8_t *restrict q, int64_t pairs, uint8_t *restrict codes) {
    unsigned outside = 0;
    for (int64_t i = 0; i < pairs; i++) {
        const uint8_t wide = (uint8_t)(q[2 * i] + WIDE_BIAS), narrow = (uint8_t)(q[2 * i + 1] + NARROW_BIAS);
        outside |= (wide & 0xf0u) | (narrow & 0xf8u);
        codes[i] = (uint8_t)((wide ^ WIDE_BIAS) << 3 | (narrow ^ NARROW_BIAS));
    }
    return outside == 0;
}

static inline void decode(const uint8_t *restrict codes, int64_t pairs, int8_t *restrict q) {
    for (int64_t i = 0; i < pairs; i++) {
        q[2 * i] = (int8_t)((codes[i] >> 3 ^ WIDE_BIAS) - WIDE_BIAS);
        q[2 * i + 1] = (int8_t)(((codes[i] & 7) ^ NARROW_BIAS) - NARROW_BIAS);
    }
}

static int pack_column(const int8_t *q, int64_t k, int32_t layout, uint8_t *column) {
    uint8_t codes[CHUNK_CODES];
    int8_t last[CHUNK_ROWS];
    for (int64_t row = 0; row < k; row += CHUNK_ROWS) {
        const int64_t rows = k - row < CHUNK_ROWS ? k - row : CHUNK_ROWS, pairs = pairs_of(rows);
        const int8_t *integers = q + row;
        if (rows < CHUNK_ROWS) {
            memset(last, 0, sizeof last);
            memcpy(last, integers, (size_t)rows);
            memset(codes, 0, sizeof codes);
            integers = last;
        }
        uint8_t *to = layout == Q35_BYTE ? column + row / 2 : codes;
        if (!encode(integers, pairs, to)) return Q35_BAD_ARGUMENT;
        if (layout == Q35_BYTE) continue;
        uint8_t bytes[CHUNK_CODES];
        for (int64_t word = 0; word < CHUNK_CODES / 8; word++)
            store_word(bytes + 7 * word, squeeze(load_word(codes + 8 * word)));
        memcpy(column + row / GROUP_MULTIPLE * 7, bytes, (size_t)((7 * pairs + 7) / 8));
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
    uint8_t codes[CHUNK_CODES + 8];
    int8_t last[CHUNK_ROWS];
    for (int64_t row = 0; row < k; row += CHUNK_ROWS) {
        const int64_t rows = k - row < CHUNK_ROWS ? k - row : CHUNK_ROWS, pairs_here = pairs_of(rows);
        const uint8_t *from = column + row / 2;
        if (layout == Q35_DENSE) {
            const int64_t start = row / GROUP_MULTIPLE * 7, left = bytes - start;
            uint8_t tail[CHUNK_CODES] = {0};
            const uint8_t *words = column + start;
            if (left < CHUNK_CODES) memcpy(tail, words, (size_t)left), words = tail;
            for (int64_t word = 0; word < CHUNK_CODES / 8; word++)
                store_word(codes + 8 * word, spread(load_word(words + 7 * word)));
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

static int range_of(const float *w, int64_t rows, float *low, float *high) {
    float least[BLOCK], most[BLOCK];
    int not_finite[BLOCK] = {0};
    for (int i = 0; i < BLOCK; i++) least[i] = INFINITY, most[i] = -INFINITY;
    int64_t row = 0;
    for (; row + BLOCK <= rows; row += BLOCK)
        for (int i = 0; i < BLOCK; i++) {
            const float x = w[row + i];
            least[i] = x < least[i] ? x : least[i];
            most[i] = x > most[i] ? x : most[i];
            not_finite[i] |= !(fabsf(x) <= FLT_MAX);
        }
    for (; row < rows; row++) {
        const float x = w[row];
        least[0] = x < least[0] ? x : least[0];
        most[0] = x > most[0] ? x : most[0];
        not_finite[0] |= !(fabsf(x) <= FLT_MAX);
    }
    for (int i = 1; i < BLOCK; i++) {
        least[0] = least[i] < least[0] ? least[i] : least[0];
        most[0] = most[i] > most[0] ? most[i] : most[0];
        not_finite[0] |= not_finite[i];
    }
    *low = least[0];
    *high = most[0];
    return not_finite[0] ? Q35_NOT_FINITE : Q35_OK;
}

/* ---- rounding to integers --------------------------------------------------------------------------------------- */

/* What rounds a weight of an even row, and of an odd one. */
typedef struct {
    float reciprocal[2];
    double step[2];
    int low[2], high[2];
    float near_tie; /* farther than this from an integer, the float32 quotient may round the wrong way */
    int tame;       /* whether the float32 quotient will do at all */
} rounder;

#define TAME_LEAST 0x1p-60f
#define TAME_MOST 0x1p60f
#define TO_INTEGER 0x1.8p23f /* added and taken away, it rounds to an integer, ties to even */

/* Integers of up to 16 weights by exact arithmetic. */
static int round_exactly(const float *w, int64_t count, float offset, const rounder *by, int8_t *q) {
    for (int64_t i = 0; i < count; i++) {
        if (!(fabsf(w[i]) <= FLT_MAX)) return Q35_NOT_FINITE;
        q[i] = (int8_t)exact_integer(w[i], offset, by->step[i % 2], by->low[i % 2], by->high[i % 2]);
    }
    return Q35_OK;
}

/* The float32 quotient is off by at most three roundings, of a difference, a reciprocal and a product, and clamped to
 * the interval before it is rounded; it is certain unless it is within that of a half. */
static int round_weights(const float *w, int64_t rows, float offset, const rounder *by, int8_t *q) {
    float reciprocal[BLOCK], low[BLOCK], high[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        reciprocal[i] = by->reciprocal[i % 2];
        low[i] = (float)by->low[i % 2];
        high[i] = (float)by->high[i % 2];
    }
    int64_t row = 0;
    for (; by->tame && row + BLOCK <= rows; row += BLOCK) {
        int uncertain = 0;
        int32_t rounded[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            const float weight = w[row + i];
            float x = (weight - offset) * reciprocal[i];
            x = x < low[i] ? low[i] : x;
            x = x > high[i] ? high[i] : x;
            const float shifted = x + TO_INTEGER;
            const float distance = fabsf(x - (shifted - TO_INTEGER));
            uncertain |= !(fabsf(weight) < TAME_MOST) | (distance > by->near_tie);
            memcpy(&rounded[i], &shifted, sizeof shifted); /* the integer is in its low bits, in two's complement */
        }
        for (int i = 0; i < BLOCK; i++) q[row + i] = (int8_t)(uint8_t)rounded[i];
        if (uncertain) {
            const int status = round_exactly(w + row, BLOCK, offset, by, q + row);
            if (status != Q35_OK) return status;
        }
    }
    return row < rows ? round_exactly(w + row, rows - row, offset, by, q + row) : Q35_OK;
}

static int quantize_group(const float *w, int64_t rows, float scale, float offset, int32_t narrow_gain, int8_t *q) {
    const rounder by = {
        .step = {scale, (double)scale * narrow_gain},
        .reciprocal = {1.0f / scale, 1.0f / (scale * (float)narrow_gain)},
        .low = {-WIDE_BIAS, -NARROW_BIAS},
        .high = {WIDE_BIAS - 1, NARROW_BIAS - 1},
        .near_tie = 0.5f - 8 * 4 * 0x1p-24f,
        .tame = scale > TAME_LEAST && scale < TAME_MOST && fabsf(offset) < TAME_MOST,
    };
    return round_weights(w, rows, offset, &by, q);
}

static int quantize_activation_row(const float *x, int64_t k, float *scale, int8_t *a) {
    float low, high;
    const int status = range_of(x, k, &low, &high);
    if (status != Q35_OK) return status;
    const float largest = -low > high ? -low : high;
    *scale = largest == 0 ? 1.0f : round_quotient((two_sum_t){largest, 0}, 127);
    const rounder by = {
        .step = {*scale, *scale},
        .reciprocal = {1.0f / *scale, 1.0f / *scale},
        .low = {-127, -127},
        .high = {127, 127},
        .near_tie = 0.5f - 128 * 4 * 0x1p-24f,
        .tame = *scale > TAME_LEAST && *scale < TAME_MOST,
    };
    return round_weights(x, k, 0, &by, a);
}

#endif
