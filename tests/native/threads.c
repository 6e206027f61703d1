/* Run under the thread sanitizer: every function on one thread and on several, and from two threads of the caller's at
 * once; the results must be the same. With PLANT_A_RACE two threads write one variable: the sanitizer must say so. */
#include "q35_abi.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K = 2048, N = 640, M = 3, GROUP = 128, GROUPS = K / GROUP, COLUMN_BYTES = K / 16 * 7 };

typedef struct {
    float *w, *scale, *offset, *restored, *x_scale, *out;
    int8_t *q, *a;
    uint8_t *packed;
    int status;
} results;

static float *weights;
static int planted;

static void *run(void *argument) {
    results *r = argument;
    r->scale = malloc(sizeof(float) * GROUPS * N), r->offset = malloc(sizeof(float) * GROUPS * N);
    r->restored = malloc(sizeof(float) * K * N), r->out = malloc(sizeof(float) * M * N);
    r->x_scale = malloc(sizeof(float) * N), r->a = malloc((size_t)K * N), r->q = malloc((size_t)K * N);
    r->packed = malloc((size_t)COLUMN_BYTES * N);
#ifdef PLANT_A_RACE
    planted += 1;
#endif
    r->status = q35_calibrate_minmax(weights, K, N, GROUP, r->scale, r->offset) |
                q35_quantize(weights, K, N, GROUP, 2, r->scale, r->offset, r->q) |
                q35_pack(r->q, K, N, Q35_DENSE, r->packed) | q35_unpack(r->packed, K, N, Q35_DENSE, r->q) |
                q35_dequantize(r->q, K, N, GROUP, 2, r->scale, r->offset, r->restored) |
                q35_quantize_activations(weights, N, K, r->x_scale, r->a) |
                q35_matmul(r->a, r->packed, M, K, N, Q35_DENSE, GROUP, 2, r->scale, r->offset, NULL, NULL, r->out);
    return NULL;
}

static int equal(const results *one, const results *other) {
    return one->status == 0 && other->status == 0 && memcmp(one->packed, other->packed, (size_t)COLUMN_BYTES * N) == 0 &&
           memcmp(one->restored, other->restored, sizeof(float) * K * N) == 0 &&
           memcmp(one->a, other->a, (size_t)K * N) == 0 && memcmp(one->out, other->out, sizeof(float) * M * N) == 0;
}

int main(void) {
    weights = malloc(sizeof(float) * K * N);
    for (int i = 0; i < K * N; i++) weights[i] = (float)((i * 7919 + i / 13) % 2003) - 1001.0f;
    results alone, first, second;
    q35_set_num_threads(1);
    run(&alone);
    q35_set_num_threads(4);
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &first)) return 3;
    run(&second);
    pthread_join(thread, NULL);
    const int same = equal(&alone, &first) && equal(&alone, &second);
    printf("%s %d\n", same ? "the same" : "different", planted);
    return same ? 0 : 1;
}
