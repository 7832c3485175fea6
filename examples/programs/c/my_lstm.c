/* An LSTM in C, as you would write it for a device, and how lstm-xcheck runs it. -DWRONG plants a mistake. */
#include <math.h>
#include "lstm_xcheck.h"

static float sigmoid(float v) { return 1.0f / (1.0f + expf(-v)); }

LX_API const char *lx_lstm(lx_case *q) {
    size_t H = q->hidden, B = q->batch, T = q->steps, D = q->directions, in = q->input, d, n, s, k, j;
    uint32_t layer;
    int bias = (q->flags & LX_BIAS) != 0, second = (q->flags & LX_SECOND_BIAS) != 0;
    const float *w = q->weights, *x = q->x;
    float *z;
    if (q->flags & (LX_PEEPHOLES | LX_GRADIENTS | LX_FORGET_FROM_INPUT | LX_INPUT_FROM_FORGET) || q->projection)
        return "peepholes, gradients, coupled gates and projections are not implemented";
    if (q->gate_clip || q->cell_clip || q->gate_activation != LX_SIGMOID || q->cell_activation != LX_TANH
        || q->output_activation != LX_TANH)
        return "clips and other activations are not implemented";
    z = malloc(4 * H * sizeof *z);
    if (!z) return "out of memory";
    if (q->h0) { memcpy(q->h_n, q->h0, q->layers * D * B * H * sizeof *z); memcpy(q->c_n, q->c0, q->layers * D * B * H * sizeof *z); }
    for (layer = 0; layer < q->layers; layer++) {
        float *y = layer + 1 == q->layers ? q->y : q->lower + layer * B * T * D * H;
        for (d = 0; d < D; d++) {
            const float *W = w, *U = W + 4 * H * in, *b = U + 4 * H * H, *r = b + 4 * H;
            int back = d == 1 || (q->flags & LX_REVERSE);
            w = b + 4 * H * (size_t)(bias + second);
            for (n = 0; n < B; n++) {
                size_t row = (layer * D + d) * B + n, len = q->lengths ? q->lengths[n] : T;
                float *h = q->h_n + row * H, *c = q->c_n + row * H;
                for (s = 0; s < len; s++) {
                    size_t t = back ? len - 1 - s : s;
                    const float *now = x + (n * T + t) * in;
                    for (k = 0; k < 4 * H; k++) {
                        float a = (bias ? b[k] : 0) + (second ? r[k] : 0);
                        for (j = 0; j < in; j++) a += W[k * in + j] * now[j];
                        for (j = 0; j < H; j++) a += U[k * H + j] * h[j];
                        z[k] = a;
                    }
                    for (k = 0; k < H; k++) {
#ifdef WRONG   /* the gates in the order i, f, o, g */
                        float g = tanhf(z[3 * H + k]), o = sigmoid(z[2 * H + k]);
#else
                        float g = tanhf(z[2 * H + k]), o = sigmoid(z[3 * H + k]);
#endif
                        c[k] = sigmoid(z[H + k]) * c[k] + sigmoid(z[k]) * g;
                        h[k] = o * tanhf(c[k]);
                        y[((n * T + t) * D + d) * H + k] = h[k];
                    }
                }
            }
        }
        x = y; in = D * H;
    }
    free(z);
    q->answered |= LX_LOWER_FILLED;
    return NULL;
}

#ifndef LX_LIBRARY
int main(void) { return lx_serve(); }
#endif
