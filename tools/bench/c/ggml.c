/* ggml's CPU kernels for one matrix product and for its row quantizers, through ggml's public interface.
 *
 * A product can be run in two ways. `rows`: the public dot product of a row, shared out over threads here. `graph`:
 * a graph of one multiplication on the CPU backend, its weights in a plain buffer or in one of the backend's own
 * layouts, as applications get them. Both convert the float32 activations to eight bits in every call. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

enum { MOST_THREADS = 64 };

static void say_nothing(enum ggml_log_level level, const char *text, void *data) { (void)level, (void)text, (void)data; }

int peer_init(void) {
    ggml_log_set(say_nothing, NULL);
    ggml_cpu_init();
    return GGML_TYPE_COUNT;
}

/* The type of that name, or -1. */
int peer_type(const char *name) {
    for (int type = 0; type < GGML_TYPE_COUNT; type++) {
        const char *found = ggml_type_name((enum ggml_type)type);
        if (found != NULL && strcmp(found, name) == 0) {
            ggml_quantize_init((enum ggml_type)type);
            return type;
        }
    }
    return -1;
}

int64_t peer_row_bytes(int type, int64_t k) { return (int64_t)ggml_row_size((enum ggml_type)type, k); }

int peer_quantize(int type, const float *from, void *to, int64_t rows, int64_t k) {
    const ggml_from_float_t convert = ggml_get_type_traits_cpu((enum ggml_type)type)->from_float;
    const size_t bytes = ggml_row_size((enum ggml_type)type, k);
    if (convert == NULL) return 1;
    for (int64_t row = 0; row < rows; row++) convert(from + row * k, (char *)to + (size_t)row * bytes, k);
    return 0;
}

