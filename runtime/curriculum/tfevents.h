/* TensorBoard's event files: records (length, checksum, data, checksum) of Event messages in protobuf's wire format. */
#ifndef CG_RUNTIME_CURRICULUM_TFEVENTS_H
#define CG_RUNTIME_CURRICULUM_TFEVENTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The record that a file begins with: the version of the format. wall_time: seconds since 1970. */
void cg_tfevents_begin(FILE *f, double wall_time);

/* One number of one step. Errors stay in the stream (ferror). */
void cg_tfevents_scalar(FILE *f, double wall_time, int64_t step, const char *tag, float value);

#endif
