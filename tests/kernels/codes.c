/* Packed columns: integers to 7-bit codes, codes to bytes, and back. */
#include <string.h>

#include "kernel.h"

/* ---- one integer and its field in the code ---- */

static unsigned encode_field(int q, int bits)
{
    if (BUG(OnesComplement) && q < 0)
        q = ~-q;
    return (unsigned)q & ((1u << bits) - 1);
}

static int decode_field(unsigned field, int bits)
{
    int value = (int)(field & ((1u << bits) - 1));
    int first_negative = 1 << (bits - 1);
    int wide = bits == 4;
    if ((BUG(WideSignMissing) && wide) || (BUG(NarrowSignMissing) && !wide))
        return value;
    if (BUG(WideSignThreshold) && wide)
        first_negative = 9;
    if (BUG(NarrowSignThreshold) && !wide)
        first_negative = 3;
    if (value < first_negative)
        return value;
    return value - (1 << bits) + (BUG(OnesComplement) ? 1 : 0);
}

static unsigned encode_pair(int wide, int narrow)
{
    if (BUG(LanesSwapped))
        return encode_field(narrow, 3) << 4 | encode_field(wide, 4);
    if (BUG(FieldShift))
        return encode_field(wide, 4) << 4 | encode_field(narrow, 4);
    return encode_field(wide, 4) << 3 | encode_field(narrow, 3);
}

static int decode_wide(unsigned code)
{
    if (BUG(LanesSwapped))
        return decode_field(code, 4);
    return decode_field(code >> (BUG(FieldShift) ? 4 : 3), 4);
}

static int decode_narrow(unsigned code)
{
    if (BUG(LanesSwapped))
        return decode_field(code >> 4, 3);
    return decode_field(code, BUG(FieldShift) ? 4 : 3);
}

/* ---- one code and its place in the column ---- */

struct place {
    int64_t byte;
    int shift;
};

/* Where bit `bit` of the dense stream lies. */
static struct place place_of(int64_t bit, int64_t bytes)
{
    struct place place = {bit / 8, (int)(bit % 8)};
    if (BUG(BigEndianCodes))
        place.shift = 7 - place.shift;
    if (BUG(BytesReversed)) {
        int64_t block = place.byte / 7 * 7;
        if (block + 7 <= bytes)
            place.byte = block + 6 - place.byte % 7;
    }
    return place;
}

static int bit_of_code(int step)
{
    return BUG(BigEndianCodes) ? 6 - step : step;
}

static void put_code(uint8_t *column, int64_t bytes, int64_t index, int32_t layout, unsigned code)
{
    if (layout == Q35_BYTE) {
        column[index] = (uint8_t)(code | (BUG(PaddingBitsSet) ? 0x80 : 0));
        return;
    }
    for (int step = 0; step < 7; step++) {
        struct place at = place_of(7 * index + step, bytes);
        unsigned bit = code >> bit_of_code(step) & 1;
        column[at.byte] = (uint8_t)((column[at.byte] & ~(1u << at.shift)) | bit << at.shift);
    }
}

static unsigned get_code(const uint8_t *column, int64_t bytes, int64_t index, int32_t layout)
{
    if (layout == Q35_BYTE)
        return column[index];
    unsigned code = 0;
    for (int step = 0; step < 7; step++) {
        struct place at = place_of(7 * index + step, bytes);
        code |= (column[at.byte] >> at.shift & 1u) << bit_of_code(step);
    }
    return code;
}

/* ---- columns ---- */

/* How many of k rows are packed and unpacked: all of them. The bugs forget the rest. */
static int64_t rows_done(int64_t k)
{
    if (BUG(OddTail))
        return k / 2 * 2;
    return BUG(BlockTail) ? k / 16 * 16 : k;
}

/* Reads a column in words of 8 bytes, one for each block of 16 weights, though the last block may be shorter. */
static void read_whole_words(const uint8_t *column, int64_t bytes, int32_t layout)
{
    int64_t block = layout == Q35_BYTE ? 8 : 7;
    for (int64_t start = 0; start < bytes; start += block)
        for (int64_t i = 0; i < 8; i++)
            (void)*(const volatile uint8_t *)(column + start + i);
}

void decode_column(const uint8_t *column, int64_t k, int32_t layout, int8_t *q)
{
    int64_t bytes = column_bytes(k, layout), rows = rows_done(k);
    if (BUG(Overread))
        read_whole_words(column, bytes, layout);
    memset(q, 0, (size_t)k);
    for (int64_t row = 0; row < rows; row++) {
        unsigned code = get_code(column, bytes, row / 2, layout);
        q[row] = (int8_t)(is_narrow(row) ? decode_narrow(code) : decode_wide(code));
    }
}

static int check_sizes(int64_t k, int64_t n, int32_t layout)
{
    return k < 1 || n < 1 || (layout != Q35_BYTE && layout != Q35_DENSE) ? Q35_BAD_ARGUMENT : Q35_OK;
}

/* Where the integer of a row and a column lies in q. */
static int64_t position(int64_t row, int64_t column, int64_t k, int64_t n)
{
    return BUG(OrderSwapped) ? row * n + column : column * k + row;
}

int q35_pack(const int8_t *q, int64_t k, int64_t n, int32_t layout, uint8_t *packed)
{
    if (check_sizes(k, n, layout) != Q35_OK)
        return Q35_BAD_ARGUMENT;
    int64_t bytes = column_bytes(k, layout), rows = rows_done(k);
    for (int64_t j = 0; j < n; j++)
        for (int64_t row = 0; row < k; row++)
            if (q[j * k + row] < lane_low(row) || q[j * k + row] > lane_high(row))
                return Q35_BAD_ARGUMENT;
    for (int64_t j = 0; j < n; j++) {
        uint8_t *column = packed + j * bytes;
        memset(column, BUG(PaddingBitsSet) ? 0xff : 0, (size_t)bytes);
        for (int64_t row = 0; row < rows; row += 2) {
            int wide = q[position(row, j, k, n)];
            int narrow = row + 1 < rows ? q[position(row + 1, j, k, n)] : 0;
            put_code(column, bytes, row / 2, layout, encode_pair(wide, narrow));
        }
    }
    return Q35_OK;
}

int q35_unpack(const uint8_t *packed, int64_t k, int64_t n, int32_t layout, int8_t *q)
{
    if (check_sizes(k, n, layout) != Q35_OK)
        return Q35_BAD_ARGUMENT;
    int64_t bytes = column_bytes(k, layout);
    for (int64_t j = 0; j < n; j++)
        if (!BUG(OrderSwapped))
            decode_column(packed + j * bytes, k, layout, q + j * k);
        else
            for (int64_t row = 0; row < k; row++) {
                unsigned code = get_code(packed + j * bytes, bytes, row / 2, layout);
                q[position(row, j, k, n)] = (int8_t)(is_narrow(row) ? decode_narrow(code) : decode_wide(code));
            }
    return Q35_OK;
}
