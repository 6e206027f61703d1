/* What every entry point begins with: is it legal, and which kernels are used. */
#ifndef Q35_ENTRY_H
#define Q35_ENTRY_H

#include "common.h"

#include <fenv.h>
#include <float.h>
#include <math.h>

const kernel_table *q35_kernels(void);

#pragma GCC visibility push(default)
/* Name of the instruction set in use; of the i-th best that the CPU has, or NULL; and the choice of one. */
const char *q35_native_isa(void);
const char *q35_native_isa_at(int32_t i);
int q35_native_use_isa(const char *name);
/* Digest of the sources that this library was built from. */
const char *q35_native_sources(void);
#pragma GCC visibility pop

static inline int is_layout(int32_t layout) { return layout == Q35_BYTE || layout == Q35_DENSE; }

static inline int is_gain(int32_t narrow_gain) { return narrow_gain == 1 || narrow_gain == 2; }

/* Whether a product of two sizes, in bytes, is one that an array can have. */
static inline int fits(int64_t a, int64_t b) { return a >= 1 && b >= 1 && a <= PTRDIFF_MAX / b; }

static inline int64_t bytes_of_column(int64_t k, int32_t layout) {
    const int64_t pairs = pairs_of(k);
    return layout == Q35_BYTE ? pairs : pairs - pairs / 8;
}

/* A column's groups; whether they are legal. */
static inline int make_shape(int64_t k, int64_t group_size, column_shape *shape) {
    if (k < 1 || group_size < 0 || group_size % GROUP_MULTIPLE != 0) return 0;
    const int64_t rows = group_size == 0 || group_size > k ? k : group_size;
    *shape = (column_shape){k, rows, k / rows + (k % rows != 0)};
    return rows <= MAX_GROUP_ROWS;
}

/* A call's floating-point environment: rounding to nearest and no flushing of small numbers, whatever the caller has,
 * whose own it gets back. */
static inline fenv_t enter(void) {
    fenv_t callers;
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    return callers;
}

static inline int leave(fenv_t callers, int status) {
    fesetenv(&callers);
    return status;
}

#endif
