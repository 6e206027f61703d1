/* Exact decisions with double arithmetic: the scalar twins of q35ref/backends/numpy/{float32,quantizer}.py.
 *
 * Inputs are float32, so that sums and products of two of them are nearly exact in double. Møller 1965 and Knuth,
 * TAOCP 2 section 4.2.2, for the sum and its error; Boldo & Melquiond 2008, doi:10.1109/TC.2007.70819, for rounding to
 * odd, after which a second rounding to a shorter format is harmless.
 */
#ifndef Q35_ROUNDING_H
#define Q35_ROUNDING_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MIN_SUBNORMAL 0x1p-149f
#define FARTHEST_QUOTIENT 1024.0 /* beyond it every interval of integers here clamps */

typedef struct {
    double sum, error; /* sum = RN64(a + b), sum + error = a + b exactly */
} two_sum_t;

static inline two_sum_t two_sum(double a, double b) {
    const double sum = a + b;
    const double b_part = sum - a;
    return (two_sum_t){sum, (a - (sum - b_part)) + (b - b_part)};
}

/* a + b exactly if that is a double, else its neighbour with an odd last bit. */
static inline double round_to_odd(two_sum_t t) {
    int64_t bits;
    memcpy(&bits, &t.sum, sizeof bits);
    const int64_t away = (t.error > 0) == (t.sum > 0) ? 1 : -1;
    bits += t.error != 0 && bits % 2 == 0 ? away : 0;
    memcpy(&t.sum, &bits, sizeof bits);
    return t.sum;
}

/* RN32(a + b). */
static inline float round_sum(double a, double b) { return (float)round_to_odd(two_sum(a, b)); }

/* RN32(t / divisor), and the smallest positive float32 where that is 0 but t is not. For t >= 0, divisors < 2^20.
 *
 * Why rounding twice does no harm stands at round_quotient in q35ref/backends/numpy/float32.py. */
static inline float round_quotient(two_sum_t t, double divisor) {
    const float rounded = (float)(round_to_odd(t) / divisor);
    return rounded == 0 && t.sum > 0 ? MIN_SUBNORMAL : rounded;
}

/* clamp(rne((w - offset) / step), low, high), exactly, for finite float32 values and step = scale * gain.
 *
 * half * step is exact: 11 bits by 25. The rounded difference is on the same side of it as the exact one, or equal to
 * it; then the sum's error decides, and where that is 0 it is a tie. */
static inline int exact_integer(double w, double offset, double step, int low, int high) {
    const two_sum_t difference = two_sum(w, -offset);
    const double quotient = difference.sum / step;
    if (quotient > FARTHEST_QUOTIENT) return high;
    if (quotient < -FARTHEST_QUOTIENT) return low;
    const double below = floor(quotient); /* an integer next to the exact quotient on either side serves as well */
    const double tie = (below + 0.5) * step;
    const double side = difference.sum == tie ? difference.error : difference.sum - tie;
    int integer = (int)below;
    if (side > 0 || (side == 0 && integer % 2 != 0)) integer += 1;
    return integer < low ? low : integer > high ? high : integer;
}

#endif
