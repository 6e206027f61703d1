/* What the parts of the native kernel share: sizes, and the table of functions that each instruction set fills. */
#ifndef Q35_COMMON_H
#define Q35_COMMON_H

#include "q35_abi.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0
#error "float expressions must be rounded to float: use SSE on 32-bit x86 (-msse2 -mfpmath=sse)"
#endif

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "numbers that are not finite must be seen: no -ffast-math, no -ffinite-math-only"
#endif

enum {
    CHUNK_CODES = 64,           /* codes that the dot product takes at once */
    CHUNK_ROWS = 2 * CHUNK_CODES, /* their weights, and the bytes of their activations */
    CHUNK_READ = 64,            /* bytes that loading a chunk reads, of which 56 are its own in layout dense */
    QUAD = 4,                   /* columns whose sums are reduced together */
    STRIP = 16,                 /* columns of which a matrix-vector product keeps the sums */
    STREAM_WEIGHTS = 1 << 22,   /* restored weights that no cache holds are stored past the caches */
    PANEL = 64,                 /* columns that a matrix-matrix product unpacks for a block of rows */
    PANEL_CHUNKS = 16,          /* chunks of each of them: the panel stays in the second cache */
    GROUP_MULTIPLE = 16,        /* a group size is a multiple of it: 16 weights take 7 bytes */
    WIDE_BIAS = 8,              /* makes the wide lane's integers unsigned */
    NARROW_BIAS = 4,            /* and the narrow lane's */
};

#define MAX_GROUP_ROWS INT64_C(2097151) /* theorem acc_fits_int32 */

/* A column and its groups. */
typedef struct {
    int64_t k;
    int64_t group_rows; /* rows of every group but perhaps the last */
    int64_t groups;
} column_shape;

static inline int64_t rows_of_group(const column_shape *shape, int64_t group) {
    const int64_t left = shape->k - group * shape->group_rows;
    return left < shape->group_rows ? left : shape->group_rows;
}

static inline int64_t pairs_of(int64_t rows) { return rows / 2 + rows % 2; }

static inline int64_t chunks_of(int64_t rows) {
    const int64_t pairs = pairs_of(rows);
    return pairs / CHUNK_CODES + (pairs % CHUNK_CODES != 0);
}

static inline int parameter_status(float scale, float offset) {
    if (!(fabsf(scale) <= FLT_MAX) || !(fabsf(offset) <= FLT_MAX)) return Q35_NOT_FINITE;
    return scale > 0 ? Q35_OK : Q35_BAD_ARGUMENT;
}

/* One block of rows of activations, arranged for the dot product, and all else that a range of columns needs. */
typedef struct {
    column_shape shape;
    int64_t m, n;           /* rows of this block, columns of the whole matrix */
    int64_t column_bytes;
    int32_t layout, narrow_gain;
    const uint8_t *packed;  /* all columns */
    const uint8_t *packed_end;
    const float *scale, *offset;
    const int8_t *chunks;   /* [m][row_chunks][128]: of a chunk, the 64 even rows and then the 64 odd ones, 0 beyond */
    int64_t row_chunks;     /* the group's chunks, group after group: a chunk belongs to one group */
    const int32_t *bias;    /* [m][G]: what the unsigned integers add to each accumulator */
    const int32_t *row_sum; /* [m][G] */
    int32_t *acc;           /* or NULL; at this block's first row */
    float *out;             /* or NULL; at this block's first row */
} matmul_job;

/* What an instruction set does. All return a status of the ABI. */
typedef struct {
    const char *name;
    int (*pack)(const int8_t *q, int64_t k, int32_t layout, uint8_t *column);
    int (*unpack)(const uint8_t *column, int64_t k, int32_t layout, int8_t *q);
    int (*range)(const float *w, int64_t rows, float *low, float *high);
    int (*quantize)(const float *w, int64_t rows, float scale, float offset, int32_t narrow_gain, int8_t *q);
    int (*dequantize)(const int8_t *q, int64_t rows, float scale, float offset, int32_t narrow_gain, int stream,
                      float *w);
    void (*finish_stream)(void); /* what was stored past the caches is seen by all afterwards */
    int (*quantize_activations)(const float *x, int64_t k, float *scale, int8_t *a);
    int (*matmul)(const matmul_job *job, int64_t first, int64_t last);
} kernel_table;

extern const kernel_table q35_scalar_kernels;
#ifdef Q35_HAVE_AVX2
extern const kernel_table q35_avx2_kernels;
#endif
#ifdef Q35_HAVE_AVX512
extern const kernel_table q35_avx512_kernels;
#endif

/* Run work(context, first, last) on ranges that cover 0 .. count, each a multiple of `multiple` long but the last.
 * Returns the status of the first range that failed. */
typedef int (*range_work)(void *context, int64_t first, int64_t last);
int q35_parallel(range_work work, void *context, int64_t count, int64_t multiple, int64_t cost);

#endif
