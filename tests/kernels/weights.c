/* Weights and activations: parameters from weights, weights to integers and back, activations to int8.
 *
 * Every decision is exact. Floats are widened to double, where a float times a small integer is exact, and sums of
 * doubles are compared together with their rounding errors. Nothing here overflows or underflows in double, since
 * every number is a multiple of 2^-150 below 2^133.
 */
#include <float.h>
#include <math.h>

#include "kernel.h"

#define LONGEST_GROUP 2097151

static const float SMALLEST = 0x1p-149f;

/* Returns x + y rounded, and what the rounding lost: their sum is exactly x + y. */
static double two_sum(double x, double y, double *error)
{
    double sum = x + y;
    double y_part = sum - x;
    *error = (x - (sum - y_part)) + (y - y_part);
    return sum;
}

/* Returns a number of the sign of x + y + z: if the second sum cancels, it is exact; else it outweighs the errors. */
static double sign_of_sum(double x, double y, double z)
{
    double first_error, second_error;
    double sum = two_sum(x, y, &first_error);
    sum = two_sum(sum, z, &second_error);
    return sum + (second_error + first_error);
}

static int is_odd(float x)
{
    union { float value; uint32_t bits; } word = {x};
    return (int)(word.bits & 1);
}

/* Returns x + y rounded once to float: the double is first moved off a tie to the side on which the sum lies. */
static float rounded_sum(double x, double y)
{
    double error, sum = two_sum(x, y, &error);
    union { double value; uint64_t bits; } word = {sum};
    if (error != 0 && word.bits % 2 == 0)
        sum = nextafter(sum, error > 0 ? INFINITY : -INFINITY);
    return (float)sum;
}

/* Returns (high - low) / 15 rounded once to float: the quotient may be one float off, and is then moved. */
static float rounded_step(float high, float low)
{
    float step = (float)(((double)high - low) / 15);
    for (;;) {
        float above = nextafterf(step, INFINITY);
        double side = sign_of_sum(high, -(double)low, -15 * (((double)step + above) / 2));
        if (side < 0 || (side == 0 && !is_odd(step)))
            break;
        step = above;
    }
    for (;;) {
        float below = nextafterf(step, -INFINITY);
        double side = sign_of_sum(high, -(double)low, -15 * (((double)step + below) / 2));
        if (side > 0 || (side == 0 && !is_odd(step)))
            break;
        step = below;
    }
    return step;
}

/* ---- legal arguments ---- */

int check_shape(int64_t rows, int64_t columns, int64_t group_size)
{
    if (rows < 1 || columns < 1 || group_size < 0 || group_size % 16 != 0)
        return Q35_BAD_ARGUMENT;
    int64_t longest = group_size == 0 ? rows : minimum(group_size, rows);
    return longest > LONGEST_GROUP ? Q35_BAD_ARGUMENT : Q35_OK;
}

int check_parameters(int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain, const float *scale,
                     const float *offset)
{
    if (check_shape(k, n, group_size) != Q35_OK || narrow_gain < 1 || narrow_gain > 2)
        return Q35_BAD_ARGUMENT;
    for (int64_t i = 0; i < group_count(k, group_size) * n; i++) {
        if (!isfinite(scale[i]) || !isfinite(offset[i]))
            return Q35_NOT_FINITE;
        if (scale[i] <= 0)
            return Q35_BAD_ARGUMENT;
    }
    return Q35_OK;
}

static int all_finite(const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return 0;
    return 1;
}

/* ---- calibration ---- */

struct range {
    float low, high;
};

static struct range range_of(const float *w, int64_t begin, int64_t end)
{
    struct range range = {w[begin], w[begin]};
    for (int64_t row = begin + 1; row < end; row++) {
        if (w[row] < range.low)
            range.low = w[row];
        if (w[row] > range.high)
            range.high = w[row];
    }
    return range;
}

static struct parameters minmax(struct range range)
{
    if (range.low == range.high)
        return (struct parameters){1, range.low + 0.0f};
    float scale = rounded_step(range.high, range.low);
    if (scale == 0)
        scale = SMALLEST;
    return (struct parameters){scale, rounded_sum(range.low, 8 * (double)scale)};
}

static struct parameters symmetric(struct range range)
{
    float largest = fmaxf(fabsf(range.low), fabsf(range.high));
    float scale = (float)((double)largest / 7);
    if (scale == 0)
        scale = largest == 0 ? 1 : SMALLEST;
    return (struct parameters){scale, 0};
}

static int calibrate(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset,
                     struct parameters (*method)(struct range))
{
    if (check_shape(k, n, group_size) != Q35_OK)
        return Q35_BAD_ARGUMENT;
    if (!all_finite(w, k * n))
        return Q35_NOT_FINITE;
    int64_t size = group_size == 0 ? k : group_size;
    for (int64_t g = 0; g < group_count(k, group_size); g++)
        for (int64_t j = 0; j < n; j++) {
            int64_t end = minimum(size, k - g * size) + g * size;
            struct parameters found = method(range_of(w + j * k, g * size, end));
            scale[g * n + j] = found.scale;
            offset[g * n + j] = found.offset;
        }
    return Q35_OK;
}

int q35_calibrate_minmax(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset)
{
    return calibrate(w, k, n, group_size, scale, offset, minmax);
}

