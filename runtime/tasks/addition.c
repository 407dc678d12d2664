#include "runtime/tasks/addition.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void cg_decimal_operand(uint64_t x, int width, char *out, size_t size)
{
    (void)width;
    snprintf(out, size, "%" PRIu64, x);
}

void cg_padded_operand(uint64_t x, int width, char *out, size_t size)
{
    snprintf(out, size, "%0*" PRIu64, width, x);
}

void cg_addition_answer(uint64_t a, uint64_t b, int width, char *out, size_t size)
{
    (void)width;
    snprintf(out, size, "%" PRIu64, a + b);
}

void cg_addition_reversed_answer(uint64_t a, uint64_t b, int width, char *out, size_t size)
{
    uint64_t sum = a + b;
    size_t n = 0;
    for (; n < (size_t)width + 1 && n + 1 < size; n++) {
        out[n] = (char)('0' + sum % 10);
        sum /= 10;
    }
    out[n] = 0;
}

float cg_number_reward(const char *completion, const char *answer)
{
    while (isspace((unsigned char)*completion)) completion++;
    size_t n = strlen(answer);
    if (strncmp(completion, answer, n) != 0) return 0.0f;
    return isdigit((unsigned char)completion[n]) ? 0.0f : 1.0f;
}
