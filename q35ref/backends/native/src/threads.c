/* Ranges of columns or rows, side by side; each is written by one thread alone.
 *
 * Workers start once and then wait for work, as a thread's start takes longer than a small matrix. The caller does not
 * wait for them: it takes ranges itself until none is left, and then waits only for workers that have joined, so that
 * one which wakes late costs nothing. One call at a time has the workers; another call meanwhile works alone.
 */
#include "common.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum {
    MOST_THREADS = 256,
    RANGES_A_THREAD = 8, /* what a slow thread leaves is done by the others */
    SPINS = 4000,        /* some 100 microseconds, about what a sleeping thread takes to wake */
};

#ifndef LEAST_WORK
#define LEAST_WORK (INT64_C(1) << 17) /* weights in a range; tests make it 1 */
#endif

typedef struct {
    range_work work;
    void *context;
    int64_t count, multiple, pieces;
    int ranges;
    atomic_int next; /* range that nobody has taken */
    unsigned char status[MOST_THREADS * RANGES_A_THREAD];
} shared_job;

static atomic_int thread_count = 1;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* whoever changes what follows holds it */
static pthread_cond_t posted = PTHREAD_COND_INITIALIZER, finished = PTHREAD_COND_INITIALIZER;
static int workers;         /* threads that were started */
static int engaged;         /* a call has them */
static shared_job *current; /* what they may join */
static int places;          /* how many of them still may */
static atomic_int busy;     /* how many have, and are not done */
static atomic_uint posts;   /* calls that had them so far */

void q35_set_num_threads(int32_t n) { atomic_store(&thread_count, n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n); }

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Do ranges that nobody has taken until there are none. */
static void take_ranges(shared_job *job) {
    for (int i = atomic_fetch_add(&job->next, 1); i < job->ranges; i = atomic_fetch_add(&job->next, 1)) {
        const int64_t each = job->pieces / job->ranges, more = job->pieces % job->ranges;
        const int64_t first = i * each + (i < more ? i : more), last = first + each + (i < more);
        const int64_t end = last == job->pieces ? job->count : last * job->multiple;
        job->status[i] = (unsigned char)job->work(job->context, first * job->multiple, end);
    }
}

static void *serve(void *seen_before) {
    unsigned seen = (unsigned)(uintptr_t)seen_before;
    fesetenv(FE_DFL_ENV);
    for (;;) {
        for (int spin = 0; spin < SPINS && atomic_load(&posts) == seen; spin++) relax();
        pthread_mutex_lock(&lock);
        while (atomic_load(&posts) == seen) pthread_cond_wait(&posted, &lock);
        seen = atomic_load(&posts);
        shared_job *job = places > 0 ? current : NULL;
        if (job != NULL) places--, atomic_fetch_add(&busy, 1);
        pthread_mutex_unlock(&lock);
        if (job == NULL) continue;
        take_ranges(job);
        pthread_mutex_lock(&lock);
        if (atomic_fetch_sub(&busy, 1) == 1) pthread_cond_signal(&finished);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

/* A process that forks leaves its threads behind. */
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void in_parent(void) { pthread_mutex_unlock(&lock); }
static void in_child(void) {
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&posted, NULL);
    pthread_cond_init(&finished, NULL);
    workers = engaged = places = 0;
    current = NULL;
    atomic_store(&busy, 0);
}
/* From the start: handlers that a first call registers are not run in the child of a fork that is under way. */
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(before_fork, in_parent, in_child); }

/* Start workers until there are so many, or no more can be had. The caller's signals are not for them. */
static void start_workers(int wanted) {
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &callers);
    for (pthread_t thread; workers < wanted; workers++) {
        if (pthread_create(&thread, NULL, serve, (void *)(uintptr_t)atomic_load(&posts)) != 0) break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
}

/* Offer the job to workers; return whether they were free. */
static int post(shared_job *job, int helpers) {
    pthread_mutex_lock(&lock);
    const int is_free = !engaged;
    if (is_free) {
        start_workers(helpers);
        engaged = 1, current = job, places = helpers;
        atomic_fetch_add(&posts, 1);
        for (int i = 0; i < helpers; i++) pthread_cond_signal(&posted);
    }
    pthread_mutex_unlock(&lock);
    return is_free;
}

/* Wait for the ranges that workers have begun; after that nobody looks at the job. */
static void withdraw(void) {
    pthread_mutex_lock(&lock);
    current = NULL;
    pthread_mutex_unlock(&lock);
    for (int spin = 0; spin < SPINS && atomic_load(&busy) > 0; spin++) relax();
    pthread_mutex_lock(&lock);
    while (atomic_load(&busy) > 0) pthread_cond_wait(&finished, &lock);
    engaged = 0;
    pthread_mutex_unlock(&lock);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

int q35_parallel(range_work work, void *context, int64_t count, int64_t multiple, int64_t cost) {
    const int64_t pieces = count / multiple + (count % multiple != 0);
    const int threads = atomic_load(&thread_count);
    const double worth = (double)count * (double)cost / (double)LEAST_WORK;
    const int ranges = (int)least(worth < (double)pieces ? (int64_t)worth : pieces, threads * RANGES_A_THREAD);
    if (threads == 1 || ranges <= 1) return work(context, 0, count);

    shared_job job = {.work = work, .context = context, .count = count, .multiple = multiple, .pieces = pieces,
                      .ranges = ranges};
    int cancelling;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling); /* or workers would go on with a job that is gone */
    const int helped = post(&job, (int)least(threads, ranges) - 1);
    take_ranges(&job);
    if (helped) withdraw();
    pthread_setcancelstate(cancelling, NULL);
    for (int i = 0; i < ranges; i++)
        if (job.status[i] != Q35_OK) return job.status[i];
    return Q35_OK;
}
