/* What the three files of this kernel share, and the bug that is planted in it.
 *
 * Without a definition of PLANT the kernel is right. `cc -DPLANT=LanesSwapped ...` plants that one bug: it stands where
 * the code says BUG(LanesSwapped). The names are those of the oracle's bug classes; classes.txt says what each does.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdint.h>

#include "q35_abi.h"

enum Plant {
    Nothing,
    LanesSwapped, FieldShift, WideSignMissing, NarrowSignMissing, WideSignThreshold, NarrowSignThreshold,
    OnesComplement, BigEndianCodes, BytesReversed, PaddingBitsSet, OddTail, BlockTail, Overread, OrderSwapped,
    Wraps, Truncates, RoundsHalfUp, RoundsHalfAway, QuantizesInFloat32, QuantizesInDouble, ReciprocalMultiply,
    FmaReciprocal, AcceptsNan,
    GainIgnored, GainOnWideLane,
    RowSumMissing, RowSumOverWholeRow, OffsetBeforeScale, Int16Accumulators, Int24Accumulators,
    SaturatingAccumulators, Float32Accumulators, UnsignedActivations, MinusOneTwentyEight,
    GroupBoundaryOffByOne, ShortGroup, ScaleByRow, ScaleOffsetExchanged,
    StaleOutput, InputModified, FlushToZero, ThreadRace, OutOfBoundsWrite, Crash, Hang, Exits
};

#ifndef PLANT
#define PLANT Nothing
#endif

#define BUG(name) (PLANT == (name))

static inline int64_t minimum(int64_t x, int64_t y)
{
    return x < y ? x : y;
}

static inline int is_narrow(int64_t row)
{
    return row % 2 != 0;
}

static inline int lane_low(int64_t row)
{
    return is_narrow(row) ? -4 : -8;
}

static inline int lane_high(int64_t row)
{
    return is_narrow(row) ? 3 : 7;
}

/* The gain of a row: that of the narrow lane, or 1. */
static inline int gain_of(int64_t row, int narrow_gain)
{
    if (BUG(GainIgnored))
        return 1;
    return is_narrow(row) != BUG(GainOnWideLane) ? narrow_gain : 1;
}

static inline int64_t group_count(int64_t k, int64_t group_size)
{
    return group_size == 0 ? 1 : (k - 1) / group_size + 1;
}

/* The first row of a group; of the group after the last, k. */
static inline int64_t group_start(int64_t group, int64_t k, int64_t group_size)
{
    if (group == 0 || group >= group_count(k, group_size))
        return group == 0 ? 0 : k;
    return minimum(group * group_size + (BUG(GroupBoundaryOffByOne) ? 1 : 0), k);
}

/* Whether the last group is shorter than those before it. */
static inline int is_short_group(int64_t group, int64_t k, int64_t group_size)
{
    return group > 0 && (group + 1) * group_size > k;
}

static inline int64_t column_bytes(int64_t k, int32_t layout)
{
    int64_t codes = k / 2 + k % 2;
    return layout == Q35_BYTE ? codes : (7 * codes + 7) / 8;
}

struct parameters {
    float scale, offset;
};

/* The parameters of a group in a column. `row` is the row that is being worked on; it ought not to matter. */
static inline struct parameters parameters_of(const float *scale, const float *offset, int64_t n, int64_t group,
                                              int64_t column, int64_t row)
{
    int64_t index = group * n + (BUG(ScaleByRow) ? row % n : column);
    if (BUG(ScaleOffsetExchanged))
        return (struct parameters){offset[index], scale[index]};
    return (struct parameters){scale[index], offset[group * n + column]};
}

/* Whether sizes, group size, gain and parameters are legal: Q35_OK, Q35_BAD_ARGUMENT or Q35_NOT_FINITE. */
int check_shape(int64_t rows, int64_t columns, int64_t group_size);
int check_parameters(int64_t k, int64_t n, int64_t group_size, int32_t narrow_gain, const float *scale,
                     const float *offset);

/* Reads the k integers of one packed column. */
void decode_column(const uint8_t *column, int64_t k, int32_t layout, int8_t *q);

#endif
