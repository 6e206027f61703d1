/* The entry point of the matmul: a block of rows of activations is arranged once, for all columns. */
#include "entry.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_AT_ONCE = 256 };

/* The activations of an even and of an odd row each. */
typedef struct {
    int8_t even, odd;
} activation_pair;

/* Arrange up to a chunk's rows; return the sums of the even and of the odd ones. Whole chunks become vector code. */
static inline void arrange_chunk(const int8_t *from, int64_t rows, int8_t *chunk, int32_t sums[2]) {
    activation_pair pairs[CHUNK_CODES];
    memcpy(pairs, from, (size_t)rows);
    if (rows < CHUNK_ROWS) memset((int8_t *)pairs + rows, 0, (size_t)(CHUNK_ROWS - rows));
    for (int i = 0; i < CHUNK_CODES; i++) chunk[i] = pairs[i].even, chunk[CHUNK_CODES + i] = pairs[i].odd;
    for (int i = 0; i < CHUNK_CODES; i++) sums[0] += chunk[i], sums[1] += chunk[CHUNK_CODES + i];
}

/* A row's activations in chunks, and for each group its sum and what unsigned integers add to its accumulators. */
static void arrange_row(const int8_t *a, const column_shape *shape, int32_t narrow_gain, int8_t *chunks,
                        int32_t *bias, int32_t *row_sum) {
    for (int64_t g = 0; g < shape->groups; g++) {
        const int8_t *from = a + g * shape->group_rows;
        int32_t sums[2] = {0, 0}; /* a group's rows are few enough */
        for (int64_t left = rows_of_group(shape, g); left > 0; left -= CHUNK_ROWS) {
            arrange_chunk(from, left < CHUNK_ROWS ? left : CHUNK_ROWS, chunks, sums);
            from += CHUNK_ROWS;
            chunks += CHUNK_ROWS;
        }
        row_sum[g] = sums[0] + sums[1];
        bias[g] = (int32_t)((uint32_t)sums[0] * WIDE_BIAS + (uint32_t)sums[1] * (uint32_t)(NARROW_BIAS * narrow_gain));
    }
}

static int64_t chunks_of_row(const column_shape *shape) {
    return (shape->groups - 1) * chunks_of(shape->group_rows) + chunks_of(rows_of_group(shape, shape->groups - 1));
}

static int multiply_range(void *context, int64_t first, int64_t last) {
    return q35_kernels()->matmul(context, first, last);
}

static void *allocate(int64_t count, int64_t size) { return fits(count, size) ? malloc((size_t)(count * size)) : NULL; }

/* The whole product, with room for one block of rows. */
static int multiply_blocks(const int8_t *a, int64_t m, matmul_job *job, int8_t *chunks, int32_t *bias, int32_t *row_sum,
                           int32_t *acc, int32_t *row_sum_out, float *out) {
    const int64_t groups = job->shape.groups;
    int status = Q35_OK;
    for (int64_t first = 0; first < m && status == Q35_OK; first += ROWS_AT_ONCE) {
        job->m = m - first < ROWS_AT_ONCE ? m - first : ROWS_AT_ONCE;
        for (int64_t i = 0; i < job->m; i++)
            arrange_row(a + (first + i) * job->shape.k, &job->shape, job->narrow_gain,
                        chunks + i * job->row_chunks * CHUNK_ROWS, bias + i * groups, row_sum + i * groups);
        if (row_sum_out != NULL)
            memcpy(row_sum_out + first * groups, row_sum, (size_t)(job->m * groups) * sizeof *row_sum);
        job->chunks = chunks, job->bias = bias, job->row_sum = row_sum;
        job->acc = acc == NULL ? NULL : acc + first * job->n * groups;
        job->out = out == NULL ? NULL : out + first * job->n;
        status = q35_parallel(multiply_range, job, job->n, STRIP, job->shape.k * job->m);
    }
    return status;
}

int q35_matmul(const int8_t *a, const uint8_t *packed, int64_t m, int64_t k, int64_t n, int32_t layout,
               int64_t group_size, int32_t narrow_gain, const float *scale, const float *offset, int32_t *acc,
               int32_t *row_sum, float *out) {
    matmul_job job = {.n = n, .layout = layout, .narrow_gain = narrow_gain, .scale = scale, .offset = offset};
    if (a == NULL || packed == NULL || scale == NULL || offset == NULL || !is_layout(layout) || !is_gain(narrow_gain) ||
        !make_shape(k, group_size, &job.shape) || !fits(k, n) || !fits(m, k) || !fits(m, n) ||
        !fits(m * n, job.shape.groups) || !fits(m * n * job.shape.groups, sizeof *acc))
        return Q35_BAD_ARGUMENT;
    job.packed = packed;
    job.column_bytes = bytes_of_column(k, layout);
    job.packed_end = packed + n * job.column_bytes;
    job.row_chunks = chunks_of_row(&job.shape);
    const int64_t rows = m < ROWS_AT_ONCE ? m : ROWS_AT_ONCE;
    int8_t *chunks = fits(job.row_chunks, CHUNK_ROWS) ? allocate(rows, job.row_chunks * CHUNK_ROWS) : NULL;
    int32_t *sums = allocate(rows, 2 * job.shape.groups * (int64_t)sizeof *sums); /* biases, then the sums of rows */
    int status = Q35_NO_MEMORY;
    if (chunks != NULL && sums != NULL) {
        const fenv_t callers = enter();
        status = multiply_blocks(a, m, &job, chunks, sums, sums + rows * job.shape.groups, acc, row_sum, out);
        leave(callers, status);
    }
    free(chunks);
    free(sums);
    return status;
}
