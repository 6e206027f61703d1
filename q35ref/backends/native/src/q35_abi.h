/* The C ABI `q35`: what a kernel for the 3.5-bit (4+3) weight format may export, all of it or any part.
 *
 * K rows (the summed dimension), N columns, M rows of activations, G groups a column. Arrays are in C order:
 *   w, q [n][k]   a, x [m][k]   packed [n][column_bytes]   scale, offset [G][n]   acc [m][n][G]   row_sum [m][G]
 *   out [m][n]
 * column_bytes is ceil(k/2) in layout 0 (byte), ceil(7 ceil(k/2) / 8) in layout 1 (dense). G is 1 if group_size is 0,
 * else ceil(k / group_size); row r is in group r / group_size. gain is 1 in even rows, narrow_gain in odd ones.
 *
 * Legal are: sizes of at least 1; group_size 0 or a multiple of 16, groups of at most 2,097,151 rows; narrow_gain 1 or 2;
 * finite weights, activations, scales and offsets, scales above 0; integers inside their lanes, -8 to 7 in even rows and
 * -4 to 3 in odd ones; padding bits that are 0. Arrays lie where their type may; outputs overlap no other array.
 *
 * Inputs are never written. Every output that is asked for is overwritten in full, whatever it held. Integers, and the
 * floats of calibrate and quantize_activations, are the same at any address and for any number of threads. Those of
 * dequantize and matmul keep a bound, and may differ within it with where the arrays lie, and with nothing else.
 * RN(x) is the exact x rounded once to float, ties to even; rne(x) is the exact x rounded to an integer, ties to even.
 *
 * Every function returns 0 if all went well, 1 for a bad argument, 2 for a number that is not finite. This library
 * returns 3, too, when there is no memory. What is in the outputs after an error is not defined. Of a foreign kernel only
 * this is asked on illegal input: q35_quantize refuses weights with a NaN or an infinity by any status but 0.
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

/* The code of rows 2i and 2i+1 is (q[2i] & 15) << 3 | (q[2i+1] & 7). Layout byte: one code a byte, bit 7 is 0. Layout
 * dense: code i is in bits 7i to 7i+6 of the column, the lowest first; bit b is bit b % 8 of byte b / 8. Bits past the
 * last code are 0. For odd k, pack writes 0 into the last narrow field; unpack and matmul ignore it. */
int q35_pack(const int8_t *q, int64_t k, int64_t n, int32_t layout, uint8_t *packed);
int q35_unpack(const uint8_t *packed, int64_t k, int64_t n, int32_t layout, int8_t *q);

/* minmax: scale = RN((max - min) / 15), offset = RN(min + 8 scale) with that scale; if max = min, scale = 1 and offset is
 * the weight. symmetric: scale = RN(max |w| / 7), offset = 0; if all weights are 0, scale = 1. Both: a scale that rounds
 * to 0 becomes 2^-149, the smallest positive float. */
int q35_calibrate_minmax(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset);
int q35_calibrate_symmetric(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset);

/* q = rne((w - offset) / (scale gain)), decided as in exact arithmetic, then clamped to the lane of its row. */
int q35_quantize(const float *w, int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain,
                 const float *scale, const float *offset, int8_t *q);
/* w = scale gain q + offset, within u (2 + u) |scale gain q| + u |offset|, u = 2^-24. This library: RN of it. Not judged
 * where 8 scale + |offset| is 2^127 or more. */
int q35_dequantize(const int8_t *q, int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain,
                   const float *scale, const float *offset, float *w);

/* activation_scale [m]: RN(max |x| / 127) of the row, 1 for a row of zeros, 2^-149 where it rounds to 0.
 * a = rne(x / activation_scale), as in exact arithmetic, clamped to -127 to 127. */
int q35_quantize_activations(const float *x, int64_t m, int64_t k, float *activation_scale, int8_t *a);

/* acc = sum of gain a q over the rows of a group, row_sum = sum of a over them: exact. out = sum of scale acc + offset
 * row_sum over the groups, within n u / (1 - n u) S, n = 2G + 1, S the sum of the magnitudes of these terms; not judged
 * where S is 2^127 or more, or G above 2^22 - 1. Any of acc, row_sum and out may be NULL, in any combination: the others
 * are the same. */
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
