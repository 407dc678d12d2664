/* The tuning store: the bytes as they are, and as the lines after a right header and before a right checksum. What is
 * taken must be usable, and written and read again be the same.
 *
 * instrument: autotune/fields.c autotune/store.c autotune/store_text.c common/status.c
 * seeds: tests/fuzz/seeds/store/plans */
#include "fuzz.h"

#include <inttypes.h>
#include <xxhash.h>

#include "autotune/store_parts.h"
#include "common/mem.h"

static struct cg_machine machine = {.arch = CG_ARCH_HERE, .isa = ~UINT64_C(0), .cores_usable = 2, .fingerprint = 1};

/* What cg_store_print writes before the first line that is not its own. */
static char *head_of_store(size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    if (!f || cg_store_print(f, &machine, &(struct cg_store){0}) != CG_OK) exit(1);
    fclose(f);
    *size = (size_t)(strstr(text, "checksum ") - text);
    return text;
}

static void check_usable(const struct cg_store *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct cg_tuned *t = &s->e[i];
        if (!t->plan.variant || t->plan.variant->op != t->op || !cg_variant_runs(t->plan.variant, machine.isa))
            finding("a plan cannot run");
        if (t->plan.threads < 1 || t->plan.threads > t->threads) finding("a plan has impossible threads");
        if (cg_store_find(s, t->op, t->form, t->m, t->n, t->k, t->threads) != t) finding("a plan is not found");
    }
}

static void check_written_again(const struct cg_store *s)
{
    char *text = NULL, *again = NULL;
    size_t size = 0, size_again = 0;
    struct cg_store back;
    FILE *f = open_memstream(&text, &size);
    if (!f || cg_store_print(f, &machine, s) != CG_OK) finding("what was read cannot be written");
    fclose(f);
    char *copy = malloc(size + 1);
    memcpy(copy, text, size + 1);
    if (cg_store_parse(copy, size, &machine, &back) != CG_OK) finding("what was written cannot be read");
    f = open_memstream(&again, &size_again);
    if (!f || cg_store_print(f, &machine, &back) != CG_OK) exit(1);
    fclose(f);
    if (size != size_again || memcmp(text, again, size) != 0) finding("read and written it is another store");
    cg_store_free(&back);
    free(copy);
    free(text);
    free(again);
}

static void parse(char *text, size_t size)
{
    struct cg_store s;
    struct cg_store_info info;
    char *copy = malloc(size + 1); /* parsing changes the text; a copy of the very size shows who reads too far */
    memcpy(copy, text, size);
    copy[size] = 0;
    (void)cg_store_peek(copy, size, &info);
    memcpy(copy, text, size);
    enum cg_status st = cg_store_parse(copy, size, &machine, &s);
    expect_one_line(st);
    if (st == CG_OK) {
        check_usable(&s);
        check_written_again(&s);
    } else if (s.e || s.n || s.rates) finding("something is left of a store that was refused");
    cg_store_free(&s);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *head;
    static size_t head_size;
    if (!head) head = head_of_store(&head_size);
    char *text = malloc(head_size + size + 64);
    memcpy(text, data, size);
    parse(text, size);
    memcpy(text, head, head_size);
    memcpy(text + head_size, data, size);
    size += head_size;
    if (text[size - 1] != '\n') text[size++] = '\n';
    size += (size_t)sprintf(text + size, "checksum %016" PRIx64 "\n", (uint64_t)XXH3_64bits(text, size));
    parse(text, size);
    free(text);
    return 0;
}
