/* Packing a chunk with AVX2: sums of products of neighbours put fields, codes and pairs of codes side by side. */
#ifndef Q35_PACK_X86_H
#define Q35_PACK_X86_H

#include "common.h"
#include "x86.h"

#define HAVE_PACKING

/* See the portable ones in lanes.h. */
static inline int encode(const int8_t *restrict q, uint8_t *restrict codes) {
    const __m256i fields = _mm256_set1_epi16(0x070f), bias = _mm256_set1_epi16(NARROW_BIAS << 8 | WIDE_BIAS);
    const __m256i places = _mm256_set1_epi16(1 << 8 | 8);
    __m256i outside = _mm256_setzero_si256(), pairs[4];
    for (int i = 0; i < 4; i++) {
        const __m256i integers = load256(q + 32 * i);
        outside = _mm256_or_si256(outside, _mm256_andnot_si256(fields, _mm256_add_epi8(integers, bias)));
        pairs[i] = _mm256_maddubs_epi16(_mm256_and_si256(integers, fields), places);
    }
    for (int i = 0; i < 2; i++) {
        const __m256i packed = _mm256_packus_epi16(pairs[2 * i], pairs[2 * i + 1]);
        store256(codes + 32 * i, _mm256_permute4x64_epi64(packed, 0xd8));
    }
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(outside, _mm256_setzero_si256())) == -1;
}

static inline void squeeze_chunk(const uint8_t *restrict codes, uint8_t *restrict stream) {
    const __m256i pairs = _mm256_set1_epi16((short)(128 << 8 | 1)), fours = _mm256_set1_epi32(1 << 30 | 1);
    const __m256i low = _mm256_set1_epi64x(0x0fffffff);
    const __m256i words = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, -1, -1));
    for (int i = 0; i < 2; i++) {
        const __m256i fourteen = _mm256_maddubs_epi16(pairs, load256(codes + 32 * i)); /* bits in each 16 */
        const __m256i twenty_eight = _mm256_madd_epi16(fourteen, fours);              /* in each 32 */
        const __m256i high = _mm256_andnot_si256(low, _mm256_srli_epi64(twenty_eight, 4));
        const __m256i bits = _mm256_or_si256(_mm256_and_si256(twenty_eight, low), high);
        const __m256i bytes = _mm256_shuffle_epi8(bits, words);
        store128(stream + 28 * i, _mm256_castsi256_si128(bytes));
        store128(stream + 28 * i + 14, _mm256_extracti128_si256(bytes, 1));
    }
}

#endif
