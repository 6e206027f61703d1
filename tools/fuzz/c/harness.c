/* Every entry point of q35_abi.h with whatever sizes, settings, pointers and numbers an input says.
 *
 * Arrays are exactly as long as the ABI says, in blocks of their own, so that the address sanitizer sees any byte that is
 * touched beside them. Of each call it is demanded that
 *   - it returns Q35_OK where the input is legal, by rules of our own here, and Q35_BAD_ARGUMENT or Q35_NOT_FINITE
 *     where it is not;
 *   - inputs are left as they were, and so are the bytes around outputs;
 *   - outputs do not depend on what they held, nor on the number of threads: so they are written in full;
 *   - every instruction set gives the same integers as plain C, and the same floats but for those of a matmul, which keep
 *     their bound;
 *   - what pack wrote is what the format says, and unpack restores it.
 *
 * An input is a head of HEAD bytes, then the numbers of the arrays, over and over if there are too few.
 */
#include "q35_abi.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int q35_native_use_isa(const char *name);
const char *q35_native_isa_at(int32_t i);

enum { HEAD = 16, MOST_WORK = 1 << 17, MOST_ARRAYS = 7, ISAS = 3 };
enum { PACK, UNPACK, MINMAX, SYMMETRIC, QUANTIZE, DEQUANTIZE, ACTIVATIONS, MATMUL, FUNCTIONS };
enum { HOSTILE = 1, CLEAN = 2, SHIFTED = 4, THREADED = 8, MANY_ROWS = 16 }; /* bits of the head's second byte */

static const int64_t odd_sizes[] = {0, -1, INT64_MIN, INT64_MAX, INT64_MAX / 2, INT64_C(1) << 62, INT64_C(1) << 61,
                                    INT64_C(1) << 32, INT64_C(1) << 31, 2097152, 2097151, 16, 1, 2, 17, -16};

typedef struct {
    int8_t *block;    /* what was allocated */
    int8_t *data;     /* the array: its end is the block's */
    int8_t *original; /* of an input: what it held */
    int64_t size, count;
    int32_t given;    /* whether a pointer to it is passed */
} array;

typedef struct {
    int function, flags;
    int64_t k, n, m, group_size, groups, column_bytes;
    int32_t layout, gain;
    array in[4], out[3];
    int inputs, outputs;
    const uint8_t *numbers;
    size_t count, next;
} job;

#define FAIL(...) (fprintf(stderr, "\nq35-fuzz: wrong: " __VA_ARGS__), fprintf(stderr, "\n"), abort())

static uint8_t next_byte(job *j) { return j->count == 0 ? 0 : j->numbers[j->next++ % j->count]; }

/* ---- what is legal ----------------------------------------------------------------------------------------------- */

/* Whether sizes are such as an array can have: their product, in bytes, is below 2^63. */
static int sizes_fit(int64_t a, int64_t b, int64_t c, int64_t bytes) {
    __int128 product = bytes;
    if (a < 1 || b < 1 || c < 1) return 0;
    product *= a;
    if (product > INT64_MAX) return 0;
    product *= b;
    if (product > INT64_MAX) return 0;
    return product * c <= INT64_MAX;
}

static int uses_groups(const job *j) { return j->function >= MINMAX && j->function != ACTIVATIONS; }

static int uses_layout(const job *j) { return j->function <= UNPACK || j->function == MATMUL; }

static int settings_legal(const job *j) {
    if (uses_layout(j) && j->layout != Q35_BYTE && j->layout != Q35_DENSE) return 0;
    if ((j->function == QUANTIZE || j->function == DEQUANTIZE || j->function == MATMUL) && j->gain != 1 && j->gain != 2)
        return 0;
    if (j->function == ACTIVATIONS) return sizes_fit(j->m, j->k, 1, 4);
    if (!sizes_fit(j->k, j->n, 1, uses_groups(j) && j->function != MATMUL ? 4 : 1)) return 0;
    if (!uses_groups(j)) return 1;
    if (j->group_size < 0 || j->group_size % 16 != 0) return 0;
    const int64_t rows = j->group_size == 0 || j->group_size > j->k ? j->k : j->group_size;
    if (rows > 2097151) return 0;
    if (j->function != MATMUL) return 1;
    return j->m >= 1 && sizes_fit(j->m, j->k, 1, 1) && sizes_fit(j->m, j->n, (j->k - 1) / rows + 1, 4);
}

