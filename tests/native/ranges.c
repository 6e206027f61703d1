/* How threads share ranges, without a kernel: threads.c is part of this program. What is wrong is said, and ends it; so
 * does a minute. With PLANT_A_ROW a row is done twice, with PLANT_A_RANGE one is not done, with PLANT_A_RACE two threads
 * write one variable: each must be seen. The argument "no-fork" leaves out processes, which the thread sanitizer cannot
 * follow. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static atomic_int is_slow;

static void pause_us(int us) { nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL); }

/* Waits begin late, so that a signal which is not given under the lock comes too early. */
static int wait_slowly(pthread_cond_t *changed, pthread_mutex_t *held) {
    if (atomic_load(&is_slow)) pause_us(2000);
    return pthread_cond_wait(changed, held);
}

#define pthread_cond_wait wait_slowly
#include <threads.c> /* of the kernel */
#undef pthread_cond_wait

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ROWS = 4096, MANY = 1000, WAIT_SECONDS = 10 };

static _Thread_local int is_caller; /* whether this thread made the call, so is none of the workers */

static void expect(int is_so, const char *what) {
    if (is_so) return;
    printf("wrong: %s\n", what);
    fflush(stdout);
    _exit(1);
}

static void pause_ms(int ms) { pause_us(1000 * ms); }

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Each row once, in ranges that are as equal as multiples can be. */
typedef struct {
    int64_t count, multiple;
    atomic_int times[MOST_ROWS], ranges;
    _Atomic int64_t shortest, longest; /* in multiples */
    atomic_int is_odd;                 /* a range is empty, or begins or ends where none may */
} tally;

static int count_rows(void *context, int64_t first, int64_t last) {
    tally *t = context;
    const int may_end = last == t->count || (last < t->count && last % t->multiple == 0);
    if (first < 0 || first >= last || first % t->multiple || !may_end) return atomic_store(&t->is_odd, 1), Q35_OK;
    for (int64_t row = first; row < last; row++) atomic_fetch_add(&t->times[row], 1);
    const int64_t length = (last - first + t->multiple - 1) / t->multiple;
    for (int64_t was = t->shortest; length < was && !atomic_compare_exchange_weak(&t->shortest, &was, length);) continue;
    for (int64_t was = t->longest; length > was && !atomic_compare_exchange_weak(&t->longest, &was, length);) continue;
#ifdef PLANT_A_ROW
    if (t->count == 77) atomic_fetch_add(&t->times[first], 1);
#endif
    atomic_fetch_add(&t->ranges, 1);
    return Q35_OK;
}

static void expect_ranges(int64_t count, int64_t multiple, int64_t cost, int64_t ranges) {
    static tally t;
    memset(&t, 0, sizeof t);
    t.count = count, t.multiple = multiple, t.shortest = INT64_MAX;
    const unsigned before = atomic_load(&posts);
    expect(q35_parallel(count_rows, &t, count, multiple, cost) == Q35_OK, "a range that failed, where none did");
    expect(!t.is_odd, "a range is empty, or begins or ends amid a multiple");
    for (int64_t row = 0; row < count; row++) expect(t.times[row] == 1, "a row is not done once");
    expect(t.ranges == ranges, "another number of ranges");
    expect(t.longest - t.shortest <= 1, "ranges are not equally long");
    expect(atomic_load(&posts) - before == (ranges > 1), "workers are called for one range, or not for several");
}

static int64_t smallest(int64_t a, int64_t b, int64_t c) {
    const int64_t d = a < b ? a : b;
    return d < c ? d : c;
}

static void check_ranges(void) {
    static const int counts[] = {1, 2, 3, 5, 16, 31, 32, 33, 77, 100, 777};
    static const int multiples[] = {1, 3, 16, 64, 1000};
    for (int threads = 1; threads <= 5; threads++) {
        q35_set_num_threads(threads);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            const int64_t count = counts[i], most = threads == 1 ? 1 : threads * RANGES_A_THREAD;
            for (size_t j = 0; j < sizeof multiples / sizeof *multiples; j++) {
                const int64_t multiple = multiples[j], pieces = (count + multiple - 1) / multiple;
                expect_ranges(count, multiple, LEAST_WORK, smallest(count, pieces, most));
                expect_ranges(count, multiple, INT64_MAX, smallest(pieces, pieces, most));
                const int64_t quarter = count / 4 > 1 ? count / 4 : 1;
                expect_ranges(count, multiple, LEAST_WORK / 4, smallest(quarter, pieces, most));
                expect_ranges(count, multiple, 1, 1);
            }
        }
    }
}

