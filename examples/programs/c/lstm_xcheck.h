/* lstm_xcheck.h - lets lstm-xcheck judge an LSTM in C or C++: one file, C99, no dependency.
 *
 * Write the function lx_lstm, and in main: return lx_serve();   Then:
 *     cc -O2 my_lstm.c -lm -o my_lstm && lstm-xcheck verify --adapter mine=cmd:./my_lstm
 * or, without main, as a shared library:
 *     cc -O2 -shared -fPIC -DLX_LIBRARY my_lstm.c -lm -o libmine.so
 *     lstm-xcheck verify --adapter mine=lib:./libmine.so:lx_lstm
 *
 * Before the #include you may define
 *     LX_FLOAT    the type of your numbers, float (default) or double; cases of the other type are refused
 *     LX_LAYOUT   how you want the weights, a row of `lstm-xcheck layouts`; default "torch": W (4 hidden, input),
 *                 U (4 hidden, width), bias, second bias, gates in the order i, f, g, o
 * Print to stderr only: stdout carries the answers. docs/explanation/protocol.md has the protocol.
 */
#ifndef LSTM_XCHECK_H
#define LSTM_XCHECK_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif
#ifndef LX_FLOAT
#define LX_FLOAT float
#endif
#ifndef LX_LAYOUT
#define LX_LAYOUT "torch"
#endif
typedef LX_FLOAT lx_float;

enum { LX_BIDIRECTIONAL = 1, LX_REVERSE = 2, LX_STATES = 4, LX_LENGTHS = 8, LX_BIAS = 16, LX_SECOND_BIAS = 32,
       LX_PEEPHOLES = 64, LX_GRADIENTS = 128, LX_FORGET_FROM_INPUT = 256, LX_INPUT_FROM_FORGET = 512 };
enum { LX_SIGMOID, LX_TANH, LX_RELU, LX_LINEAR, LX_SOFTSIGN, LX_HARD_TANH, LX_TANH_PADE, LX_HARD_SIGMOID };
enum { LX_LOWER_FILLED = 1, LX_GRADIENTS_FILLED = 2 };

typedef struct {
    uint32_t flags, layers;
    uint64_t batch, steps, input, hidden, projection, weight_count;
    double gate_clip, cell_clip, proj_clip;              /* 0: none */
    uint8_t gate_activation, cell_activation, output_activation, unused[5];
    double alpha, beta;                                  /* of gate_activation LX_HARD_SIGMOID */
    uint64_t directions, width, number_bytes;            /* 1 or 2; of h: projection or hidden; 4 or 8 */
    const uint64_t *lengths;                             /* (batch), NULL: all steps are valid */
    const lx_float *weights, *x;                         /* in the layout; (batch, steps, input) */
    const lx_float *h0, *c0;                             /* (layers * directions, batch, width or hidden), NULL: 0 */
    const lx_float *g_y, *g_h, *g_c;                     /* factors of y, h_n, c_n in the loss, NULL: no gradients */
    lx_float *y, *h_n, *c_n;                             /* fill these: (batch, steps, directions * width), as h0, c0 */
    lx_float *lower;                                     /* outputs of the layers below the top one, NULL: there is none */
    lx_float *d_weights, *d_x, *d_h0, *d_c0;             /* gradients, NULL: not asked for */
    uint64_t answered;                                   /* add LX_LOWER_FILLED, LX_GRADIENTS_FILLED */
} lx_case;

#ifdef LX_LIBRARY
#ifdef _WIN32
#define LX_API __declspec(dllexport)
#else
#define LX_API
#endif
#else
#define LX_API static
#endif
#ifdef __cplusplus
extern "C" {
#endif
/* Yours. All outputs are 0 before. NULL when y, h_n and c_n are filled, else why there is no such LSTM. */
LX_API const char *lx_lstm(lx_case *q);
#ifdef LX_LIBRARY
LX_API const char *lx_lstm_layout(void);
LX_API const char *lx_lstm_layout(void) { return LX_LAYOUT; }
LX_API int lx_lstm_number_bytes(void);
LX_API int lx_lstm_number_bytes(void) { return sizeof(lx_float); }
#endif
#ifdef __cplusplus
}
#endif

#ifndef LX_LIBRARY
static int lx_big_endian(void) { const uint16_t one = 1; return !*(const unsigned char *)&one; }
static void lx_swap(void *p, size_t width, size_t count) {       /* to or from little-endian */
    unsigned char *b = (unsigned char *)p, t;
    size_t i;
    if (!lx_big_endian()) return;
    for (; count--; b += width)
        for (i = 0; i < width / 2; i++) { t = b[i]; b[i] = b[width - 1 - i]; b[width - 1 - i] = t; }
}
static uint64_t lx_number(const unsigned char *p, int bytes) {
    uint64_t v = 0;
    while (bytes--) v = v << 8 | p[bytes];
    return v;
}
static void lx_header(int status, int number_bytes, const unsigned char *number, uint64_t size) {
    unsigned char h[32] = {'L', 'X', 'A', 'N', 1, 0}, *p = h + 16;
    float f = 1; double d = 1;
    int i;
    h[6] = (unsigned char)status; h[7] = (unsigned char)number_bytes;
    memcpy(h + 8, number, 8);
    for (i = 0; i < 8; i++) p[i] = (unsigned char)(size >> 8 * i);
    lx_swap(&f, 4, 1); lx_swap(&d, 8, 1);
    if (number_bytes == 4) memcpy(h + 24, &f, 4); else memcpy(h + 24, &d, 8);
    fwrite(h, 1, 32, stdout);
}
static void lx_text(int status, int number_bytes, const unsigned char *number, const char *text) {
    lx_header(status, number_bytes, number, strlen(text));
    fputs(text, stdout);
}
static void lx_send(lx_float *p, size_t count) { lx_swap(p, sizeof *p, count); fwrite(p, sizeof *p, count, stdout); }

