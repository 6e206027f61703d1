/* Which instruction sets are offered on processors that lack some features: every set of features is tried, and one that
 * is not offered cannot be chosen. With PLANT_A_FEATURE one is said to be there that is not: the program must fail. */
#include "q35_abi.h"

#include <stdio.h>
#include <string.h>

const char *q35_native_isa_at(int32_t i);
int q35_native_use_isa(const char *name);
int test_cpu_has(const char *feature);

static const char *const features[] = {"avx2",     "avx512f",    "avx512bw",  "avx512dq",
                                       "avx512vl", "avx512vbmi", "avx512vnni"};

enum { FEATURES = sizeof features / sizeof *features, ALL = (1 << FEATURES) - 1, AVX2 = 1, AVX512 = ALL - AVX2 };

static int processor; /* a bit for each feature that it has */

/* The kernel is compiled so that it asks this. */
int test_cpu_has(const char *feature) {
    for (int i = 0; i < FEATURES; i++)
        if (strcmp(feature, features[i]) == 0) return processor >> i & 1;
    return 0;
}

static int is_as_expected(const char *name, int offered, int *place) {
    if (offered) {
        const char *there = q35_native_isa_at((*place)++);
        if (there == NULL || strcmp(there, name) != 0) return 0;
    }
    return q35_native_use_isa(name) == (offered ? Q35_OK : Q35_BAD_ARGUMENT);
}

int main(void) {
    for (int has = ALL; has >= 0; has--) {
        int place = 0, has512 = (has & AVX512) == AVX512;
#ifdef PLANT_A_FEATURE
        has512 |= has == 0;
#endif
        processor = has;
        if (!is_as_expected("avx512", has512, &place) || !is_as_expected("avx2", (has & AVX2) != 0, &place) ||
            !is_as_expected("scalar", 1, &place) || q35_native_isa_at(place) != NULL || q35_native_isa_at(-1) != NULL ||
            q35_native_use_isa("nothing") == Q35_OK || q35_native_use_isa(NULL) == Q35_OK) {
            printf("wrong with the features %#x\n", (unsigned)has);
            return 1;
        }
    }
    printf("right on %d processors\n", ALL + 1);
    return 0;
}
