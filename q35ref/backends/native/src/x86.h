/* Loads and stores at any address. With Q35_SIMDE the intrinsics are SIMDe's, in C, for machines that lack them. */
#ifndef Q35_X86_H
#define Q35_X86_H

#ifdef Q35_SIMDE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#else
#include <immintrin.h>
#endif

static inline __m128i load64(const void *p) { return _mm_loadl_epi64((const __m128i *)p); }
static inline __m128i load128(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
static inline __m256i load256(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void store256(void *p, __m256i value) { _mm256_storeu_si256((__m256i *)p, value); }
static inline void store128(void *p, __m128i value) { _mm_storeu_si128((__m128i *)p, value); }

/* Past the caches; the address is a multiple of 16 bytes. Groups that begin within a cache line must not store its first
 * half one way and its second another. */
static inline void stream256(float *p, __m256 value) {
    _mm_stream_ps(p, _mm256_castps256_ps128(value));
    _mm_stream_ps(p + 4, _mm256_extractf128_ps(value, 1));
}

#if defined(__AVX512F__) || defined(Q35_SIMDE)
static inline __m512i load512(const void *p) { return _mm512_loadu_si512(p); }

static inline void stream512(float *p, __m512 value) {
    stream256(p, _mm512_castps512_ps256(value));
    stream256(p + 8, _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(value), 1)));
}

static inline __m512i widen512(__m128i bytes) {
#ifdef Q35_SIMDE /* which lacks the instruction */
    const __m512i low = _mm512_castsi256_si512(_mm256_cvtepi8_epi32(bytes));
    return _mm512_inserti64x4(low, _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)), 1);
#else
    return _mm512_cvtepi8_epi32(bytes);
#endif
}
#endif

#endif
