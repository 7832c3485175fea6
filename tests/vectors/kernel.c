/* An LSTM of one layer and direction, as somebody would write it for a small device. */
#include "lstm_xcheck_vectors.h"
#include <math.h>
#include <stdio.h>

#ifndef SUM
#define SUM float
#endif
#ifdef SIGMOID_BY_TANH
#define SIGMOID(v) (0.5f * tanhf(0.5f * (v)) + 0.5f)
#else
#define SIGMOID(v) (1.0f / (1.0f + expf(-(v))))
#endif
#ifdef GATES_EXCHANGED
enum { I, F, O, G };
#else
enum { I, F, G, O };
#endif

static void run(const lxv_case *q, float *y, float *h_n, float *c_n) {
    const lxv_cell *cell = q->cells;
    int H = q->hidden, X = q->input;
    for (int row = 0; row < q->batch; row++) {
        float *h = h_n + row * H, *c = c_n + row * H, z[256];
        for (int k = 0; k < H; k++) {
            h[k] = q->h0 ? q->h0[row * H + k] : 0.0f;
            c[k] = q->c0 ? q->c0[row * H + k] : 0.0f;
        }
        int steps = q->lengths ? q->lengths[row] : q->steps;
        for (int t = 0; t < q->steps; t++) {
            float *out = y + (row * q->steps + t) * H;
            if (t >= steps) {
                memset(out, 0, sizeof(float) * (size_t)H);
                continue;
            }
            const float *x = q->x + (row * q->steps + t) * X;
            for (int k = 0; k < 4 * H; k++) {
                SUM sum = (SUM)(cell->b ? cell->b[k] : 0.0f) + (SUM)(cell->b_r ? cell->b_r[k] : 0.0f);
                for (int j = 0; j < X; j++) sum += (SUM)cell->W[k * X + j] * x[j];
                for (int j = 0; j < H; j++) sum += (SUM)cell->U[k * H + j] * h[j];
                z[k] = (float)sum;
            }
            for (int k = 0; k < H; k++) {
                c[k] = SIGMOID(z[F * H + k]) * c[k] + SIGMOID(z[I * H + k]) * tanhf(z[G * H + k]);
                h[k] = SIGMOID(z[O * H + k]) * tanhf(c[k]);
                out[k] = h[k];
            }
        }
    }
#ifdef NOT_A_NUMBER
    y[0] = nanf("");
#endif
}

int main(void) {
    for (int n = 0; n < LXV_CASES; n++) {
        static float y[4096], h_n[256], c_n[256];
        run(&lxv_cases[n], y, h_n, c_n);
        printf("%zu\n", lxv_check(&lxv_cases[n], y, h_n, c_n));
    }
    return 0;
}