int peer_dequantize(int type, const void *from, float *to, int64_t rows, int64_t k) {
    const ggml_to_float_t convert = ggml_get_type_traits((enum ggml_type)type)->to_float;
    const size_t bytes = ggml_row_size((enum ggml_type)type, k);
    if (convert == NULL) return 1;
    for (int64_t row = 0; row < rows; row++) convert((const char *)from + (size_t)row * bytes, to + row * k, k);
    return 0;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

typedef struct {
    ggml_vec_dot_t dot;
    const char *weights, *activations;
    size_t weight_bytes, activation_bytes;
    int64_t k, m, n, first, last;
    float *out;
} rows_part;

static void *run_rows(void *argument) {
    const rows_part *p = argument;
    for (int64_t j = p->first; j < p->last; j++)
        for (int64_t i = 0; i < p->m; i++)
            p->dot((int)p->k, p->out + i * p->n + j, 0, p->weights + (size_t)j * p->weight_bytes, 0,
                   p->activations + (size_t)i * p->activation_bytes, 0, 1);
    return NULL;
}

/* Bytes of the m converted rows of activations that peer_rows needs room for. */
int64_t peer_converted_bytes(int type, int64_t m, int64_t k) {
    return m * (int64_t)ggml_row_size(ggml_get_type_traits_cpu((enum ggml_type)type)->vec_dot_type, k);
}

/* out[m][n] = x[m][k] times n quantized rows. */
int peer_rows(int type, const void *weights, const float *x, void *converted, float *out, int64_t m, int64_t k,
              int64_t n, int threads) {
    const struct ggml_type_traits_cpu *of = ggml_get_type_traits_cpu((enum ggml_type)type);
    const ggml_from_float_t convert = ggml_get_type_traits_cpu(of->vec_dot_type)->from_float;
    const size_t activation_bytes = ggml_row_size(of->vec_dot_type, k);
    rows_part parts[MOST_THREADS];
    pthread_t handles[MOST_THREADS];
    int started[MOST_THREADS] = {0};
    if (convert == NULL || threads > MOST_THREADS) return 1;
    for (int64_t i = 0; i < m; i++) convert(x + i * k, (char *)converted + (size_t)i * activation_bytes, k);
    for (int t = 0; t < threads; t++)
        parts[t] = (rows_part){of->vec_dot, weights, converted, ggml_row_size((enum ggml_type)type, k),
                               activation_bytes, k, m, n, n * t / threads, n * (t + 1) / threads, out};
    for (int t = 1; t < threads; t++) started[t] = pthread_create(&handles[t], NULL, run_rows, &parts[t]) == 0;
    for (int t = 0; t < threads; t++)
        if (!started[t]) run_rows(&parts[t]);
    for (int t = 1; t < threads; t++)
        if (started[t]) pthread_join(handles[t], NULL);
    return 0;
}

/* ---- graph ------------------------------------------------------------------------------------------------------- */

typedef struct {
    struct ggml_context *weights_context, *context;
    ggml_backend_t backend;
    ggml_backend_buffer_t weights_buffer, buffer;
    struct ggml_tensor *weights, *x, *out;
    struct ggml_cgraph *graph;
    ggml_threadpool_t pool;
} graph;

/* The CPU backend's own layout of that name, or the plain one for an empty name. */
static ggml_backend_buffer_type_t layout_named(const char *name) {
    if (*name == 0) return ggml_backend_cpu_buffer_type();
    ggml_backend_reg_t registry = ggml_backend_cpu_reg();
    union { /* a pointer to an object becomes one to a function */
        void *object;
        ggml_backend_dev_get_extra_bufts_t function;
    } get = {ggml_backend_reg_get_proc_address(registry, "ggml_backend_dev_get_extra_bufts")};
    if (get.object == NULL) return NULL;
    ggml_backend_buffer_type_t *layouts = get.function(ggml_backend_reg_dev_get(registry, 0));
    for (; layouts != NULL && *layouts != NULL; layouts++)
        if (strcmp(ggml_backend_buft_name(*layouts), name) == 0) return *layouts;
    return NULL;
}

/* As all other contenders have them. */
static void ask_for_huge_pages(ggml_backend_buffer_t buffer) {
#ifdef MADV_HUGEPAGE
    const uintptr_t page = 4096, from = (uintptr_t)ggml_backend_buffer_get_base(buffer);
    const uintptr_t first = (from + page - 1) / page * page;
    const uintptr_t last = (from + ggml_backend_buffer_get_size(buffer)) / page * page;
    if (last > first) madvise((void *)first, last - first, MADV_HUGEPAGE);
#else
    (void)buffer;
#endif
}

void peer_graph_free(void *made) {
    graph *g = made;
    if (g->backend != NULL) ggml_backend_cpu_set_threadpool(g->backend, NULL);
    if (g->pool != NULL) ggml_threadpool_free(g->pool);
    if (g->buffer != NULL) ggml_backend_buffer_free(g->buffer);
    if (g->weights_buffer != NULL) ggml_backend_buffer_free(g->weights_buffer);
    if (g->backend != NULL) ggml_backend_free(g->backend);
    if (g->context != NULL) ggml_free(g->context);
    if (g->weights_context != NULL) ggml_free(g->weights_context);
    free(g);
}

/* A multiplication of x[m][k] by n quantized rows; NULL where that layout has no kernel for the type. */
void *peer_graph_new(int type, const void *rows, const float *x, int64_t m, int64_t k, int64_t n, const char *layout) {
    const ggml_backend_buffer_type_t kind = layout_named(layout);
    graph *g = calloc(1, sizeof *g);
    if (kind == NULL || g == NULL) {
        free(g);
        return NULL;
    }
    const struct ggml_init_params one = {.mem_size = 2 * ggml_tensor_overhead(), .no_alloc = true};
    const struct ggml_init_params rest = {.mem_size = 4 * ggml_tensor_overhead() + ggml_graph_overhead(), .no_alloc = true};
    g->weights_context = ggml_init(one);
    g->context = ggml_init(rest);
    g->backend = ggml_backend_cpu_init();
    g->weights = ggml_new_tensor_2d(g->weights_context, (enum ggml_type)type, k, n);
    g->weights_buffer = ggml_backend_alloc_ctx_tensors_from_buft(g->weights_context, kind);
    if (g->weights_buffer == NULL || (*layout != 0 && g->weights->extra == NULL)) {
        peer_graph_free(g);
        return NULL;
    }
    ggml_backend_buffer_set_usage(g->weights_buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    ask_for_huge_pages(g->weights_buffer);
    g->x = ggml_new_tensor_2d(g->context, GGML_TYPE_F32, k, m);
    g->out = ggml_mul_mat(g->context, g->weights, g->x);
    g->buffer = ggml_backend_alloc_ctx_tensors_from_buft(g->context, ggml_backend_cpu_buffer_type());
    g->graph = ggml_new_graph(g->context);
    ggml_build_forward_expand(g->graph, g->out);
    ggml_backend_tensor_set(g->weights, rows, 0, (size_t)n * ggml_row_size((enum ggml_type)type, k));
    ggml_backend_tensor_set(g->x, x, 0, ggml_nbytes(g->x));
    return g;
}

/* Threads that exist from now on and wait for work: starting them is outside the timed calls. */
int peer_graph_threads(void *made, int threads) {
    graph *g = made;
    struct ggml_threadpool_params how = ggml_threadpool_params_default(threads);
    ggml_backend_cpu_set_threadpool(g->backend, NULL);
    if (g->pool != NULL) ggml_threadpool_free(g->pool);
    g->pool = ggml_threadpool_new(&how);
    ggml_backend_cpu_set_n_threads(g->backend, threads);
    ggml_backend_cpu_set_threadpool(g->backend, g->pool);
    return g->pool == NULL;
}

int peer_graph_run(void *made) {
    graph *g = made;
    return ggml_backend_graph_compute(g->backend, g->graph) != GGML_STATUS_SUCCESS;
}

void peer_graph_out(void *made, float *out) {
    graph *g = made;
    ggml_backend_tensor_get(g->out, out, 0, ggml_nbytes(g->out));
}