int q35_calibrate_symmetric(const float *w, int64_t k, int64_t n, int64_t group_size, float *scale, float *offset)
{
    return calibrate(w, k, n, group_size, scale, offset, symmetric);
}

/* ---- weights to integers and back ---- */

/* The integer of a weight, by going up through the lane while the weight lies beyond the tie with the next integer. */
static int quantize_exactly(float w, struct parameters p, int gain, int low, int high)
{
    double weight = 2 * (double)w, offset = 2 * (double)p.offset, step = (double)p.scale * gain;
    if (BUG(ScaleOffsetExchanged) && step < 0) {
        weight = -weight;
        offset = -offset;
        step = -step;
    }
    int q = low;
    while (q < high) {
        int twice_limit = 2 * q + 1;
        int stays = q % 2 == 0;
        if (BUG(Truncates)) {
            twice_limit = q < 0 ? 2 * q : 2 * q + 2;
            stays = q < 0;
        }
        if (BUG(RoundsHalfUp))
            stays = 0;
        if (BUG(RoundsHalfAway))
            stays = q < 0;
        double side = sign_of_sum(weight, -offset, -step * twice_limit);
        if (side < 0 || (side == 0 && stays))
            break;
        q++;
    }
    return q;
}

static int clamped(double x, int low, int high)
{
    return (int)fmax(low, fmin(rint(x), high));
}

static int quantize_weight(float w, struct parameters p, int gain, int low, int high)
{
    float step = p.scale * (float)gain, reciprocal = 1 / step;
    if (BUG(QuantizesInFloat32))
        return clamped((w - p.offset) / step, low, high);
    if (BUG(QuantizesInDouble) || (BUG(AcceptsNan) && !isfinite(w)))
        return clamped(((double)w - p.offset) / ((double)p.scale * gain), low, high);
    if (BUG(ReciprocalMultiply))
        return clamped((w - p.offset) * reciprocal, low, high);
    if (BUG(FmaReciprocal))
        return clamped(fmaf(w, reciprocal, -p.offset * reciprocal), low, high);
    if (BUG(Wraps) && low == -4)
        return ((quantize_exactly(w, p, gain, -8, 7) & 7) ^ 4) - 4;
    return quantize_exactly(w, p, gain, low, high);
}

/* The group whose parameters the rows of a group take: their own. */
static int64_t parameter_group(int64_t group, int64_t k, int64_t group_size)
{
    return BUG(ShortGroup) && is_short_group(group, k, group_size) ? group - 1 : group;
}

int q35_quantize(const float *w, int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain,
                 const float *scale, const float *offset, int8_t *q)
{
    int status = check_parameters(k, n, group_size, narrow_gain, scale, offset);
    if (status != Q35_OK)
        return status;
    if (!BUG(AcceptsNan) && !all_finite(w, k * n))
        return Q35_NOT_FINITE;
    for (int64_t j = 0; j < n; j++)
        for (int64_t g = 0; g < group_count(k, group_size); g++)
            for (int64_t row = group_start(g, k, group_size); row < group_start(g + 1, k, group_size); row++) {
                int64_t from = parameter_group(g, k, group_size);
                struct parameters p = parameters_of(scale, offset, n, from, j, row);
                q[j * k + row] = (int8_t)quantize_weight(w[j * k + row], p, gain_of(row, narrow_gain), lane_low(row),
                                                         lane_high(row));
            }
    return Q35_OK;
}

int q35_dequantize(const int8_t *q, int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain,
                   const float *scale, const float *offset, float *w)
{
    int status = check_parameters(k, n, group_size, narrow_gain, scale, offset);
    if (status != Q35_OK)
        return status;
    for (int64_t j = 0; j < n; j++)
        for (int64_t g = 0; g < group_count(k, group_size); g++)
            for (int64_t row = group_start(g, k, group_size); row < group_start(g + 1, k, group_size); row++) {
                int integer = q[j * k + row];
                if (integer < lane_low(row) || integer > lane_high(row))
                    return Q35_BAD_ARGUMENT;
                int64_t from = parameter_group(g, k, group_size);
                struct parameters p = parameters_of(scale, offset, n, from, j, row);
                w[j * k + row] = rounded_sum((double)p.scale * (gain_of(row, narrow_gain) * integer), p.offset);
            }
    return Q35_OK;
}

/* A float divided by a float is, in double, never on the wrong side of a tie: rint of the quotient is exact. */
int q35_quantize_activations(const float *x, int64_t m, int64_t k, float *activation_scale, int8_t *a)
{
    if (m < 1 || k < 1)
        return Q35_BAD_ARGUMENT;
    if (!all_finite(x, m * k))
        return Q35_NOT_FINITE;
    for (int64_t i = 0; i < m; i++) {
        float largest = 0;
        for (int64_t row = 0; row < k; row++)
            largest = fmaxf(largest, fabsf(x[i * k + row]));
        float scale = (float)((double)largest / 127);
        if (scale == 0)
            scale = largest == 0 ? 1 : SMALLEST;
        activation_scale[i] = scale;
        for (int64_t row = 0; row < k; row++)
            a[i * k + row] = (int8_t)clamped((double)x[i * k + row] / scale, -127, 127);
    }
    return Q35_OK;
}
