/*
@HEADING@
Compile the file that includes this without -ffast-math.
*/
#ifndef LSTM_XCHECK_VECTORS_H
#define LSTM_XCHECK_VECTORS_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One layer in one direction; what it does not have is NULL. */
typedef struct { const float *W, *U, *b, *b_r, *peephole, *projection; } lxv_cell;
typedef struct { size_t count; const float *value, *allowed; } lxv_output;
typedef struct {
    const char *name;
    int layers, directions, reverse, batch, steps, input, hidden, output;
    const lxv_cell *cells;
    const float *x, *h0, *c0; /* states are NULL for zeros */
    const int *lengths; /* NULL where all steps are valid */
    lxv_output y, h_n, c_n;
} lxv_case;
@CASES@
/* How many numbers are wrong. NaN and infinity are: their bits are tested, which -ffast-math leaves alone. */
static inline size_t lxv_wrong(const lxv_output *right, const float *got) {
    size_t wrong = 0;
    for (size_t k = 0; k < right->count; k++) {
        uint32_t bits;
        memcpy(&bits, &got[k], sizeof bits);
        float error = got[k] - right->value[k], allowed = right->allowed[k];
        if ((bits & 0x7f800000u) == 0x7f800000u || !(error <= allowed && -error <= allowed)) wrong++;
    }
    return wrong;
}

/* The same for everything that an LSTM returns; 0 means that no mistake of the list was made. */
static inline size_t lxv_check(const lxv_case *right, const float *y, const float *h_n, const float *c_n) {
    return lxv_wrong(&right->y, y) + lxv_wrong(&right->h_n, h_n) + lxv_wrong(&right->c_n, c_n);
}

#endif
