/* int8 activations times packed weights, the columns shared out among threads. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "kernel.h"

#define MOST_THREADS 64

static int32_t thread_count = 4;

void q35_set_num_threads(int32_t n)
{
    thread_count = n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n;
}

struct job {
    const int8_t *a;
    const uint8_t *packed;
    int64_t m, k, n;
    int32_t layout;
    int64_t group_size;
    int narrow_gain;
    const float *scale, *offset;
    int32_t *acc, *row_sum;
    float *out;
};

struct share {
    const struct job *job;
    int64_t first, stride;
    int8_t *column;
    uint8_t *gathered;
};

static int activation(int8_t a)
{
    if (BUG(UnsignedActivations))
        return (uint8_t)a;
    if (BUG(MinusOneTwentyEight))
        return a == -128 ? -127 : a;
    if (BUG(InputModified))
        return (uint8_t)a - 128;
    return a;
}

static int32_t accumulate(int32_t acc, int32_t product)
{
    if (BUG(Int16Accumulators))
        return (int16_t)(acc + product);
    if (BUG(Int24Accumulators))
        return (((acc + product) & 0xffffff) ^ 0x800000) - 0x800000;
    if (BUG(Float32Accumulators))
        return (int32_t)(int64_t)((float)acc + (float)product);
    if (BUG(SaturatingAccumulators)) {
        int32_t sum = acc + product;
        return sum < INT16_MIN ? INT16_MIN : sum > INT16_MAX ? INT16_MAX : sum;
    }
    return acc + product;
}

static int32_t sum_of(const int8_t *a, int64_t begin, int64_t end)
{
    int32_t sum = 0;
    for (int64_t row = begin; row < end; row++)
        sum += activation(a[row]);
    return sum;
}

/* What a group adds to an output. */
static float term(struct parameters p, int32_t acc, int32_t row_sum)
{
    if (BUG(OffsetBeforeScale))
        return ((float)acc + p.offset) * p.scale;
    if (BUG(RowSumMissing))
        return p.scale * (float)acc + p.offset;
    return p.scale * (float)acc + p.offset * (float)row_sum;
}

static void store_integer(int32_t *to, int32_t value)
{
    *to = BUG(StaleOutput) ? (int32_t)((uint32_t)*to + (uint32_t)value) : value;
}

/* One entry of the output: activations of row i, integers q of column j. */
static void compute_entry(const struct job *job, int64_t i, int64_t j, const int8_t *q)
{
    int64_t groups = group_count(job->k, job->group_size);
    const int8_t *a = job->a + i * job->k;
    float out = 0;
    for (int64_t g = 0; g < groups; g++) {
        int64_t begin = group_start(g, job->k, job->group_size), end = group_start(g + 1, job->k, job->group_size);
        if (BUG(ShortGroup) && is_short_group(g, job->k, job->group_size))
            end = begin;
        int32_t acc = 0;
        for (int64_t row = begin; row < end; row++)
            acc = accumulate(acc, activation(a[row]) * gain_of(row, job->narrow_gain) * q[row]);
        int32_t row_sum = BUG(RowSumOverWholeRow) ? sum_of(a, 0, job->k) : sum_of(a, begin, end);
        out += term(parameters_of(job->scale, job->offset, job->n, g, j, i), acc, row_sum);
        if (job->acc != NULL)
            store_integer(&job->acc[(i * job->n + j) * groups + g], acc);
        if (job->row_sum != NULL && j == 0)
            store_integer(&job->row_sum[i * groups + g], row_sum);
    }
    if (job->out != NULL)
        job->out[i * job->n + j] = out + (BUG(StaleOutput) ? job->out[i * job->n + j] : 0);
}

static void *compute_columns(void *argument)
{
    const struct share *share = argument;
    const struct job *job = share->job;
    int64_t bytes = column_bytes(job->k, job->layout);
    for (int64_t j = share->first; j < job->n; j += share->stride) {
        const uint8_t *packed = job->packed + j * bytes;
        if (BUG(OrderSwapped)) {
            for (int64_t b = 0; b < bytes; b++)
                share->gathered[b] = job->packed[b * job->n + j];
            packed = share->gathered;
        }
        decode_column(packed, job->k, job->layout, share->column);
        if (BUG(ThreadRace) && j < share->stride)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* the others start, and decode their columns */
        for (int64_t i = 0; i < job->m; i++)
            compute_entry(job, i, j, share->column);
    }
    return NULL;
}

/* Runs a job on as many threads as there are columns for. Each has a buffer for the column that it works on. */
static int run(const struct job *job)
{
    int64_t threads = minimum(thread_count, job->n), bytes = column_bytes(job->k, job->layout);
    int64_t each = job->k + bytes;
    uint8_t *buffers = malloc((size_t)(threads * each));
    if (buffers == NULL)
        return Q35_NO_MEMORY;
    struct share shares[MOST_THREADS];
    pthread_t handles[MOST_THREADS];
    int started[MOST_THREADS] = {0};
    for (int64_t t = 0; t < threads; t++) {
        uint8_t *buffer = buffers + (BUG(ThreadRace) ? 0 : t * each);
        shares[t] = (struct share){job, t, threads, (int8_t *)buffer, buffer + job->k};
    }
    for (int64_t t = 1; t < threads; t++)
        started[t] = pthread_create(&handles[t], NULL, compute_columns, &shares[t]) == 0;
    compute_columns(&shares[0]);
    for (int64_t t = 1; t < threads; t++)
        if (started[t])
            pthread_join(handles[t], NULL);
        else
            compute_columns(&shares[t]);
    free(buffers);
    return Q35_OK;
}

/* What some bugs do before anything is computed. */
static void misbehave(const struct job *job)
{
    if (BUG(Crash))
        abort();
    if (BUG(Exits))
        exit(0);
    while (BUG(Hang))
        sleep(1000);
#ifdef __SSE__
    if (BUG(FlushToZero))
        _mm_setcsr(_mm_getcsr() | 0x8040); /* flush to zero, denormals are zero */
#endif
    if (BUG(InputModified))
        for (int64_t i = 0; i < job->m * job->k; i++)
            ((uint8_t *)(uintptr_t)job->a)[i] ^= 0x80; /* -128 .. 127 as 0 .. 255, for an unsigned product */
}

int q35_matmul(const int8_t *a, const uint8_t *packed, int64_t m, int64_t k, int64_t n, int32_t layout,
               int64_t group_size, int32_t narrow_gain, const float *scale, const float *offset,
               int32_t *acc, int32_t *row_sum, float *out)
{
    if (m < 1 || (layout != Q35_BYTE && layout != Q35_DENSE))
        return Q35_BAD_ARGUMENT;
    int status = check_parameters(k, n, group_size, narrow_gain, scale, offset);
    if (status != Q35_OK)
        return status;
    struct job job = {a, packed, m, k, n, layout, group_size, narrow_gain, scale, offset, acc, row_sum, out};
    misbehave(&job);
    status = run(&job);
    if (BUG(OutOfBoundsWrite) && out != NULL)
        memset(out + m * n, 0, 64);
    return status;
}
