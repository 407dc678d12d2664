/* Addition, written plainly or so that a model without pretraining can learn it. */
#ifndef CG_RUNTIME_TASKS_ADDITION_H
#define CG_RUNTIME_TASKS_ADDITION_H

#include <stddef.h>
#include <stdint.h>

void cg_decimal_operand(uint64_t x, int width, char *out, size_t size);
void cg_padded_operand(uint64_t x, int width, char *out, size_t size);
void cg_addition_answer(uint64_t a, uint64_t b, int width, char *out, size_t size);

/* width + 1 digits, least significant first: a carry then moves the way the model writes. */
void cg_addition_reversed_answer(uint64_t a, uint64_t b, int width, char *out, size_t size);

/* 1 when the completion, after white space, begins with the answer and no further digit follows; else 0. */
float cg_number_reward(const char *completion, const char *answer);

#endif