static int lanes_legal(const int8_t *q, int64_t k, int64_t n) {
    for (int64_t i = 0; i < k * n; i++) {
        const int odd = (int)(i % k % 2);
        if (q[i] < (odd ? -4 : -8) || q[i] > (odd ? 3 : 7)) return 0;
    }
    return 1;
}

static int packed_legal(const uint8_t *packed, const job *j) {
    const int64_t pairs = (j->k + 1) / 2, spare = 8 * j->column_bytes - 7 * pairs;
    for (int64_t column = 0; column < j->n; column++) {
        const uint8_t *bytes = packed + column * j->column_bytes;
        if (j->layout == Q35_DENSE && spare != 0 && bytes[j->column_bytes - 1] >> (8 - spare) != 0) return 0;
        for (int64_t i = 0; i < pairs && j->layout == Q35_BYTE; i++)
            if (bytes[i] > 127) return 0;
    }
    return 1;
}

static int finite(const float *x, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!(fabsf(x[i]) <= FLT_MAX)) return 0;
    return 1;
}

static int positive(const float *x, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!(x[i] > 0)) return 0;
    return 1;
}

static int parameters_legal(const array *scale, const array *offset) {
    const float *s = (const float *)scale->data, *o = (const float *)offset->data;
    return finite(s, scale->count) && finite(o, offset->count) && positive(s, scale->count);
}

/* Whether the numbers of a call are legal; its sizes and settings are. */
static int numbers_legal(const job *j) {
    switch (j->function) {
    case PACK: return lanes_legal(j->in[0].data, j->k, j->n);
    case UNPACK: return packed_legal((const uint8_t *)j->in[0].data, j);
    case QUANTIZE: return finite((const float *)j->in[0].data, j->in[0].count) && parameters_legal(&j->in[1], &j->in[2]);
    case DEQUANTIZE: return lanes_legal(j->in[0].data, j->k, j->n) && parameters_legal(&j->in[1], &j->in[2]);
    case MATMUL: return packed_legal((const uint8_t *)j->in[1].data, j) && parameters_legal(&j->in[2], &j->in[3]);
    default: return finite((const float *)j->in[0].data, j->in[0].count);
    }
}

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

/* Make room at the end of a block, some bytes into it if addresses are to be odd ones. */
static array make_array(const job *j, int64_t count, int64_t size, int is_input) {
    const int64_t before = j->flags & SHIFTED ? size * (1 + j->next % 3) : 0;
    array made = {.size = size, .count = count, .given = 1};
    int64_t bytes = count * size;
#ifdef PLANT_SHORT
    if (!is_input) bytes -= bytes > 1; /* what a caller must not do: the sanitizer has to see it */
#endif
    made.block = malloc((size_t)(before + bytes));
    made.original = is_input ? malloc((size_t)bytes) : NULL;
    if (made.block == NULL || (is_input && made.original == NULL)) abort();
    memset(made.block, 0x5A, (size_t)(before + bytes));
    made.data = made.block + before;
    return made;
}

/* What an input array holds, by which rule it is made legal where that is asked. */
typedef enum { ANY, LANES, PACKED, FINITE, POSITIVE } content;

static void fill_input(job *j, array *a, content rule) {
    const int clean = j->flags & CLEAN;
    for (int64_t i = 0; i < a->count * a->size; i++) a->data[i] = (int8_t)next_byte(j);
    for (int64_t i = 0; clean && i < a->count; i++) {
        if (rule == LANES) a->data[i] = (int8_t)(i % j->k % 2 ? (a->data[i] & 7) - 4 : (a->data[i] & 15) - 8);
        if (rule == PACKED && j->layout == Q35_BYTE) a->data[i] &= 127;
        if (rule == PACKED && j->layout == Q35_DENSE && i % j->column_bytes == j->column_bytes - 1)
            a->data[i] &= (int8_t)(255 >> (8 * j->column_bytes - 7 * ((j->k + 1) / 2)));
        if (rule == FINITE || rule == POSITIVE) {
            float *x = (float *)a->data + i;
            uint32_t bits;
            memcpy(&bits, x, sizeof bits);
            if ((bits & 0x7F800000) == 0x7F800000) bits &= ~UINT32_C(0x40000000);
            if (rule == POSITIVE) bits &= 0x7FFFFFFF, bits += bits == 0;
            memcpy(x, &bits, sizeof bits);
        }
    }
    memcpy(a->original, a->data, (size_t)(a->count * a->size));
}

static void add_input(job *j, int64_t count, int64_t size, content rule) {
    j->in[j->inputs] = make_array(j, count, size, 1);
    fill_input(j, &j->in[j->inputs++], rule);
}

