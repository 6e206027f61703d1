/* The entry points that work a column, or a row of activations, at a time. */
#include "entry.h"
#include "rounding.h"

/* ---- columns ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const kernel_table *use;
    column_shape shape;
    int64_t n, column_bytes;
    int32_t layout, narrow_gain;
    const int8_t *q;
    const uint8_t *packed;
    const float *w, *scale, *offset;
    int8_t *q_out;
    uint8_t *packed_out;
    float *w_out, *scale_out, *offset_out;
} column_job;

static int over_columns(range_work work, column_job *job) {
    const fenv_t callers = enter();
    job->use = q35_kernels();
    return leave(callers, q35_parallel(work, job, job->n, 1, job->shape.k));
}

static int pack_range(void *context, int64_t first, int64_t last) {
    const column_job *job = context;
    int status = Q35_OK;
    for (int64_t j = first; j < last && status == Q35_OK; j++)
        status = job->use->pack(job->q + j * job->shape.k, job->shape.k, job->layout,
                                job->packed_out + j * job->column_bytes);
    return status;
}

int q35_pack(const int8_t *q, int64_t k, int64_t n, int32_t layout, uint8_t *packed) {
    if (q == NULL || packed == NULL || !is_layout(layout) || !fits(k, n)) return Q35_BAD_ARGUMENT;
    column_job job = {.shape.k = k, .n = n, .column_bytes = bytes_of_column(k, layout), .layout = layout};
    job.q = q, job.packed_out = packed;
    return over_columns(pack_range, &job);
}

static int unpack_range(void *context, int64_t first, int64_t last) {
    const column_job *job = context;
    int status = Q35_OK;
    for (int64_t j = first; j < last && status == Q35_OK; j++)
        status = job->use->unpack(job->packed + j * job->column_bytes, job->shape.k, job->layout,
                                  job->q_out + j * job->shape.k);
    return status;
}

int q35_unpack(const uint8_t *packed, int64_t k, int64_t n, int32_t layout, int8_t *q) {
    if (packed == NULL || q == NULL || !is_layout(layout) || !fits(k, n)) return Q35_BAD_ARGUMENT;
    column_job job = {.shape.k = k, .n = n, .column_bytes = bytes_of_column(k, layout), .layout = layout};
    job.packed = packed, job.q_out = q;
    return over_columns(unpack_range, &job);
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

/* scale = RN32((high - low) / 15), offset = RN32(low + 8 scale); a constant's are 1 and itself. */
static void minmax_parameters(float low, float high, float *scale, float *offset) {
    *scale = low == high ? 1.0f : round_quotient(two_sum(high, -(double)low), 15);
    *offset = low == high ? low + 0.0f : round_sum(low, 8 * (double)*scale); /* + 0 makes -0 the 0 that it is */
}

/* scale = RN32(absmax / 7), or 1 for a group of zeros. */
static void symmetric_parameters(float low, float high, float *scale, float *offset) {
    const float largest = -low > high ? -low : high;
    *scale = largest == 0 ? 1.0f : round_quotient((two_sum_t){largest, 0}, 7);
    *offset = 0;
}

typedef struct {
    column_job columns;
    void (*parameters)(float low, float high, float *scale, float *offset);
} calibration_job;

static int calibrate_range(void *context, int64_t first, int64_t last) {
    const calibration_job *calibration = context;
    const column_job *job = &calibration->columns;
    for (int64_t j = first; j < last; j++)
        for (int64_t g = 0; g < job->shape.groups; g++) {
            float low, high;
            const float *w = job->w + j * job->shape.k + g * job->shape.group_rows;
            const int status = job->use->range(w, rows_of_group(&job->shape, g), &low, &high);
            if (status != Q35_OK) return status;
            const int64_t at = g * job->n + j;
            calibration->parameters(low, high, &job->scale_out[at], &job->offset_out[at]);
        }
    return Q35_OK;
}

static int calibrate(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset,
                     void (*parameters)(float, float, float *, float *)) {
    calibration_job job = {.columns = {.n = n}, .parameters = parameters};
    if (w == NULL || scale == NULL || offset == NULL || !make_shape(k, group_size, &job.columns.shape) ||
        !fits(k, n) || !fits(k * n, sizeof *w))
        return Q35_BAD_ARGUMENT;
    job.columns.w = w, job.columns.scale_out = scale, job.columns.offset_out = offset;
    return over_columns(calibrate_range, &job.columns);
}

