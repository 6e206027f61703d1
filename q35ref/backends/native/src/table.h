/* The table of an instruction set, the same text for all. Beforehand are defined, besides what matmul.h asks for:
 *
 *   TABLE, NAME        the table's name in C, and the instruction set's
 *   STREAM_ALIGNMENT   what the address of a store past the caches is a multiple of
 *   look_up_blocks(q, row, rows, table, w, stream)   restores rows from an even one on; returns the first it leaves
 *   finish_stream()    what was stored past the caches is seen by all afterwards
 */
#include "matmul.h"

static void look_up(const int8_t *q, int64_t rows, const float table[TABLE_SIZE], int stream, float *w) {
    const int64_t before = stream ? rows_before(w, rows, STREAM_ALIGNMENT) : rows;
    int64_t row = 0;
    if (before < rows) {
        look_up_rest(q, 0, before, table, w);
        row = look_up_blocks(q, before, rows, table, w, 1);
    } else {
        row = look_up_blocks(q, 0, rows, table, w, 0);
    }
    look_up_rest(q, row, rows, table, w);
}

const kernel_table TABLE = {
    .name = NAME,
    .pack = pack_column,
    .unpack = unpack_column,
    .range = range_of,
    .quantize = quantize_group,
    .dequantize = dequantize_group,
    .finish_stream = finish_stream,
    .quantize_activations = quantize_activation_row,
    .matmul = multiply,
};
