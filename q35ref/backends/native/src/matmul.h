/* The matmul, the same text for every instruction set, which defines beforehand:
 *
 *   fields        the integers of a chunk, unsigned: wide + 8, and narrow_gain * (narrow + 4)
 *   sums          partial sums of a dot product
 *   splitter      how a layout and a gain become fields
 *   make_splitter(layout, narrow_gain), split(&splitter, bytes), no_sums(), dot(sums, fields, activations),
 *   reduce(sums[QUAD], totals)
 *   TILE_ROWS     rows of activations whose sums fit the registers
 *
 * What a chunk holds beyond its group meets activations that are 0. All integer sums are taken modulo 2^32 (theorem
 * acc_wraps_eq). The float32 sum of an entry is evaluated group after group, the same for every instruction set,
 * number of threads and of rows (theorem epilogue_error_le holds for any order).
 */
#ifndef Q35_MATMUL_H
#define Q35_MATMUL_H

#include "common.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FAR_AHEAD = 1 << 15, AHEAD = 1 << 13 }; /* bytes */

static inline void prefetch(const void *p, int64_t distance) {
#if defined(__GNUC__)
    __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)distance));
#else
    (void)p, (void)distance;
#endif
}

/* A chunk's fields. Loading it may read a few bytes more than its own; `near_end` says that they may lie beyond the
 * array, and then they are not read. */
static inline fields load_fields(const splitter *how, const uint8_t *bytes, const uint8_t *end, const int near_end) {
    if (!near_end || end - bytes >= CHUNK_READ) return split(how, bytes);
    uint8_t last[CHUNK_READ] = {0};
    memcpy(last, bytes, (size_t)(end - bytes));
    return split(how, last);
}

/* Whether loading the chunks of columns before `last` may read beyond the array. */
static int is_near_end(const matmul_job *job, int64_t last) { return (job->n - last) * job->column_bytes < CHUNK_READ; }

static int64_t bytes_of_rows(int64_t rows, int32_t layout) {
    return layout == Q35_BYTE ? rows / 2 : rows / GROUP_MULTIPLE * 7; /* rows that begin a group or a chunk */
}

/* Whether the codes or padding bits of some columns are legal. */
static int columns_are_legal(const matmul_job *job, int64_t first, int64_t last) {
    int legal = 1;
    for (int64_t j = first; j < last; j++)
        legal &= column_is_legal(job->packed + j * job->column_bytes, job->shape.k, job->column_bytes, job->layout);
    return legal;
}

/* One group of one row: from biased sums of some columns to accumulators and the running float32 totals. */
static inline int add_group(const matmul_job *job, int64_t i, int64_t g, int64_t j, int64_t count,
                            const int32_t *restrict biased, float *restrict total) {
    const float *restrict scale = job->scale + g * job->n + j;
    const float *restrict offset = job->offset + g * job->n + j;
    const uint32_t bias = (uint32_t)job->bias[i * job->shape.groups + g];
    const float row_sum = (float)job->row_sum[i * job->shape.groups + g];
    int illegal = 0;
    for (int64_t c = 0; c < count; c++) {
        const float acc = (float)(int32_t)((uint32_t)biased[c] - bias);
        total[c] += scale[c] * acc;
        total[c] += offset[c] * row_sum;
        illegal |= !(scale[c] > 0) | !(scale[c] <= FLT_MAX) | !(fabsf(offset[c]) <= FLT_MAX);
    }
    if (job->acc != NULL)
        for (int64_t c = 0; c < count; c++)
            job->acc[(i * job->n + j + c) * job->shape.groups + g] = (int32_t)((uint32_t)biased[c] - bias);
    return illegal;
}

/* The status of the first of some columns that is not legal: the same, however many are looked at together. */
static int status_of_columns(const matmul_job *job, int64_t first, int64_t last) {
    for (int64_t j = first; j < last; j++) {
        for (int64_t g = 0; g < job->shape.groups; g++) {
            const int status = parameter_status(job->scale[g * job->n + j], job->offset[g * job->n + j]);
            if (status != Q35_OK) return status;
        }
        if (!columns_are_legal(job, j, j + 1)) return Q35_BAD_ARGUMENT;
    }
    return Q35_OK;
}

/* ---- one row: the weights go from memory to the dot product and are not seen again ------------------------------- */

/* What four columns are read with. */
typedef struct {
    const uint8_t *column[QUAD];
    const uint8_t *end;
    int64_t chunk_bytes, distance;
} quad_reader;

