/* Reads answers from standard input and prints for each how many of its numbers are wrong. */
#include "lstm_xcheck_vectors.h"
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    int32_t number;
    while (fread(&number, sizeof number, 1, stdin) == 1) {
        const lxv_case *right = &lxv_cases[number];
        size_t counts[3] = {right->y.count, right->h_n.count, right->c_n.count};
        float *arrays[3];
        for (int k = 0; k < 3; k++) {
            arrays[k] = malloc(counts[k] * sizeof(float));
            if (fread(arrays[k], sizeof(float), counts[k], stdin) != counts[k]) return 1;
        }
        printf("%zu\n", lxv_check(right, arrays[0], arrays[1], arrays[2]));
        for (int k = 0; k < 3; k++) free(arrays[k]);
    }
    return 0;
}