/* Ranges of more rows than there can be: nobody looks at them. */
typedef struct {
    int64_t count, multiple;
    _Atomic int64_t done;
    atomic_int is_odd;
} long_tally;

static int count_length(void *context, int64_t first, int64_t last) {
    long_tally *t = context;
    const int may_end = last == t->count || (last < t->count && last % t->multiple == 0);
    if (first < 0 || first >= last || first % t->multiple || !may_end) atomic_store(&t->is_odd, 1);
    atomic_fetch_add(&t->done, last - first);
    return Q35_OK;
}

static void check_many_rows(void) {
    static const int64_t counts[] = {INT64_C(1) << 31, (INT64_C(1) << 31) + 7, (INT64_C(1) << 53) + 1, INT64_MAX};
    static const int64_t multiples[] = {1, 3, 16, INT64_C(1) << 40, INT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t j = 0; j < sizeof multiples / sizeof *multiples; j++)
            for (int threads = 1; threads <= 7; threads += 3) {
                long_tally t = {.count = counts[i], .multiple = multiples[j]};
                q35_set_num_threads(threads);
                q35_parallel(count_length, &t, t.count, t.multiple, LEAST_WORK - 1);
                expect(t.done == t.count && !t.is_odd, "of many rows, not each is done once");
            }
}

static int status_of(void *context, int64_t first, int64_t last) {
    const unsigned char *status = context;
    for (int64_t row = first; row < last; row++)
        if (status[row] != Q35_OK) return status[row];
    return Q35_OK;
}

static void check_statuses(int threads, int count) {
    static unsigned char status[MOST_ROWS];
    q35_set_num_threads(threads);
    for (int first = 0; first < count; first++) {
        status[first] = Q35_BAD_ARGUMENT;
        for (int second = first + 1; second < count; second += 1 + count / 20) {
            status[second] = Q35_NOT_FINITE;
            const int found = q35_parallel(status_of, status, count, 1, LEAST_WORK);
            expect(found == Q35_BAD_ARGUMENT, "the status is not that of the first range that failed");
            status[second] = Q35_OK;
        }
        expect(q35_parallel(status_of, status, count, 1, LEAST_WORK) == Q35_BAD_ARGUMENT, "a failure is no status");
        status[first] = Q35_OK;
    }
    expect(q35_parallel(status_of, status, count, 1, LEAST_WORK) == Q35_OK, "a status, and nothing failed");
}

/* A range waits until so many threads are in one. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int wanted, inside, most, is_held;
    int late_us; /* how much later than the caller's a worker's range is done */
    void (*meanwhile)(void); /* what a worker does amid that */
    atomic_int done, is_over;
} meeting;

static const int signals[] = {SIGINT, SIGTERM, SIGALRM, SIGUSR1};

static int late_us = 5000;
#if defined(PLANT_A_RACE) || defined(PLANT_A_RANGE)
static int planted;
#endif

static void take_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static int blocked(void) {
    sigset_t mask;
    int number = 0;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) number += sigismember(&mask, signals[i]);
    return number;
}

static meeting a_meeting_of(int wanted) {
    return (meeting){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .wanted = wanted};
}

static void wait_until_all_are_in(meeting *m) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_SECONDS;
    while (m->most < m->wanted || m->is_held)
        expect(pthread_cond_timedwait(&m->changed, &m->lock, &end) == 0, "fewer threads than there should be");
}

static int meet(void *context, int64_t first, int64_t last) {
    meeting *m = context;
    pthread_mutex_lock(&m->lock);
    if (++m->inside > m->most) m->most = m->inside;
    pthread_cond_broadcast(&m->changed);
    wait_until_all_are_in(m);
    pthread_mutex_unlock(&m->lock);
    if (!is_caller) {
        expect(blocked() == sizeof signals / sizeof *signals, "a worker takes the caller's signals");
        pause_us(m->late_us / 2);
        if (m->meanwhile != NULL) m->meanwhile();
        pause_us(m->late_us / 2);
    }
    expect(!m->is_over, "a range is done after the call is over");
#ifdef PLANT_A_RACE
    planted += 1;
#endif
#ifdef PLANT_A_RANGE
    last -= planted++ == 0;
#endif
    atomic_fetch_add(&m->done, (int)(last - first));
    pthread_mutex_lock(&m->lock);
    m->inside--;
    pthread_mutex_unlock(&m->lock);
    return Q35_OK;
}

