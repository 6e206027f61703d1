/* What the machine itself can do, with the widest vectors that the compiler knows here: read memory, copy it, and
 * multiply integers of a byte. Every kernel's speed is given as a share of these, measured in the same run. */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { VECTOR = 64 };
#elif defined(__AVX__)
enum { VECTOR = 32 };
#else
enum { VECTOR = 16 };
#endif

typedef uint64_t vector __attribute__((vector_size(VECTOR), may_alias));

enum { ACROSS = 8, STREAMS = 4, APART = 1 << 15, MOST_THREADS = 64 };

enum { ONE_STREAM, FOUR_STREAMS, FOUR_SENT_FOR, ARITHMETIC };

typedef struct {
    const char *from;
    size_t bytes; /* for arithmetic: iterations */
    int kind;
    uint64_t sum;
} part;

static uint64_t total(vector v) {
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof v / sizeof sum; i++) sum += v[i];
    return sum;
}

/* One stream, as a plain loop reads. */
static uint64_t read_plainly(const char *from, size_t bytes) {
    vector sums[ACROSS] = {{0}};
    for (const char *end = from + bytes; from < end; from += ACROSS * VECTOR)
        for (int i = 0; i < ACROSS; i++) sums[i] += *(const vector *)(from + i * VECTOR);
    for (int i = 1; i < ACROSS; i++) sums[0] += sums[i];
    return total(sums[0]);
}

/* Four streams side by side, as a product of four rows at a time reads; some processors fetch from memory faster so.
 * `ahead` sends for what comes later. */
static inline uint64_t read_streams(const char *from, size_t bytes, const size_t ahead) {
    vector sums[2 * STREAMS] = {{0}};
    for (const char *end = from + bytes; from < end; from += STREAMS * APART)
        for (size_t at = 0; at < APART; at += 2 * VECTOR)
            for (int s = 0; s < STREAMS; s++) {
                const char *p = from + s * APART + at;
                if (ahead != 0) __builtin_prefetch((const void *)((uintptr_t)p + ahead));
                if (ahead != 0 && VECTOR == 64) __builtin_prefetch((const void *)((uintptr_t)p + ahead + VECTOR));
                sums[2 * s] += *(const vector *)p;
                sums[2 * s + 1] += *(const vector *)(p + VECTOR);
            }
    for (int i = 1; i < 2 * STREAMS; i++) sums[0] += sums[i];
    return total(sums[0]);
}

/* Products of bytes whose factors never leave the registers. MULTIPLIED is the number in each iteration. */
#if defined(__AVX512F__) && defined(__AVX512VNNI__)
enum { MULTIPLIED = ACROSS * 64 };
static uint64_t multiply(size_t iterations) {
    __m512i sums[ACROSS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
    for (int i = 0; i < ACROSS; i++) sums[i] = _mm512_setzero_si512();
    for (; iterations > 0; iterations--)
        for (int i = 0; i < ACROSS; i++) {
            sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
            __asm__ volatile("" : "+v"(sums[i]));
        }
    for (int i = 1; i < ACROSS; i++) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
    return (uint64_t)_mm512_reduce_add_epi64(sums[0]);
}
#elif defined(__AVX2__)
enum { MULTIPLIED = ACROSS * 32 };
static uint64_t multiply(size_t iterations) {
    __m256i sums[ACROSS], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
    for (int i = 0; i < ACROSS; i++) sums[i] = _mm256_setzero_si256();
    for (; iterations > 0; iterations--)
        for (int i = 0; i < ACROSS; i++) {
            __m256i products = _mm256_maddubs_epi16(a, b);
            __asm__ volatile("" : "+x"(products)); /* or it would be made once */
            sums[i] = _mm256_add_epi16(sums[i], products);
        }
    for (int i = 1; i < ACROSS; i++) sums[0] = _mm256_add_epi16(sums[0], sums[i]);
    return (uint64_t)_mm256_extract_epi64(sums[0], 0);
}
#else
enum { MULTIPLIED = 0 };
static uint64_t multiply(size_t iterations) { return iterations; }
#endif

static void *run(void *argument) {
    part *p = argument;
    switch (p->kind) {
        case ONE_STREAM: p->sum = read_plainly(p->from, p->bytes); break;
        case FOUR_STREAMS: p->sum = read_streams(p->from, p->bytes, 0); break;
        case FOUR_SENT_FOR: p->sum = read_streams(p->from, p->bytes, STREAMS * APART); break;
        default: p->sum = multiply(p->bytes);
    }
    return NULL;
}

static uint64_t together(const char *from, size_t bytes, int kind, int threads) {
    part parts[MOST_THREADS];
    pthread_t handles[MOST_THREADS];
    int started[MOST_THREADS] = {0};
    uint64_t sum = 0;
    for (int t = 0; t < threads; t++) {
        const size_t each = kind == ARITHMETIC ? bytes : bytes / (size_t)threads;
        parts[t] = (part){kind == ARITHMETIC ? from : from + (size_t)t * each, each, kind, 0};
    }
    for (int t = 1; t < threads; t++) started[t] = pthread_create(&handles[t], NULL, run, &parts[t]) == 0;
    for (int t = 0; t < threads; t++)
        if (!started[t]) run(&parts[t]);
    for (int t = 1; t < threads; t++)
        if (started[t]) pthread_join(handles[t], NULL);
    for (int t = 0; t < threads; t++) sum += parts[t].sum;
    return sum;
}

/* Bytes that are read together: every thread's part is a multiple of them. */
int anchor_read_unit(void) { return STREAMS * APART; }

/* `from` is aligned to a vector; `kind` is 0 to 2. */
uint64_t anchor_read(const void *from, size_t bytes, int kind, int threads) {
    return together(from, bytes, kind, threads);
}

uint64_t anchor_copy(void *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
    return *(const unsigned char *)to;
}

/* Products in an iteration of a thread, 0 where the anchor does not know the machine's instructions. */
int anchor_multiplied(void) { return MULTIPLIED; }

uint64_t anchor_multiply(size_t iterations, int threads) { return together(NULL, iterations, ARITHMETIC, threads); }

int anchor_vector_bits(void) { return 8 * VECTOR; }
