/* The C ABI `q35`: what a kernel for the 3.5-bit (4+3) weight format may export, all of it or any part.
 *
 * K rows (the summed dimension), N columns, M rows of activations, G groups a column. Arrays are in C order:
 *   w, q [n][k]   a, x [m][k]   packed [n][column_bytes]   scale, offset [G][n]   acc [m][n][G]   row_sum [m][G]
 *   out [m][n]
 * column_bytes is ceil(k/2) in layout 0 (byte), ceil(7 ceil(k/2) / 8) in layout 1 (dense). G is 1 if group_size is 0,
 * else ceil(k / group_size). Outputs are overwritten in full, inputs are never written. For odd k, pack writes 0 into
 * the last narrow field; unpack and matmul ignore it.
 *
 * Legal are: sizes of at least 1; group_size 0 or a multiple of 16, groups of at most 2,097,151 rows; narrow_gain 1 or 2;
 * finite weights, activations, scales and offsets, scales above 0; integers inside their lanes, -8 to 7 in even rows and
 * -4 to 3 in odd ones; padding bits that are 0. Arrays lie where their type may; outputs overlap no other array.
 *
 * Every function returns 0 if all went well, 1 for a bad argument, 2 for a number that is not finite. This library
 * returns 3, too, when there is no memory. What is in the outputs after an error is not defined. Of a foreign kernel only
 * this is asked on illegal input: q35_quantize refuses weights that are not finite.
 *
 * This library: any function may be called from any number of threads at once, and after a fork. It works on one thread
 * until q35_set_num_threads is called, and reads no variable of the environment, which is Python's side's to do. Rounding
 * mode and flags of the floating-point unit are the caller's afterwards as before, and play no part.
 */
#ifndef Q35_ABI_H
#define Q35_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

#define Q35_BYTE 0
#define Q35_DENSE 1

#define Q35_OK 0
#define Q35_BAD_ARGUMENT 1
#define Q35_NOT_FINITE 2
#define Q35_NO_MEMORY 3

int q35_pack(const int8_t *q, int64_t k, int64_t n, int32_t layout, uint8_t *packed);
int q35_unpack(const uint8_t *packed, int64_t k, int64_t n, int32_t layout, int8_t *q);

int q35_calibrate_minmax(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset);
int q35_calibrate_symmetric(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset);

int q35_quantize(const float *w, int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain,
                 const float *scale, const float *offset, int8_t *q);
int q35_dequantize(const int8_t *q, int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain,
                   const float *scale, const float *offset, float *w);

/* activation_scale [m]: a row's absmax / 127, rounded to float. */
int q35_quantize_activations(const float *x, int64_t m, int64_t k, float *activation_scale, int8_t *a);

/* Any of acc, row_sum and out may be NULL. */
int q35_matmul(const int8_t *a, const uint8_t *packed, int64_t m, int64_t k, int64_t n, int32_t layout,
               int64_t group_size, int32_t narrow_gain, const float *scale, const float *offset,
               int32_t *acc, int32_t *row_sum, float *out);

/* Optional: the number of threads from now on, in the whole process. Results do not depend on it. */
void q35_set_num_threads(int32_t n);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