/* Let exactly so many threads be in ranges at once, of which workers are late. */
static void expect_threads(int threads, int64_t count, int wanted) {
    meeting m = a_meeting_of(wanted);
    m.late_us = late_us;
    const int had = workers;
    q35_set_num_threads(threads);
    is_caller = 1;
    expect(q35_parallel(meet, &m, count, 1, LEAST_WORK) == Q35_OK, "a range that failed, where none did");
    const int done = atomic_load(&m.done);
    atomic_store(&m.is_over, 1);
    expect(done == count, "the call is over before its ranges are");
    expect(blocked() == 0, "the caller's signals are blocked");
    int cancelling;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &cancelling);
    expect(cancelling == PTHREAD_CANCEL_ENABLE, "the caller cannot be cancelled any more");
    expect(m.most == wanted, "more threads than there should be");
    expect(workers == (had > wanted - 1 ? had : wanted - 1), "another number of workers than are needed");
}

/* Wake all workers, for nothing, during a call which only one of them may join. */
static int wake_all(void *context, int64_t first, int64_t last) {
    meeting *m = context;
    pthread_mutex_lock(&m->lock);
    if (++m->inside > m->most) m->most = m->inside;
    pthread_mutex_unlock(&m->lock);
    pthread_cond_broadcast(&posted);
    pause_ms(3);
    pthread_mutex_lock(&m->lock);
    m->inside--;
    pthread_mutex_unlock(&m->lock);
    atomic_fetch_add(&m->done, (int)(last - first));
    return Q35_OK;
}

static void check_numbers_of_threads(void) {
    const int had = workers;
    for (int few = 1; few >= -1; few--) expect_threads(few, MANY, 1);
    expect_threads(INT32_MIN, MANY, 1);
    expect(workers == had, "workers before they are needed");
    expect_threads(8, 3, 3); /* no more threads than ranges */
    expect_threads(2, MANY, 2);
    expect_threads(3, MANY, 3);
    pause_ms(20); /* workers sleep now */
    expect_threads(3, MANY, 3);
    expect_threads(8, MANY, 8);
    pause_ms(20);
    meeting m = a_meeting_of(2);
    q35_set_num_threads(2);
    expect(q35_parallel(wake_all, &m, MANY, 1, LEAST_WORK) == Q35_OK && m.done == MANY, "ranges are left");
    expect(m.most <= 2, "more workers join than are asked to");
}

static void check_most_threads(void) {
    expect_threads(MANY, MOST_ROWS, 256);
    expect_threads(INT32_MAX, MOST_ROWS, 256);
    expect_ranges(MOST_ROWS, 1, LEAST_WORK, MOST_THREADS * RANGES_A_THREAD);
}

/* A call in a thread of its own, whose ranges last until it is let go. */
static void *hold(void *context) {
    is_caller = 1;
    expect(q35_parallel(meet, context, MANY, 1, LEAST_WORK) == Q35_OK, "a range that failed, where none did");
    return NULL;
}

static void expect_child(void) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        take_signals(); /* a worker may have forked, who takes none */
        alarm(2 * WAIT_SECONDS);
        expect_threads(2, MANY, 2);
        expect_threads(3, MANY, 3);
        _exit(0);
    }
    int status = 0;
    expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a process that forked has no threads");
}

static void check_two_callers(int may_fork) {
    meeting m = a_meeting_of(2);
    m.is_held = 1;
    q35_set_num_threads(2);
    pthread_t holder;
    expect(pthread_create(&holder, NULL, hold, &m) == 0, "no thread");
    for (int ms = 0, all = 0; !all; ms++) {
        pthread_mutex_lock(&m.lock);
        all = m.inside == 2;
        pthread_mutex_unlock(&m.lock);
        expect(ms < 1000 * WAIT_SECONDS, "no worker joins");
        pause_ms(1);
    }
    expect_threads(1, MANY, 1);
    meeting lonely = a_meeting_of(1);
    q35_set_num_threads(2);
    is_caller = 1;
    expect(q35_parallel(meet, &lonely, MANY, 1, LEAST_WORK) == Q35_OK && lonely.done == MANY, "ranges are left");
    expect(lonely.most == 1, "two calls share a worker");
    if (may_fork) expect_child();
    pthread_mutex_lock(&m.lock);
    m.is_held = 0;
    pthread_cond_broadcast(&m.changed);
    pthread_mutex_unlock(&m.lock);
    pthread_join(holder, NULL);
    expect(m.done == MANY && m.most == 2, "a call that another met is not whole");
    expect_threads(2, MANY, 2);
}