static void add_output(job *j, int64_t count, int64_t size) { j->out[j->outputs++] = make_array(j, count, size, 0); }

/* Of illegal sizes no array is longer than one number: nothing may be touched. */
static void make_arrays(job *j, int legal) {
    const int64_t k = legal ? j->k : 1, n = legal ? j->n : 1, m = legal ? j->m : 1, g = legal ? j->groups : 1;
    const int64_t bytes = legal ? j->column_bytes * n : 1;
    switch (j->function) {
    case PACK: add_input(j, k * n, 1, LANES), add_output(j, bytes, 1); break;
    case UNPACK: add_input(j, bytes, 1, PACKED), add_output(j, k * n, 1); break;
    case MINMAX:
    case SYMMETRIC: add_input(j, k * n, 4, FINITE), add_output(j, g * n, 4), add_output(j, g * n, 4); break;
    case QUANTIZE:
    case DEQUANTIZE:
        add_input(j, k * n, j->function == QUANTIZE ? 4 : 1, j->function == QUANTIZE ? FINITE : LANES);
        add_input(j, g * n, 4, POSITIVE), add_input(j, g * n, 4, FINITE);
        add_output(j, k * n, j->function == QUANTIZE ? 1 : 4);
        break;
    case ACTIVATIONS: add_input(j, m * k, 4, FINITE), add_output(j, m, 4), add_output(j, m * k, 1); break;
    default:
        add_input(j, m * k, 1, ANY), add_input(j, bytes, 1, PACKED);
        add_input(j, g * n, 4, POSITIVE), add_input(j, g * n, 4, FINITE);
        add_output(j, m * n * g, 4), add_output(j, m * g, 4), add_output(j, m * n, 4);
    }
}

/* ---- a call ------------------------------------------------------------------------------------------------------ */

static int call(const job *j) {
    const void *in[4] = {NULL};
    void *out[3] = {NULL};
    for (int i = 0; i < j->inputs; i++) in[i] = j->in[i].given ? j->in[i].data : NULL;
    for (int i = 0; i < j->outputs; i++) out[i] = j->out[i].given ? j->out[i].data : NULL;
    switch (j->function) {
    case PACK: return q35_pack(in[0], j->k, j->n, j->layout, out[0]);
    case UNPACK: return q35_unpack(in[0], j->k, j->n, j->layout, out[0]);
    case MINMAX: return q35_calibrate_minmax(in[0], j->k, j->n, j->group_size, out[0], out[1]);
    case SYMMETRIC: return q35_calibrate_symmetric(in[0], j->k, j->n, j->group_size, out[0], out[1]);
    case QUANTIZE: return q35_quantize(in[0], j->k, j->n, j->group_size, j->gain, in[1], in[2], out[0]);
    case DEQUANTIZE: return q35_dequantize(in[0], j->k, j->n, j->group_size, j->gain, in[1], in[2], out[0]);
    case ACTIVATIONS: return q35_quantize_activations(in[0], j->m, j->k, out[0], out[1]);
    default:
        return q35_matmul(in[0], in[1], j->m, j->k, j->n, j->layout, j->group_size, j->gain, in[2], in[3], out[0], out[1],
                          out[2]);
    }
}

static void fill_outputs(const job *j, int value) {
    for (int i = 0; i < j->outputs; i++)
        memset(j->out[i].block, 0x5A, (size_t)(j->out[i].data - j->out[i].block)),
            memset(j->out[i].data, value, (size_t)(j->out[i].count * j->out[i].size));
}

static void check_around(const job *j) {
    for (int i = 0; i < j->inputs; i++)
        if (memcmp(j->in[i].data, j->in[i].original, (size_t)(j->in[i].count * j->in[i].size)) != 0)
            FAIL("function %d changed its input %d", j->function, i);
    for (int i = 0; i < j->outputs; i++)
        for (const int8_t *byte = j->out[i].block; byte < j->out[i].data; byte++)
            if (*byte != 0x5A) FAIL("function %d wrote before its output %d", j->function, i);
}

/* Whether an output need only keep a bound, and may differ between instruction sets. */
static int is_bounded(const job *j, int output) { return j->function == MATMUL && output == 2; }

static void check_same(const job *j, int8_t *const kept[3], const char *what, int exactly) {
    for (int i = 0; i < j->outputs; i++)
        if (j->out[i].given && (exactly || !is_bounded(j, i)) &&
            memcmp(kept[i], j->out[i].data, (size_t)(j->out[i].count * j->out[i].size)) != 0)
            FAIL("function %d, output %d depends on %s", j->function, i, what);
}

