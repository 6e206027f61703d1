/* A plain C kernel with two functions of the ABI `q35`: unpack and matmul, in both layouts. */
#include "q35_abi.h"

#include <stddef.h>

/* The bytes of one packed column. */
static int64_t column_bytes(int64_t k, int32_t layout) {
    const int64_t codes = k / 2 + k % 2;
    return layout == Q35_DENSE ? codes - codes / 8 : codes;
}

/* Code i of a column. A code that ends in the byte in which it begins must not touch the next: there may be none. */
static int code_at(const uint8_t *column, int64_t i, int32_t layout) {
    if (layout == Q35_BYTE) return column[i] & 127;
    const int64_t bit = 7 * i;
    const int shift = (int)(bit % 8);
    int code = column[bit / 8] >> shift;
    if (shift > 1) code |= column[bit / 8 + 1] << (8 - shift);
    return code & 127;
}

/* The integer of row k: even rows lie in the upper four bits of a code, odd rows in the lower three. */
static int integer_at(const uint8_t *column, int64_t k, int32_t layout) {
    const int code = code_at(column, k / 2, layout);
    return k % 2 ? ((code & 7) ^ 4) - 4 : ((code >> 3) ^ 8) - 8;
}

int q35_unpack(const uint8_t *packed, int64_t k, int64_t n, int32_t layout, int8_t *q) {
    for (int64_t j = 0; j < n; j++) {
        const uint8_t *column = packed + j * column_bytes(k, layout);
        for (int64_t row = 0; row < k; row++) q[j * k + row] = (int8_t)integer_at(column, row, layout);
    }
    return Q35_OK;
}

int q35_matmul(const int8_t *a, const uint8_t *packed, int64_t m, int64_t k, int64_t n, int32_t layout,
               int64_t group_size, int32_t narrow_gain, const float *scale, const float *offset,
               int32_t *acc, int32_t *row_sum, float *out) {
    const int64_t rows = group_size ? group_size : k, groups = k / rows + (k % rows != 0);
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            const uint8_t *column = packed + j * column_bytes(k, layout);
            float total = 0;
            for (int64_t g = 0; g < groups; g++) {
                const int64_t first = g * rows, last = k - first > rows ? first + rows : k;
                int32_t sum = 0, activations = 0;
                for (int64_t row = first; row < last; row++) {
                    const int gain = row % 2 ? narrow_gain : 1;
                    sum += gain * a[i * k + row] * integer_at(column, row, layout);
                    activations += a[i * k + row];
                }
                total += scale[g * n + j] * (float)sum + offset[g * n + j] * (float)activations;
                if (acc != NULL) acc[(i * n + j) * groups + g] = sum;
                if (row_sum != NULL) row_sum[i * groups + g] = activations;
            }
            if (out != NULL) out[i * n + j] = total;
        }
    }
    return Q35_OK;
}
