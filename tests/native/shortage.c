/* The kernel short of memory and of threads: its allocations are made to fail, each in turn, and so are its threads. Then
 * it returns its status or does all the work itself, and holds no memory afterwards. With PLANT_A_LEAK one allocation is
 * counted that is never given back: the driver must say so. */
#include "q35_abi.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char *q35_native_isa_at(int32_t i);
int q35_native_use_isa(const char *name);

enum { K = 1040, N = 1100, MOST_M = 300, GROUP = 128, GROUPS = (K + GROUP - 1) / GROUP, COLUMN_BYTES = K / 16 * 7 };

static atomic_long allocations, fails_at = -1, held, threads_wanted, threads_refused;

static int fails(void) { return atomic_fetch_add(&allocations, 1) == atomic_load(&fails_at); }

/* The kernel is compiled so that it calls these (-Dmalloc=test_malloc, and so on). */
void *test_malloc(size_t size) {
    void *made = fails() ? NULL : malloc(size);
    if (made != NULL) atomic_fetch_add(&held, 1);
    return made;
}

void *test_aligned_alloc(size_t alignment, size_t size) {
    void *made = fails() ? NULL : aligned_alloc(alignment, size);
    if (made != NULL) atomic_fetch_add(&held, 1);
    return made;
}

void test_free(void *made) {
    if (made != NULL) atomic_fetch_sub(&held, 1);
    free(made);
}

int test_pthread_create(pthread_t *made, const pthread_attr_t *how, void *(*run)(void *), void *argument) {
    const long bit = 1L << atomic_fetch_add(&threads_wanted, 1) % 3;
    return atomic_load(&threads_refused) & bit ? EAGAIN : pthread_create(made, how, run, argument);
}

static int8_t *a;
static uint8_t *packed;
static float *scale, *offset;

static int multiply(int64_t m, float *out) {
    atomic_store(&allocations, 0);
    atomic_store(&threads_wanted, 0);
    memset(out, 1, sizeof *out * (size_t)m * N);
    return q35_matmul(a, packed, m, K, N, Q35_DENSE, GROUP, 2, scale, offset, NULL, NULL, out);
}

/* Allocations of a product fail in turn: the first ones all, as all of one thread are; of the many of other ranges some.
 * Returns how many there are, or -1. */
static long fail_each(int64_t m, float *out) {
    for (long at = 0; at < 1000; at += at < 8 ? 1 : 37) {
        atomic_store(&fails_at, at);
        const int status = multiply(m, out);
        const long made = atomic_load(&allocations), kept = atomic_load(&held);
        atomic_store(&fails_at, -1);
        if (kept != 0) return printf("%ld allocations kept\n", kept), -1;
        if (made <= at) return status == Q35_OK ? made : -1;
        if (status != Q35_NO_MEMORY) return printf("status %d for allocation %ld\n", status, at), -1;
    }
    return -1;
}

/* A forked process has none of its parent's threads, and wants its own. Returns 0 if all went well. */
static int in_a_process_without_workers(long refused, int64_t m, const float *right, float *out) {
    const pid_t child = fork();
    if (child == 0) {
        atomic_store(&threads_refused, refused);
        if (multiply(m, out) != Q35_OK || memcmp(out, right, sizeof *out * (size_t)m * N)) _exit(1);
        _exit(atomic_load(&threads_wanted) == 0 ? 2 : 0);
    }
    int status = -1;
    return child < 0 || waitpid(child, &status, 0) != child ? -1 : status;
}

int main(void) {
    const int64_t rows[] = {1, 4, MOST_M};
    a = malloc((size_t)MOST_M * K), packed = malloc((size_t)N * COLUMN_BYTES);
    scale = malloc(sizeof *scale * GROUPS * N), offset = malloc(sizeof *offset * GROUPS * N);
    float *right = malloc(sizeof *right * MOST_M * N), *out = malloc(sizeof *out * MOST_M * N);
    for (int i = 0; i < MOST_M * K; i++) a[i] = (int8_t)(i * 37 % 256 - 128);
    for (int i = 0; i < N * COLUMN_BYTES; i++) packed[i] = (uint8_t)(i * 89 % 256);
    for (int i = 0; i < GROUPS * N; i++) scale[i] = 0.5f + (float)(i % 7), offset[i] = (float)(i % 5) - 2;
#ifdef PLANT_A_LEAK
    atomic_fetch_add(&held, 1);
#endif
    long most = 0;
    for (int32_t i = 0; q35_native_isa_at(i) != NULL; i++)
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            q35_native_use_isa(q35_native_isa_at(i));
            q35_set_num_threads(1);
            if (multiply(rows[r], right) != Q35_OK || fail_each(rows[r], out) < 3) return 1;
            q35_set_num_threads(4);
            const long made = fail_each(rows[r], out);
            most = made > most ? made : most;
            if (made < 3) return 2;
            for (long refused = 0; refused < 8; refused++)
                if (in_a_process_without_workers(refused, rows[r], right, out) != 0) return 3;
        }
    printf("every shortage was survived: up to %ld allocations\n", most);
    return 0;
}
