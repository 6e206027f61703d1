/* AVX-512 with VBMI and VNNI: a chunk at a time. */
#include "pack_x86.h"

#include "lanes.h"

typedef struct {
    __m512i wide, narrow;
} fields;

typedef __m512i sums;

/* Eight codes, 56 bits of the stream or 64, are brought to each 64-bit word; then every byte takes the eight bits that
 * begin with its field, and keeps the field's own. */
typedef struct {
    __m512i words;             /* bytes of each word */
    __m512i wide_at, narrow_at; /* bit at which each byte begins; a gain of 2 begins a bit earlier */
    __m512i narrow_mask, narrow_sign;
} splitter;

enum { TILE_ROWS = 4 };

static inline splitter make_splitter(int32_t layout, int32_t narrow_gain) {
    uint8_t words[64], wide_at[64], narrow_at[64];
    const int code_bits = layout == Q35_BYTE ? 8 : 7;
    for (int i = 0; i < 64; i++) {
        const int word = i / 8, place = i % 8;
        words[i] = (uint8_t)(code_bits * word + (place < code_bits ? place : 0));
        wide_at[i] = (uint8_t)(code_bits * place + 3);
        narrow_at[i] = (uint8_t)(code_bits * place - (narrow_gain - 1)) & 63;
    }
    return (splitter){
        load512(words), load512(wide_at), load512(narrow_at), _mm512_set1_epi8((char)(7 * narrow_gain)),
        _mm512_set1_epi8((char)(NARROW_BIAS * narrow_gain)),
    };
}

static inline fields split(const splitter *how, const uint8_t *bytes) {
    enum { MASK_THEN_FLIP = 0x6a }; /* (a & b) ^ c */
    const __m512i words = _mm512_permutexvar_epi8(how->words, load512(bytes));
    return (fields){
        _mm512_ternarylogic_epi32(_mm512_multishift_epi64_epi8(how->wide_at, words), _mm512_set1_epi8(15),
                                  _mm512_set1_epi8(WIDE_BIAS), MASK_THEN_FLIP),
        _mm512_ternarylogic_epi32(_mm512_multishift_epi64_epi8(how->narrow_at, words), how->narrow_mask,
                                  how->narrow_sign, MASK_THEN_FLIP),
    };
}

static inline sums no_sums(void) { return _mm512_setzero_si512(); }

static inline sums dot(sums total, fields weights, const int8_t *activations) {
    total = _mm512_dpbusd_epi32(total, weights.wide, load512(activations));
    return _mm512_dpbusd_epi32(total, weights.narrow, load512(activations + CHUNK_CODES));
}

static inline __m512i interleave_add32(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

static inline void reduce(const sums total[QUAD], int32_t *totals) {
    const __m512i ab = interleave_add32(total[0], total[1]), cd = interleave_add32(total[2], total[3]);
    const __m512i lanes = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i halves = _mm256_add_epi32(_mm512_castsi512_si256(lanes), _mm512_extracti64x4_epi64(lanes, 1));
    store128(totals, _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
}

static inline int64_t look_up_blocks(const int8_t *q, int64_t row, int64_t rows, const float table[TABLE_SIZE], float *w,
                                     const int stream) {
    const __m512 wide = _mm512_loadu_ps(table), narrow = _mm512_broadcast_f32x8(_mm256_loadu_ps(table + 16));
    for (; row + 16 <= rows; row += 16) {
        const __m512i integers = widen512(load128(q + row));
        const __m512 even = _mm512_permutexvar_ps(integers, wide);
        const __m512 weights = _mm512_mask_permutexvar_ps(even, 0xaaaa, integers, narrow);
        if (stream) stream512(w + row, weights);
        else _mm512_storeu_ps(w + row, weights);
    }
    return row;
}

static void finish_stream(void) { _mm_sfence(); }

enum { STREAM_ALIGNMENT = 16 };

#define TABLE q35_avx512_kernels
#define NAME "avx512"
#include "table.h"