/* Biased sums of four columns over some chunks that begin `at` bytes after the columns do. */
static inline void sum_chunks(const quad_reader *from, const splitter *how, int64_t at, const int8_t *activations,
                              int64_t chunks, int32_t *biased, const int near_end) {
    sums total[QUAD] = {no_sums(), no_sums(), no_sums(), no_sums()};
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
        for (int c = 0; c < QUAD; c++) {
            prefetch(from->column[c] + at, from->distance);
            total[c] = dot(total[c], load_fields(how, from->column[c] + at, from->end, near_end), activations);
        }
        at += from->chunk_bytes;
        activations += CHUNK_ROWS;
    }
    reduce(total, biased);
}

/* Biased sums of four columns and every group; a column that there is not repeats the last one. */
static inline void sum_quad(const matmul_job *job, const splitter *of_job, int64_t j, int64_t columns, int32_t *biased,
                            const int near_end) {
    const splitter how = *of_job;
    const column_shape shape = job->shape;
    const int64_t next_quad = QUAD * job->column_bytes, group_bytes = bytes_of_rows(shape.group_rows, job->layout);
    const int64_t full = chunks_of(shape.group_rows), last = chunks_of(rows_of_group(&shape, shape.groups - 1));
    quad_reader from = {.end = job->packed_end, .chunk_bytes = bytes_of_rows(CHUNK_ROWS, job->layout)};
    from.distance = next_quad <= FAR_AHEAD ? next_quad : AHEAD;
    for (int64_t c = 0; c < QUAD; c++)
        from.column[c] = job->packed + (j + (c < columns ? c : columns - 1)) * job->column_bytes;
    for (int64_t g = 0; g < shape.groups; g++) {
        const int64_t chunks = g + 1 < shape.groups ? full : last;
        const int8_t *const activations = job->chunks + g * full * CHUNK_ROWS;
        if (chunks == 1) sum_chunks(&from, &how, g * group_bytes, activations, 1, biased + g * STRIP, near_end);
        else sum_chunks(&from, &how, g * group_bytes, activations, chunks, biased + g * STRIP, near_end);
    }
}

/* The parameters of a strip lie in as many pages as there are groups: they are sent for before they are needed. */
static void fetch_parameters(const matmul_job *job, int64_t j) {
    for (int64_t g = 0; g < job->shape.groups; g++) {
        prefetch(job->scale + g * job->n + j, 0);
        prefetch(job->offset + g * job->n + j, 0);
    }
}

static int multiply_row(const matmul_job *job, int64_t first, int64_t last) {
    const splitter how = make_splitter(job->layout, job->narrow_gain);
    int32_t *biased = malloc((size_t)job->shape.groups * STRIP * sizeof *biased);
    if (biased == NULL) return Q35_NO_MEMORY;
    int status = Q35_OK;
    for (int64_t j = first; j < last && status == Q35_OK; j += STRIP) {
        const int64_t count = last - j < STRIP ? last - j : STRIP;
        float total[STRIP] = {0};
        int illegal = 0;
        fetch_parameters(job, j);
        for (int64_t c = 0; c < count; c += QUAD) {
            const int64_t columns = count - c < QUAD ? count - c : QUAD;
            if (is_near_end(job, j + c + columns)) sum_quad(job, &how, j + c, columns, biased + c, 1);
            else sum_quad(job, &how, j + c, columns, biased + c, 0);
        }
        for (int64_t g = 0; g < job->shape.groups; g++)
            illegal |= count == STRIP ? add_group(job, 0, g, j, STRIP, biased + g * STRIP, total)
                                      : add_group(job, 0, g, j, count, biased + g * STRIP, total);
        if (job->out != NULL) memcpy(job->out + j, total, (size_t)count * sizeof *total);
        if (illegal || !columns_are_legal(job, j, j + count)) status = status_of_columns(job, j, j + count);
    }
    free(biased);
    return status;
}

/* ---- several rows: a panel of columns is unpacked once for all of them ------------------------------------------- */

/* The sums of some rows and four columns over some chunks, added to what is there unless they are the group's first. */
static inline void sum_tile(const fields *panel, const int8_t *activations, int64_t row_bytes, int64_t chunks, int first,
                            int32_t *biased, const int rows) {
    sums total[TILE_ROWS][QUAD];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < QUAD; c++) total[r][c] = no_sums();
    for (int64_t chunk = 0; chunk < chunks; chunk++)
        for (int c = 0; c < QUAD; c++) {
            const fields weights = panel[c * PANEL_CHUNKS + chunk];
            for (int r = 0; r < rows; r++)
                total[r][c] = dot(total[r][c], weights, activations + r * row_bytes + chunk * CHUNK_ROWS);
        }
    for (int r = 0; r < rows; r++) {
        int32_t *const there = biased + r * PANEL, here[QUAD];
        if (first) {
            reduce(total[r], there);
            continue;
        }
        reduce(total[r], here);
        for (int c = 0; c < QUAD; c++) there[c] = (int32_t)((uint32_t)there[c] + (uint32_t)here[c]);
    }
}

