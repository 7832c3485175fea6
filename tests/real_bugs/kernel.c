/* One LSTM with the mistakes of public reports, each behind a name: kernel NAME. Without a name it is right. */
#include <math.h>
#include "lstm_xcheck.h"

static const char *bug = "";
static int is(const char *name) { return !strcmp(bug, name); }

static float relu(float v) { return v > 0 ? v : 0; }
static float sigmoid(float v) { return 1 / (1 + expf(-v)); }
static float gate(float v) {
    if (!is("hard-gates")) return sigmoid(v);
    v = 0.2f * v + 0.5f;
    return v < 0 ? 0 : v > 1 ? 1 : v;
}
static float clipped(float v, double bound) {
    float b = (float)bound;
    return b == 0 || is("clips-left-out") ? v : v > b ? b : v < -b ? -b : v;
}

/* Which block of the weights is taken for i, f, g and o. */
static const char *order(int of_bias) {
    if (is("i-f-o-g")) return "\0\1\3\2";
    if (is("i-g-f-o")) return "\0\2\1\3";
    if (is("f-i-g-o")) return "\1\0\2\3";
    if (is("c-f-o-i")) return "\3\1\0\2";
    if (is("bias-order") && of_bias) return "\0\2\1\3";
    return "\0\1\2\3";
}

static float saved[7][1 << 14];                     /* i, f, g, o, c before, h before, c of each row, step and unit */

/* Back-propagation through one layer and direction, from what the forward pass saved. */
static void back_propagate(lx_case *q, int bias, int second) {
    size_t H = q->hidden, T = q->steps, X = q->input, n, t, j, k, own;
    const float *W = q->weights, *U = W + 4 * H * X;
    float *dW = q->d_weights, *dU = dW + 4 * H * X, *db = dU + 4 * H * H, *dr = db + 4 * H, dz[4][256], scale = is("four-times") ? 4 : 1;
    size_t count = (size_t)(q->d_c0 + q->batch * H - q->d_weights);
    for (n = 0; n < q->batch; n++) {
        float *dh = q->d_h0 + n * H, *dc = q->d_c0 + n * H;
        memcpy(dh, q->g_h + n * H, H * sizeof *dh);
        memcpy(dc, q->g_c + n * H, H * sizeof *dc);
        for (t = T; t-- > 0;) {
            const float *x = q->x + (n * T + t) * X;
            float *dx = q->d_x + (n * T + t) * X;
            for (k = 0; k < H; k++) {
                size_t at = (n * T + t) * H + k;
                float i = saved[0][at], f = saved[1][at], g = saved[2][at], o = saved[3][at], tau = tanhf(saved[6][at]);
                float d = dh[k] + q->g_y[at], of_tau = is("tanh-twice") ? tanhf(tau) : tau, of_g = is("tanh-twice") ? tanhf(g) : g;
                float all = d * o * (1 - of_tau * of_tau) + dc[k];
                dz[is("backward-f-i-g-o") ? 1 : 0][k] = all * (is("input-by-i") ? i : g) * i * (1 - i);
                dz[is("backward-f-i-g-o") ? 0 : 1][k] = all * saved[4][at] * f * (1 - f);
                dz[2][k] = all * i * (1 - of_g * of_g);
                dz[3][k] = d * tau * o * (1 - o);
                dc[k] = all * f;
            }
            memset(dh, 0, H * sizeof *dh);
            for (k = 0; k < 4 * H; k++) {
                float d = dz[own = k / H][k % H];
                for (j = 0; j < X; j++) { dW[k * X + j] += d * x[j]; dx[j] += d * W[k * X + j]; }
                for (j = 0; j < H; j++) {
                    size_t at = (n * T + t) * H + j;
                    dU[k * H + j] += d * (is("u-with-new-h") ? q->y[at] : saved[5][at]);
                    dh[j] += d * U[k * H + j];
                }
                if (bias) db[k] += d;
                if (second) dr[k] += d;
            }
        }
    }
    for (k = 0; k < count; k++) q->d_weights[k] *= scale;
    q->answered |= LX_GRADIENTS_FILLED;
}