/* ---- what is right ----------------------------------------------------------------------------------------------- */

static int code_at(const uint8_t *column, int64_t i, int32_t layout) {
    if (layout == Q35_BYTE) return column[i];
    int code = 0;
    for (int64_t bit = 7 * i; bit < 7 * i + 7; bit++) code |= (column[bit / 8] >> bit % 8 & 1) << (bit - 7 * i);
    return code;
}

static int lane_of(int code, int64_t row) {
    return row % 2 ? ((code & 7) ^ 4) - 4 : ((code >> 3 & 15) ^ 8) - 8;
}

static void check_codes(const job *j, const uint8_t *packed, const int8_t *q) {
    if (!packed_legal(packed, j)) FAIL("packed bytes have a bit that must be 0");
    for (int64_t column = 0; column < j->n; column++) {
        const uint8_t *bytes = packed + column * j->column_bytes;
        for (int64_t row = 0; row < j->k; row++)
            if (lane_of(code_at(bytes, row / 2, j->layout), row) != q[column * j->k + row])
                FAIL("column %lld, row %lld: wrong code", (long long)column, (long long)row);
        if (j->function == PACK && j->k % 2 && (code_at(bytes, j->k / 2, j->layout) & 7) != 0)
            FAIL("column %lld: the last narrow field is not 0", (long long)column);
    }
}

/* |out - exact| <= n u / (1 - n u) S; the exact sum in long double, whose own error the last factor leaves room for. */
static void check_matmul(const job *j) {
    const int8_t *a = j->in[0].data;
    const uint8_t *packed = (const uint8_t *)j->in[1].data;
    const float *scale = (const float *)j->in[2].data, *offset = (const float *)j->in[3].data;
    const int64_t rows = j->group_size == 0 || j->group_size > j->k ? j->k : j->group_size;
    const long double nu = (2.0L * (long double)j->groups + 1) * 0x1p-24L, factor = nu / (1 - nu) * (1 + 0x1p-20L);
    for (int64_t i = 0; i < j->m; i++)
        for (int64_t column = 0; column < j->n; column++) {
            long double exact = 0, size = 0;
            for (int64_t g = 0; g < j->groups; g++) {
                int64_t acc = 0, sum = 0;
                for (int64_t row = g * rows; row < (g + 1) * rows && row < j->k; row++) {
                    const int code = code_at(packed + column * j->column_bytes, row / 2, j->layout);
                    acc += (row % 2 ? j->gain : 1) * a[i * j->k + row] * lane_of(code, row);
                    sum += a[i * j->k + row];
                }
                if (j->out[0].given && ((int32_t *)j->out[0].data)[(i * j->n + column) * j->groups + g] != acc)
                    FAIL("matmul: wrong accumulator");
                if (j->out[1].given && ((int32_t *)j->out[1].data)[i * j->groups + g] != sum)
                    FAIL("matmul: wrong row sum");
                const long double one = (long double)scale[g * j->n + column] * (long double)acc;
                const long double other = (long double)offset[g * j->n + column] * (long double)sum;
                exact += one + other, size += fabsl(one) + fabsl(other);
            }
            if (!j->out[2].given || size >= 0x1p127L) continue;
            const float got = ((const float *)j->out[2].data)[i * j->n + column];
            if (!(fabsl((long double)got - exact) <= factor * size)) FAIL("matmul: %g is out of its bound", (double)got);
        }
}

static void check_right(const job *j) {
    if (j->function == PACK) check_codes(j, (const uint8_t *)j->out[0].data, j->in[0].data);
    if (j->function == UNPACK) check_codes(j, (const uint8_t *)j->in[0].data, j->out[0].data);
    if (j->function == QUANTIZE && !lanes_legal(j->out[0].data, j->k, j->n)) FAIL("quantize: an integer out of its lane");
    if (j->function == MATMUL) check_matmul(j);
}

/* ---- an input ---------------------------------------------------------------------------------------------------- */

static int64_t column_bytes(int64_t k, int32_t layout) {
    const int64_t pairs = k / 2 + k % 2;
    return layout == Q35_BYTE ? pairs : (7 * pairs + 7) / 8;
}