static void lx_run(const unsigned char *number, unsigned char *body, uint64_t size) {
    lx_case q;
    const char *why;
    unsigned char head[8] = {0};
    size_t rows, ns, nc, ny, nl, nx, nw, total;
    lx_float *in, *out, *end;
    memset(&q, 0, sizeof q);
    lx_swap(body, 4, 2); lx_swap(body + 8, 8, 9); lx_swap(body + 88, 8, 2);
    memcpy(&q, body, 104);
    q.directions = q.flags & LX_BIDIRECTIONAL ? 2 : 1;
    q.width = q.projection ? q.projection : q.hidden;
    q.number_bytes = sizeof(lx_float);
    rows = (size_t)(q.layers * q.directions * q.batch);
    ns = rows * q.width; nc = rows * q.hidden; nw = (size_t)q.weight_count;
    ny = (size_t)(q.batch * q.steps * q.directions * q.width); nl = ny * (q.layers - 1);
    nx = (size_t)(q.batch * q.steps * q.input);
    body += 104;
    if (q.flags & LX_LENGTHS) { lx_swap(body, 8, q.batch); q.lengths = (const uint64_t *)(void *)body; body += 8 * q.batch; }
    in = (lx_float *)(void *)body;                       /* malloc aligns it, and all before it is a multiple of 8 */
    q.weights = in; q.x = in + nw; end = in + nw + nx;
    if (q.flags & LX_STATES) { q.h0 = end; q.c0 = end + ns; end += ns + nc; }
    if (q.flags & LX_GRADIENTS) { q.g_y = end; q.g_h = end + ny; q.g_c = end + ny + ns; end += ny + ns + nc; }
    if ((unsigned char *)end != body - 104 - (q.lengths ? 8 * q.batch : 0) + size) {
        lx_text(2, sizeof(lx_float), number, "the sizes of the request do not fit");
        return;
    }
    lx_swap(in, sizeof *in, (size_t)(end - in));
    total = ny + ns + nc + nl + (q.g_y ? nw + nx + ns + nc : 0);
    out = (lx_float *)calloc(total + 1, sizeof *out);
    if (!out) { lx_text(2, sizeof(lx_float), number, "out of memory"); return; }
    q.y = out; q.h_n = out + ny; q.c_n = q.h_n + ns;
    if (nl) q.lower = q.c_n + nc;
    if (q.g_y) { q.d_weights = q.c_n + nc + nl; q.d_x = q.d_weights + nw; q.d_h0 = q.d_x + nx; q.d_c0 = q.d_h0 + ns; }
    why = lx_lstm(&q);
    if (why) lx_text(1, sizeof(lx_float), number, why);
    else {
        int lower = q.answered & LX_LOWER_FILLED && nl, gradients = q.answered & LX_GRADIENTS_FILLED && q.g_y;
        size_t first = ny + ns + nc, last = total - first - nl;
        head[0] = (unsigned char)((lower ? LX_LOWER_FILLED : 0) | (gradients ? LX_GRADIENTS_FILLED : 0));
        lx_header(0, sizeof *out, number, 8 + sizeof *out * (first + (lower ? nl : 0) + (gradients ? last : 0)));
        fwrite(head, 1, 8, stdout);
        lx_send(out, first);
        if (lower) lx_send(out + first, nl);
        if (gradients) lx_send(out + first + nl, last);
    }
    free(out);
}

static int lx_serve(void) {
    unsigned char head[32], *body;
    uint64_t size;
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY); _setmode(_fileno(stdout), _O_BINARY);
#endif
    while (fread(head, 1, 32, stdin) == 32) {
        if (memcmp(head, "LXRQ\1\0", 6)) return fprintf(stderr, "this is no request of version 1\n"), 2;
        size = lx_number(head + 16, 8);
        body = (unsigned char *)malloc((size_t)size + 8);
        if (!body || fread(body, 1, (size_t)size, stdin) != size) return fprintf(stderr, "the request ended early\n"), 2;
        if (head[6] == 0) lx_text(0, head[7], head + 8, "layout " LX_LAYOUT);
        else if (head[7] != sizeof(lx_float)) lx_text(1, head[7], head + 8, sizeof(lx_float) == 4 ? "precision: computes in float32" : "precision: computes in float64");
        else lx_run(head + 8, body, size);
        fflush(stdout);
        free(body);
    }
    return 0;
}
#endif
#endif