LX_API const char *lx_lstm(lx_case *q) {
    static float kept[1 << 16];
    size_t H = q->hidden, B = q->batch, T = q->steps, D = q->directions, in = q->input, rows = q->layers * D * B * H;
    size_t d, n, s, k, j;
    uint32_t layer;
    int bias = (q->flags & LX_BIAS) != 0, second = (q->flags & LX_SECOND_BIAS) != 0;
    float *swap;
    const float *w = q->weights, *x = q->x;
    float z[4][256];
    if (q->g_y && (q->layers * D > 1 || q->lengths || q->flags & ~(LX_STATES | LX_BIAS | LX_SECOND_BIAS | LX_GRADIENTS)
                   || q->gate_clip || q->cell_clip || q->cell_activation != LX_TANH || B * T * H > 1 << 14))
        return "gradients of one plain layer only";
    if (q->flags & LX_PEEPHOLES || q->projection || H > 256 || 2 * rows > sizeof kept / sizeof *kept)
        return "this is too much for a small kernel";
    if (q->h0 && !is("states-wiped")) memcpy(q->h_n, q->h0, rows * sizeof *kept);
    if (q->c0 && !is("states-wiped") && !is("no-initial-c")) memcpy(q->c_n, q->c0, rows * sizeof *kept);
    if (q->h0 && is("c-before-h")) { memcpy(q->h_n, q->c0, rows * sizeof *kept); memcpy(q->c_n, q->h0, rows * sizeof *kept); }
    if (!q->h0 && is("never-reset")) { memcpy(q->h_n, kept, rows * sizeof *kept); memcpy(q->c_n, kept + rows, rows * sizeof *kept); }
    for (layer = 0; layer < q->layers; layer++) {
        float *y = layer + 1 == q->layers ? q->y : q->lower + layer * B * T * D * H;
        for (d = 0; d < D; d++) {
            const float *W = w, *U = W + 4 * H * in, *b = U + 4 * H * H, *r = b + 4 * H;
            int back = (d == 1 || (q->flags & LX_REVERSE)) && !is("never-backward");
            w = b + 4 * H * (size_t)(bias + second);
            if (is("one-cell-for-both") && d == 1) { U = W - (w - W) + 4 * H * in; W = W - (w - W); b = U + 4 * H * H; r = b + 4 * H; }
            for (n = 0; n < B; n++) {
                size_t len = q->lengths && !is("lengths-left-out") ? q->lengths[n] : T;
                float *h = q->h_n + ((layer * D + d) * B + n) * H, *c = q->c_n + ((layer * D + d) * B + n) * H;
                for (s = 0; s < len; s++) {
                    size_t t = back ? len - 1 - s : s, to = back && is("not-flipped-back") ? s : t;
                    const float *now;
                    if (back && is("from-the-padded-end")) t = to = T - 1 - s;
                    now = x + (n * T + t) * in;
                    for (k = 0; k < 4 * H; k++) {
                        size_t own = k / H, row = k % H, block = (size_t)order(0)[own] * H + row;
                        size_t of_bias = (size_t)(is("bias-order") ? order(1)[own] : order(0)[own]) * H + row;
                        float a = (bias ? b[of_bias] : 0) + (second && !is("second-bias-left-out") ? r[of_bias] : 0);
                        if (is("biases-averaged") && second) a /= 2;
                        if (own == 1) a += is("forget-bias-added") ? 1 : is("forget-bias-not-folded") ? -1 : 0;
                        for (j = 0; j < in; j++) a += W[block * in + j] * now[j];
                        for (j = 0; j < H; j++) a += h[j] * (is("u-transposed") ? U[(block / H * H + j) * H + row] : U[block * H + j]);
                        z[own][row] = clipped(a, q->gate_clip);
                    }
                    for (k = 0; k < H; k++) {
                        int plain = is("activations-left-out");
                        float i = gate(z[0][k]), f = gate(z[1][k]), v;
                        float g = q->cell_activation == LX_RELU && !plain ? relu(z[2][k]) : tanhf(z[2][k]);
                        if (q->flags & LX_FORGET_FROM_INPUT && !is("coupling-left-out")) f = 1 - i;
                        if (q->g_y) {
                            size_t at = (n * T + t) * H + k;
                            saved[0][at] = i; saved[1][at] = f; saved[2][at] = g; saved[3][at] = gate(z[3][k]);
                            saved[4][at] = c[k]; saved[5][at] = h[k]; saved[6][at] = f * c[k] + i * g;
                        }
                        c[k] = clipped(f * c[k] + i * g, q->cell_clip);
                        v = q->output_activation == LX_RELU && !plain ? relu(c[k]) : tanhf(c[k]);
                        h[k] = gate(z[3][k]) * v;
                    }
                    memcpy(y + ((n * T + to) * D + d) * H, h, H * sizeof *h);
                }
                for (s = len; s < T && is("padding-repeats"); s++) memcpy(y + ((n * T + s) * D + d) * H, h, H * sizeof *h);
            }
        }
        x = y; in = D * H;
    }
    memcpy(kept, q->h_n, rows * sizeof *kept); memcpy(kept + rows, q->c_n, rows * sizeof *kept);
    if (is("states-never-written")) { memset(q->h_n, 0, rows * sizeof *kept); memset(q->c_n, 0, rows * sizeof *kept); }
    if (is("returns-c-h")) { swap = q->h_n; memcpy(kept, swap, rows * sizeof *kept); memcpy(swap, q->c_n, rows * sizeof *kept); memcpy(q->c_n, kept, rows * sizeof *kept); }
    q->answered |= LX_LOWER_FILLED;
    if (q->g_y) back_propagate(q, bias, second);
    return NULL;
}

int main(int count, char **words) {
    if (count > 1) bug = words[1];
    return lx_serve();
}