/* Read the head; return whether the call is worth making: legal, but too large, it is not. */
static int read_head(job *j, const uint8_t *head) {
    j->function = head[0] % FUNCTIONS, j->flags = head[1];
    j->k = 1 + (head[2] | head[3] << 8) % 700;
    j->n = 1 + head[4] % 70;
    j->m = 1 + head[5] % (j->flags & MANY_ROWS ? 300 : 6);
    j->layout = head[6] & 1, j->gain = 1 + (head[6] >> 1 & 1);
    j->group_size = head[7] % 20 * 16;
    if (j->flags & HOSTILE) {
        int64_t *const sizes[] = {&j->k, &j->n, &j->m, &j->group_size};
        for (int i = 0; i < 4; i++)
            if (head[8] >> i & 1) *sizes[i] = odd_sizes[head[9 + i / 2] >> 4 * (i % 2) & 15];
        if (head[8] & 16) j->layout = (int8_t)head[11];
        if (head[8] & 32) j->gain = (int8_t)head[12];
    }
    const int legal = settings_legal(j);
    if (legal) {
        const int64_t columns = j->function == ACTIVATIONS ? 1 : j->n;
        const int64_t rows = j->function == MATMUL || j->function == ACTIVATIONS ? j->m : 1;
        if (j->k > MOST_WORK || columns > MOST_WORK || rows > MOST_WORK || j->k * columns > MOST_WORK ||
            j->k * columns * rows > MOST_WORK)
            return 0;
        if (j->function != ACTIVATIONS) j->column_bytes = column_bytes(j->k, j->layout);
        const int64_t group = j->group_size == 0 || j->group_size > j->k ? j->k : j->group_size;
        j->groups = (j->k - 1) / group + 1;
    }
    if (!legal) j->flags &= ~CLEAN; /* there are no lanes to keep to */
    make_arrays(j, legal);
    if (j->flags & HOSTILE) {
        for (int i = 0; i < j->inputs; i++) j->in[i].given = !(head[13] >> i & 1);
        for (int i = 0; i < j->outputs; i++) j->out[i].given = !(head[13] >> (4 + i) & 1);
    }
    return 1;
}

static int is_legal(const job *j) {
    if (!settings_legal(j)) return 0;
    for (int i = 0; i < j->inputs; i++)
        if (!j->in[i].given) return 0;
    for (int i = 0; i < j->outputs; i++)
        if (!j->out[i].given && j->function != MATMUL) return 0;
    return numbers_legal(j);
}

static void keep(const job *j, int8_t *kept[3]) {
    for (int i = 0; i < j->outputs; i++) {
        const size_t bytes = (size_t)(j->out[i].count * j->out[i].size);
        if (kept[i] == NULL) kept[i] = malloc(bytes);
        if (kept[i] == NULL) abort();
        memcpy(kept[i], j->out[i].data, bytes);
    }
}

static int called(const job *j, const char *isa, int32_t threads, int fill) {
    if (q35_native_use_isa(isa) != Q35_OK) FAIL("no instruction set %s", isa);
    q35_set_num_threads(threads);
    fill_outputs(j, fill);
    const int status = call(j);
    check_around(j);
    return status;
}

static void run(job *j) {
    const int legal = is_legal(j);
    const int32_t threads = j->flags & THREADED ? 3 : 1;
    int8_t *plain[3] = {NULL}, *kept[3] = {NULL};
#ifdef PLANT_HANG
    for (volatile int forever = 1; forever;) {}
#endif
    const char *isa, *last = NULL;
    for (int32_t i = 0; (isa = q35_native_isa_at(i)) != NULL; i++) last = isa; /* plain C is the last */
    for (int32_t i = -1; i < 0 || q35_native_isa_at(i) != NULL; i++) {
        isa = i < 0 ? last : q35_native_isa_at(i);
        const int status = called(j, isa, 1, 0xA5);
        if (legal ? status != Q35_OK : status != Q35_BAD_ARGUMENT && status != Q35_NOT_FINITE)
            FAIL("function %d, %s: status %d for %s input", j->function, isa, status, legal ? "legal" : "illegal");
        if (!legal) continue;
        if (i < 0) check_right(j), keep(j, plain);
        else check_same(j, plain, "the instruction set", 0);
        if (i >= 0 && j->function == MATMUL) check_matmul(j);
        keep(j, kept);
        if (called(j, isa, threads, 0x3C) != Q35_OK) FAIL("function %d: refused the second time", j->function);
        check_same(j, kept, "what it held, or on threads", 1);
    }
    for (int i = 0; i < 3; i++) free(plain[i]), free(kept[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD) return 0;
    job j = {.numbers = data + HEAD, .count = size - HEAD};
    if (read_head(&j, data)) run(&j);
    for (int i = 0; i < j.inputs; i++) free(j.in[i].block), free(j.in[i].original);
    for (int i = 0; i < j.outputs; i++) free(j.out[i].block);
    return 0;
}
