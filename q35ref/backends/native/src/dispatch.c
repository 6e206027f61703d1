/* Which instruction set is used: the best that the CPU has, or the one that was asked for. */
#include "entry.h"

#include <stdatomic.h>
#include <string.h>

enum { MOST_KERNELS = 3 };

/* Fill in the kernels that this CPU can run, the fastest first; return their number. */
static int32_t available(const kernel_table *found[MOST_KERNELS]) {
    int32_t count = 0;
#ifdef Q35_SIMDE
#define CPU_HAS(feature) 1
#elif !defined(CPU_HAS) /* a test has processors of its own */
#define CPU_HAS(feature) __builtin_cpu_supports(feature)
#endif
#ifdef Q35_HAVE_AVX512
    if (CPU_HAS("avx512f") && CPU_HAS("avx512bw") && CPU_HAS("avx512dq") && CPU_HAS("avx512vl") &&
        CPU_HAS("avx512vbmi") && CPU_HAS("avx512vnni"))
        found[count++] = &q35_avx512_kernels;
#endif
#ifdef Q35_HAVE_AVX2
    if (CPU_HAS("avx2")) found[count++] = &q35_avx2_kernels;
#endif
    found[count++] = &q35_scalar_kernels;
    return count;
}

static _Atomic(const kernel_table *) chosen;

const kernel_table *q35_kernels(void) {
    const kernel_table *table = atomic_load(&chosen);
    if (table == NULL) {
        const kernel_table *found[MOST_KERNELS];
        available(found);
        table = found[0];
        atomic_store(&chosen, table);
    }
    return table;
}

const char *q35_native_isa(void) { return q35_kernels()->name; }

const char *q35_native_isa_at(int32_t i) {
    const kernel_table *found[MOST_KERNELS];
    return i >= 0 && i < available(found) ? found[i]->name : NULL;
}

int q35_native_use_isa(const char *name) {
    const kernel_table *found[MOST_KERNELS];
    const int32_t count = available(found);
    for (int32_t i = 0; name != NULL && i < count; i++)
        if (strcmp(found[i]->name, name) == 0) {
            atomic_store(&chosen, found[i]);
            return Q35_OK;
        }
    return Q35_BAD_ARGUMENT;
}

#ifndef Q35_SOURCES
#define Q35_SOURCES ""
#endif
const char *q35_native_sources(void) { return Q35_SOURCES; }
