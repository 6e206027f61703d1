/* Under the thread sanitizer: two threads of the caller's use every function, one row and several, with one instruction
 * set, while a third changes the instruction set and the number of threads. With PLANT_A_RACE two threads write one
 * variable: the sanitizer must say so. */
#include "q35_abi.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *q35_native_isa_at(int32_t i);
int q35_native_use_isa(const char *name);

enum { K = 1040, N = 1100, M = 3, GROUP = 48, GROUPS = (K + GROUP - 1) / GROUP, COLUMN_BYTES = K / 16 * 7 };

typedef struct {
    float scale[GROUPS * N], offset[GROUPS * N], even_scale[GROUPS * N], zero[GROUPS * N], restored[N * K], out[M * N];
    float x_scale[N];
    int32_t acc[M * N * GROUPS], row_sum[M * GROUPS];
    int8_t q[N * K], a[N * K];
    uint8_t dense[N * COLUMN_BYTES], byte[N * K / 2];
    int status;
} results;

static float weights[N * K];
static results alone, first, second; /* zero at first: whole structures can be compared */
static int planted;

static void *use(void *argument) {
    results *r = argument;
#ifdef PLANT_A_RACE
    planted += 1;
#endif
    r->status = q35_calibrate_minmax(weights, K, N, GROUP, r->scale, r->offset) |
                q35_calibrate_symmetric(weights, K, N, GROUP, r->even_scale, r->zero) |
                q35_quantize(weights, K, N, GROUP, 2, r->scale, r->offset, r->q) |
                q35_pack(r->q, K, N, Q35_DENSE, r->dense) | q35_unpack(r->dense, K, N, Q35_DENSE, r->q) |
                q35_pack(r->q, K, N, Q35_BYTE, r->byte) | q35_unpack(r->byte, K, N, Q35_BYTE, r->q) |
                q35_dequantize(r->q, K, N, GROUP, 2, r->scale, r->offset, r->restored) |
                q35_quantize_activations(weights, N, K, r->x_scale, r->a) |
                q35_matmul(r->a, r->byte, 1, K, N, Q35_BYTE, GROUP, 2, r->scale, r->offset, r->acc, NULL, r->out) |
                q35_matmul(r->a, r->dense, M, K, N, Q35_DENSE, GROUP, 2, r->scale, r->offset, r->acc, r->row_sum, r->out);
    return NULL;
}

static void *change(void *nothing) {
    for (int32_t turn = 0; turn < 200; turn++) {
        const char *name = q35_native_isa_at(turn % 3);
        if (name != NULL) q35_native_use_isa(name);
        q35_set_num_threads(2 + turn % 4);
    }
    return nothing;
}

int main(int count, char **arguments) {
    if (count < 2 || q35_native_use_isa(arguments[1])) return 2;
    for (int i = 0; i < K * N; i++) weights[i] = (float)((i * 7919 + i / 13) % 2003) - 1001.0f;
    q35_set_num_threads(1);
    use(&alone);
    q35_set_num_threads(4);
    pthread_t one, two;
    if (pthread_create(&one, NULL, use, &first)) return 3;
    if (count > 2 && pthread_create(&two, NULL, change, NULL)) return 3;
    use(&second);
    pthread_join(one, NULL);
    if (count > 2) pthread_join(two, NULL);
    const int same = !alone.status && !memcmp(&alone, &first, sizeof alone) && !memcmp(&alone, &second, sizeof alone);
    printf("%s %d\n", same ? "the same" : "different", planted);
    return same ? 0 : 1;
}