static void sum_panel(const matmul_job *job, const fields *panel, int64_t first_chunk, int64_t chunks, int64_t columns,
                      int first, int32_t *biased) {
    const int64_t row_bytes = job->row_chunks * CHUNK_ROWS;
    for (int64_t i = 0; i < job->m; i += TILE_ROWS) {
        const int8_t *activations = job->chunks + i * row_bytes + first_chunk * CHUNK_ROWS;
        for (int64_t c = 0; c < columns; c += QUAD) {
            const fields *quad = panel + c * PANEL_CHUNKS;
            int32_t *to = biased + i * PANEL + c;
            if (job->m - i >= TILE_ROWS) sum_tile(quad, activations, row_bytes, chunks, first, to, TILE_ROWS);
            else
                for (int64_t r = 0; r < job->m - i; r++)
                    sum_tile(quad, activations + r * row_bytes, row_bytes, chunks, first, to + r * PANEL, 1);
        }
    }
}

/* All groups of a panel's columns: their sums, and the float32 totals [m][PANEL]. */
static int multiply_panel(const matmul_job *job, const splitter *how, int64_t j, int64_t count, fields *panel,
                          int32_t *biased, float *total) {
    const int64_t chunk_bytes = bytes_of_rows(CHUNK_ROWS, job->layout), columns = (count + QUAD - 1) / QUAD * QUAD;
    int illegal = 0;
    int64_t group_chunk = 0;
    memset(total, 0, (size_t)job->m * PANEL * sizeof *total);
    for (int64_t g = 0; g < job->shape.groups; g++) {
        const int64_t chunks = chunks_of(rows_of_group(&job->shape, g));
        const int64_t group_start = bytes_of_rows(g * job->shape.group_rows, job->layout);
        for (int64_t start = 0; start < chunks; start += PANEL_CHUNKS) {
            const int64_t here = chunks - start < PANEL_CHUNKS ? chunks - start : PANEL_CHUNKS;
            for (int64_t c = 0; c < columns; c++) {
                const int64_t column = j + (c < count ? c : count - 1);
                const uint8_t *bytes = job->packed + column * job->column_bytes + group_start + start * chunk_bytes;
                for (int64_t chunk = 0; chunk < here; chunk++)
                    panel[c * PANEL_CHUNKS + chunk] = load_fields(how, bytes + chunk * chunk_bytes, job->packed_end, 1);
            }
            sum_panel(job, panel, group_chunk + start, here, columns, start == 0, biased);
        }
        group_chunk += chunks;
        for (int64_t i = 0; i < job->m; i++)
            illegal |= count == PANEL ? add_group(job, i, g, j, PANEL, biased + i * PANEL, total + i * PANEL)
                                      : add_group(job, i, g, j, count, biased + i * PANEL, total + i * PANEL);
    }
    return illegal;
}

static int multiply_rows(const matmul_job *job, int64_t first, int64_t last) {
    const splitter how = make_splitter(job->layout, job->narrow_gain);
    fields *panel = aligned_alloc(64, PANEL * PANEL_CHUNKS * sizeof *panel);
    int32_t *biased = malloc((size_t)job->m * PANEL * sizeof *biased);
    float *total = malloc((size_t)job->m * PANEL * sizeof *total);
    int status = panel != NULL && biased != NULL && total != NULL ? Q35_OK : Q35_NO_MEMORY;
    for (int64_t j = first; j < last && status == Q35_OK; j += PANEL) {
        const int64_t count = last - j < PANEL ? last - j : PANEL;
        const int illegal = multiply_panel(job, &how, j, count, panel, biased, total);
        for (int64_t i = 0; job->out != NULL && i < job->m; i++)
            memcpy(job->out + i * job->n + j, total + i * PANEL, (size_t)count * sizeof *total);
        if (illegal || !columns_are_legal(job, j, j + count)) status = status_of_columns(job, j, j + count);
    }
    free(panel);
    free(biased);
    free(total);
    return status;
}

static int multiply(const matmul_job *job, int64_t first, int64_t last) {
    return job->m == 1 ? multiply_row(job, first, last) : multiply_rows(job, first, last);
}

#endif
