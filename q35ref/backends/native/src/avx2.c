/* AVX2: 32 bytes at a time. A chunk is four lots of 16 codes, each in 14 bytes, or in 16. */
#include "pack_x86.h"

#include "lanes.h"

typedef struct {
    __m256i wide[2], narrow[2];
} fields;

typedef __m256i sums;

/* A code is cut out of a 16-bit word of the stream that holds all of its bits, by a product with a power of two: one at
 * an even place lands in the low byte of a high product, one at an odd place in the high byte of a low product. With a
 * gain of 2 it lands a bit further up, so that its narrow field is doubled. */
typedef struct {
    __m256i flip;                    /* the sign bit of each field of the stream: it makes them unsigned, biased */
    __m256i even_words, odd_words;   /* bytes of the word of each pair of codes, for shuffles of 128 bits */
    __m256i even_factor, odd_factor; /* the powers of two */
    __m256i narrow_mask;
    __m128i wide_shift;
    int64_t lot;                     /* bytes of 16 codes */
} splitter;

enum { TILE_ROWS = 2 };

static inline splitter make_splitter(int32_t layout, int32_t narrow_gain) {
    const int code_bits = layout == Q35_BYTE ? 8 : 7, up = narrow_gain - 1;
    uint8_t flip[32] = {0}, even[32], odd[32];
    uint16_t even_factor[16], odd_factor[16];
    for (int i = 0; i < 16; i++)
        for (int field = 2; field <= 6; field += 4) {
            const int bit = code_bits * i + field;
            flip[bit / 8] |= (uint8_t)(1 << bit % 8), flip[16 + bit / 8] |= (uint8_t)(1 << bit % 8);
        }
    for (int pair = 0; pair < 16; pair++) {
        const int bit = code_bits * (pair % 8 * 2), next = bit + code_bits, shift = bit % 8 - up;
        const int whole = shift <= 0; /* no factor shifts down by so little: the code is put into the high byte */
        even[2 * pair] = whole ? 0x80 : (uint8_t)(bit / 8);
        even[2 * pair + 1] = (uint8_t)(whole ? bit / 8 : bit / 8 + 1);
        even_factor[pair] = (uint16_t)(1 << (16 - shift - (whole ? 8 : 0)));
        odd[2 * pair] = (uint8_t)(next / 8), odd[2 * pair + 1] = (uint8_t)(next / 8 + 1);
        odd_factor[pair] = (uint16_t)(1 << (8 + up - next % 8));
    }
    return (splitter){
        load256(flip), load256(even), load256(odd), load256(even_factor), load256(odd_factor),
        _mm256_set1_epi8((char)(7 * narrow_gain)), _mm_cvtsi32_si128(3 + up), 2 * code_bits,
    };
}

static inline fields split(const splitter *how, const uint8_t *bytes) {
    fields made;
    for (int half = 0; half < 2; half++) {
        const uint8_t *from = bytes + 2 * half * how->lot;
        __m256i lots = _mm256_inserti128_si256(_mm256_castsi128_si256(load128(from)), load128(from + how->lot), 1);
        lots = _mm256_xor_si256(lots, how->flip);
        const __m256i even = _mm256_mulhi_epu16(_mm256_shuffle_epi8(lots, how->even_words), how->even_factor);
        const __m256i odd = _mm256_mullo_epi16(_mm256_shuffle_epi8(lots, how->odd_words), how->odd_factor);
        const __m256i codes = _mm256_blendv_epi8(even, odd, _mm256_set1_epi16((short)0xff00));
        made.wide[half] = _mm256_and_si256(_mm256_srl_epi16(codes, how->wide_shift), _mm256_set1_epi8(15));
        made.narrow[half] = _mm256_and_si256(codes, how->narrow_mask);
    }
    return made;
}

static inline sums no_sums(void) { return _mm256_setzero_si256(); }

/* Four products of two: at most 2 * 2 * (15 + 14) * 128 = 14848, well within 16 bits. */
static inline sums dot(sums total, fields weights, const int8_t *activations) {
    const __m256i products = _mm256_add_epi16(
        _mm256_add_epi16(_mm256_maddubs_epi16(weights.wide[0], load256(activations)),
                         _mm256_maddubs_epi16(weights.wide[1], load256(activations + 32))),
        _mm256_add_epi16(_mm256_maddubs_epi16(weights.narrow[0], load256(activations + 64)),
                         _mm256_maddubs_epi16(weights.narrow[1], load256(activations + 96))));
    return _mm256_add_epi32(total, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
}

static inline void reduce(const sums total[QUAD], int32_t *totals) {
    const __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(total[0], total[1]), _mm256_hadd_epi32(total[2], total[3]));
    store128(totals, _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
}

/* A wide integer's entry is in one of two tables, by its sign; a narrow one's is in the third. */
static inline int64_t look_up_blocks(const int8_t *q, int64_t row, int64_t rows, const float table[TABLE_SIZE], float *w,
                                     const int stream) {
    const __m256 positive = _mm256_loadu_ps(table), negative = _mm256_loadu_ps(table + 8);
    const __m256 narrows = _mm256_loadu_ps(table + 16);
    for (; row + 8 <= rows; row += 8) {
        const __m256i integers = _mm256_cvtepi8_epi32(load64(q + row));
        const __m256 wide = _mm256_blendv_ps(_mm256_permutevar8x32_ps(positive, integers),
                                             _mm256_permutevar8x32_ps(negative, integers), _mm256_castsi256_ps(integers));
        const __m256 weights = _mm256_blend_ps(wide, _mm256_permutevar8x32_ps(narrows, integers), 0xaa);
        if (stream) stream256(w + row, weights);
        else _mm256_storeu_ps(w + row, weights);
    }
    return row;
}

static void finish_stream(void) { _mm_sfence(); }

enum { STREAM_ALIGNMENT = 16 };

#define TABLE q35_avx2_kernels
#define NAME "avx2"
#include "table.h"
