/* Portable C: what every machine has. */
#include "lanes.h"

typedef struct {
    uint8_t wide[CHUNK_CODES], narrow[CHUNK_CODES];
} fields;

typedef uint32_t sums;

typedef struct {
    int32_t layout, narrow_gain;
} splitter;

enum { TILE_ROWS = 1 };

static inline splitter make_splitter(int32_t layout, int32_t narrow_gain) { return (splitter){layout, narrow_gain}; }

static inline fields split(const splitter *how, const uint8_t *bytes) {
    uint8_t codes[CHUNK_CODES];
    if (how->layout == Q35_BYTE) memcpy(codes, bytes, sizeof codes);
    else
        for (int word = 0; word < CHUNK_CODES / 8; word++)
            store_word(codes + 8 * word, spread(load_word(bytes + 7 * word)));
    fields made;
    for (int i = 0; i < CHUNK_CODES; i++) {
        made.wide[i] = (uint8_t)((codes[i] >> 3 & 15) ^ WIDE_BIAS);
        made.narrow[i] = (uint8_t)(how->narrow_gain * ((codes[i] & 7) ^ NARROW_BIAS));
    }
    return made;
}

static inline sums no_sums(void) { return 0; }

static inline sums dot(sums total, fields weights, const int8_t *activations) {
    int32_t sum = 0; /* at most 64 times 128 * (15 + 14) */
    for (int i = 0; i < CHUNK_CODES; i++)
        sum += weights.wide[i] * activations[i] + weights.narrow[i] * activations[CHUNK_CODES + i];
    return total + (uint32_t)sum;
}

static inline void reduce(const sums total[QUAD], int32_t *totals) {
    for (int c = 0; c < QUAD; c++) totals[c] = (int32_t)total[c];
}

static inline int64_t look_up_blocks(const int8_t *q, int64_t row, int64_t rows, const float table[TABLE_SIZE], float *w,
                                     const int stream) {
    (void)stream;
    look_up_rest(q, row, rows, table, w);
    return rows;
}

static void finish_stream(void) {}

enum { STREAM_ALIGNMENT = 4 };

#define TABLE q35_scalar_kernels
#define NAME "scalar"
#include "table.h"