int q35_calibrate_minmax(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset) {
    return calibrate(w, k, n, group_size, scale, offset, minmax_parameters);
}

int q35_calibrate_symmetric(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset) {
    return calibrate(w, k, n, group_size, scale, offset, symmetric_parameters);
}

/* ---- quantize and dequantize ------------------------------------------------------------------------------------- */

static int quantize_range(void *context, int64_t first, int64_t last) {
    const column_job *job = context;
    for (int64_t j = first; j < last; j++)
        for (int64_t g = 0; g < job->shape.groups; g++) {
            const float scale = job->scale[g * job->n + j], offset = job->offset[g * job->n + j];
            const int64_t at = j * job->shape.k + g * job->shape.group_rows;
            int status = parameter_status(scale, offset);
            if (status == Q35_OK)
                status = job->use->quantize(job->w + at, rows_of_group(&job->shape, g), scale, offset,
                                            job->narrow_gain, job->q_out + at);
            if (status != Q35_OK) return status;
        }
    return Q35_OK;
}

int q35_quantize(const float *w, int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain, const float *scale,
                 const float *offset, int8_t *q) {
    column_job job = {.n = n, .narrow_gain = narrow_gain};
    if (w == NULL || scale == NULL || offset == NULL || q == NULL || !is_gain(narrow_gain) ||
        !make_shape(k, group_size, &job.shape) || !fits(k, n) || !fits(k * n, sizeof *w))
        return Q35_BAD_ARGUMENT;
    job.w = w, job.scale = scale, job.offset = offset, job.q_out = q;
    return over_columns(quantize_range, &job);
}

static int dequantize_range(void *context, int64_t first, int64_t last) {
    const column_job *job = context;
    const int stream = job->n >= STREAM_WEIGHTS / job->shape.k;
    for (int64_t j = first; j < last; j++)
        for (int64_t g = 0; g < job->shape.groups; g++) {
            const float scale = job->scale[g * job->n + j], offset = job->offset[g * job->n + j];
            const int64_t at = j * job->shape.k + g * job->shape.group_rows, rows = rows_of_group(&job->shape, g);
            int status = parameter_status(scale, offset);
            if (status == Q35_OK)
                status = job->use->dequantize(job->q + at, rows, scale, offset, job->narrow_gain, stream,
                                              job->w_out + at);
            if (status != Q35_OK) return status;
        }
    job->use->finish_stream();
    return Q35_OK;
}

int q35_dequantize(const int8_t *q, int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain, const float *scale,
                   const float *offset, float *w) {
    column_job job = {.n = n, .narrow_gain = narrow_gain};
    if (q == NULL || scale == NULL || offset == NULL || w == NULL || !is_gain(narrow_gain) ||
        !make_shape(k, group_size, &job.shape) || !fits(k, n) || !fits(k * n, sizeof *w))
        return Q35_BAD_ARGUMENT;
    job.q = q, job.scale = scale, job.offset = offset, job.w_out = w;
    return over_columns(dequantize_range, &job);
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

typedef struct {
    const kernel_table *use;
    const float *x;
    int64_t k;
    float *scale;
    int8_t *a;
} activation_job;

static int activation_range(void *context, int64_t first, int64_t last) {
    const activation_job *job = context;
    int status = Q35_OK;
    for (int64_t i = first; i < last && status == Q35_OK; i++)
        status = job->use->quantize_activations(job->x + i * job->k, job->k, &job->scale[i], job->a + i * job->k);
    return status;
}

int q35_quantize_activations(const float *x, int64_t m, int64_t k, float *activation_scale, int8_t *a) {
    if (x == NULL || activation_scale == NULL || a == NULL || !fits(m, k) || !fits(m * k, sizeof *x))
        return Q35_BAD_ARGUMENT;
    const fenv_t callers = enter();
    activation_job job = {q35_kernels(), x, k, activation_scale, a};
    return leave(callers, q35_parallel(activation_range, &job, m, 1, k));
}
