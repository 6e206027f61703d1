/* Ranges of columns or rows, side by side. Each thread writes only what is its range's. */
#include "common.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MOST_THREADS = 256 };

#define LEAST_WORK (INT64_C(1) << 18) /* weights that are worth a thread: it takes some 20 microseconds to start */

static atomic_int thread_count = 1;

void q35_set_num_threads(int32_t n) { atomic_store(&thread_count, n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n); }

typedef struct {
    range_work work;
    void *context;
    int64_t first, last;
    int status;
} range;

static void *run(void *argument) {
    range *r = argument;
    r->status = r->work(r->context, r->first, r->last);
    return NULL;
}

int q35_parallel(range_work work, void *context, int64_t count, int64_t multiple, int64_t cost) {
    const int64_t pieces = count / multiple + (count % multiple != 0);
    int64_t threads = atomic_load(&thread_count);
    const int64_t worth = (int64_t)((double)count * (double)cost / (double)LEAST_WORK);
    if (threads > worth) threads = worth;
    if (threads > pieces) threads = pieces;
    if (threads <= 1) return work(context, 0, count);

    range ranges[MOST_THREADS];
    pthread_t handles[MOST_THREADS];
    int started[MOST_THREADS] = {0};
    int64_t piece = 0;
    for (int64_t t = 0; t < threads; t++) {
        const int64_t next = piece + (pieces - piece) / (threads - t);
        ranges[t] = (range){work, context, piece * multiple, next * multiple < count ? next * multiple : count, 0};
        piece = next;
    }
    /* Where a thread cannot be had, its range is done here. */
    for (int64_t t = 1; t < threads; t++) started[t] = pthread_create(&handles[t], NULL, run, &ranges[t]) == 0;
    for (int64_t t = 0; t < threads; t++)
        if (!started[t]) run(&ranges[t]);
    for (int64_t t = 1; t < threads; t++)
        if (started[t]) pthread_join(handles[t], NULL);
    for (int64_t t = 0; t < threads; t++)
        if (ranges[t].status != Q35_OK) return ranges[t].status;
    return Q35_OK;
}
