#include "runtime/curriculum/tfevents.h"

#include <string.h>

/* Field numbers and wire types of tensorflow/core/util/event.proto and framework/summary.proto: (number << 3) | type,
 * type 0: varint, 1: 8 bytes, 2: length and bytes, 5: 4 bytes. */
enum {
    EVENT_WALL_TIME = 1 << 3 | 1,
    EVENT_STEP = 2 << 3 | 0,
    EVENT_FILE_VERSION = 3 << 3 | 2,
    EVENT_SUMMARY = 5 << 3 | 2,
    SUMMARY_VALUE = 1 << 3 | 2,
    VALUE_TAG = 1 << 3 | 2,
    VALUE_SIMPLE = 2 << 3 | 5,
};

struct message {
    unsigned char data[512];
    size_t n;
};

/* CRC-32C (Castagnoli), bit by bit: a few hundred bytes a step. */
static uint32_t crc32c(const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
    }
    return ~c;
}

/* Checksums in the file are rotated and shifted, since data that holds checksums of itself makes weak ones. */
static uint32_t masked(const void *data, size_t n)
{
    uint32_t c = crc32c(data, n);
    return (c >> 15 | c << 17) + 0xa282ead8u;
}

static void put(struct message *m, const void *data, size_t n)
{
    if (n > sizeof m->data - m->n) return;
    memcpy(m->data + m->n, data, n);
    m->n += n;
}

static void put_varint(struct message *m, uint64_t x)
{
    do {
        unsigned char byte = (unsigned char)((x & 0x7f) | (x > 0x7f ? 0x80 : 0));
        put(m, &byte, 1);
        x >>= 7;
    } while (x);
}

static void put_bytes(struct message *m, unsigned field, const void *data, size_t n)
{
    put_varint(m, field);
    put_varint(m, n);
    put(m, data, n);
}

/* Numbers are little-endian in the format, as on the machines that this runs on. */
static void put_event(struct message *m, double wall_time, int64_t step)
{
    put_varint(m, EVENT_WALL_TIME);
    put(m, &wall_time, sizeof wall_time);
    if (step == 0) return; /* as every field that is 0 */
    put_varint(m, EVENT_STEP);
    put_varint(m, (uint64_t)step);
}

static void write_record(FILE *f, const struct message *m)
{
    uint64_t n = m->n;
    uint32_t head = masked(&n, sizeof n), sum = masked(m->data, m->n);
    fwrite(&n, sizeof n, 1, f);
    fwrite(&head, sizeof head, 1, f);
    fwrite(m->data, 1, m->n, f);
    fwrite(&sum, sizeof sum, 1, f);
}

void cg_tfevents_begin(FILE *f, double wall_time)
{
    static const char version[] = "brain.Event:2";
    struct message m = {.n = 0};
    put_event(&m, wall_time, 0);
    put_bytes(&m, EVENT_FILE_VERSION, version, sizeof version - 1);
    write_record(f, &m);
}

void cg_tfevents_scalar(FILE *f, double wall_time, int64_t step, const char *tag, float value)
{
    struct message v = {.n = 0}, summary = {.n = 0}, m = {.n = 0};
    put_bytes(&v, VALUE_TAG, tag, strnlen(tag, 200));
    put_varint(&v, VALUE_SIMPLE);
    put(&v, &value, sizeof value);
    put_bytes(&summary, SUMMARY_VALUE, v.data, v.n);
    put_event(&m, wall_time, step);
    put_bytes(&m, EVENT_SUMMARY, summary.data, summary.n);
    write_record(f, &m);
}