/* A fork began before the first call, and ends while it is under way. */
static atomic_int is_first_fork;
static pthread_t first_caller;

static void *call_first(void *nothing) {
    expect_threads(2, MANY, 2);
    return nothing;
}

static void call_while_forking(void) {
    if (!atomic_exchange(&is_first_fork, 0)) return;
    expect(pthread_create(&first_caller, NULL, call_first, NULL) == 0, "no thread");
    for (int has_begun = 0; !has_begun; pause_us(100)) {
        pthread_mutex_lock(&lock);
        has_begun = workers > 0;
        pthread_mutex_unlock(&lock);
    }
}

static void check_first_call_while_forking(void) {
    atomic_store(&is_first_fork, 1);
    pthread_atfork(call_while_forking, NULL, NULL); /* runs before handlers that were there already */
    expect_child();
    pthread_join(first_caller, NULL);
}

/* A process is begun while a caller sleeps until its worker is done. */
static void check_fork_while_waiting(void) {
    meeting m = a_meeting_of(2);
    m.late_us = 40000, m.meanwhile = expect_child;
    q35_set_num_threads(2);
    is_caller = 1;
    expect(q35_parallel(meet, &m, 2, 1, LEAST_WORK) == Q35_OK && m.done == 2, "the call is over before its ranges are");
}

/* A caller's thread is cancelled while it sleeps so. */
static void check_cancelled_caller(void) {
    meeting m = a_meeting_of(2);
    m.late_us = 60000;
    q35_set_num_threads(2);
    pthread_t caller;
    expect(pthread_create(&caller, NULL, hold, &m) == 0, "no thread");
    pause_ms(30);
    pthread_cancel(caller);
    pthread_join(caller, NULL);
    expect(m.done == MANY, "a caller that is cancelled leaves its workers alone");
    expect_threads(2, MANY, 2);
}

/* Short calls from two threads, of which either may start workers. */
static int add_rows(void *context, int64_t first, int64_t last) {
    atomic_fetch_add((atomic_int *)context, (int)(last - first));
    if (first % 7 == 0) pause_us(300);
    return Q35_OK;
}

static void *call_often(void *nothing) {
    for (int turn = 0; turn < 150; turn++) {
        atomic_int done = 0;
        q35_set_num_threads(9 + turn / 10); /* more workers start */
        q35_parallel(add_rows, &done, 40, 1, LEAST_WORK);
        expect(done == 40, "the call is over before its ranges are");
    }
    return nothing;
}

static void check_many_calls(void) {
    pthread_t other;
    expect(pthread_create(&other, NULL, call_often, NULL) == 0, "no thread");
    call_often(NULL);
    pthread_join(other, NULL);
}

static void check_late_waits(void) {
    atomic_store(&is_slow, 1);
    for (late_us = 0; late_us < 3000; late_us += 200) {
        expect_threads(8, 16, 8);
        pause_us(late_us);
    }
    atomic_store(&is_slow, 0);
}

static void wake_callers(void) { pthread_cond_broadcast(&finished); }

/* Who waits, for work or for others' ranges, soon sleeps. */
static void check_waiting(void) {
    pause_ms(50);
    const double idle = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    pause_ms(300);
    expect(seconds_of(CLOCK_PROCESS_CPUTIME_ID) - idle < 0.1, "workers without work use the processor");
    meeting m = a_meeting_of(2);
    m.late_us = 300000, m.meanwhile = wake_callers; /* for nothing, as may happen */
    q35_set_num_threads(2);
    is_caller = 1;
    const double waiting = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    q35_parallel(meet, &m, 2, 1, LEAST_WORK);
    expect(m.done == 2, "the call is over before its ranges are");
    expect(seconds_of(CLOCK_THREAD_CPUTIME_ID) - waiting < 0.1, "a caller that waits uses the processor");
}

int main(int count, char **arguments) {
    const int may_fork = count < 2 || strcmp(arguments[1], "no-fork") != 0;
    take_signals();
    alarm(60);
    expect_ranges(MANY, 1, LEAST_WORK, 1); /* one thread unless more are asked for */
    if (may_fork) check_first_call_while_forking();
    check_numbers_of_threads();
    check_waiting();
    check_late_waits();
    check_ranges();
    check_many_rows();
    check_statuses(2, 13);
    check_two_callers(may_fork);
    check_many_calls();
    check_cancelled_caller();
    if (may_fork) check_fork_while_waiting();
    check_most_threads();
    check_statuses(256, 64);
    printf("all is shared as it should be\n");
    return 0;
}
