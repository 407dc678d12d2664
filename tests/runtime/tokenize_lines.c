/* Reads JSON strings, one a line, and prints the ids of each as a JSON array: what scripts/make-tokenizer-goldens
 * compares with the reference.   Usage: tokenize-lines MODEL [SAVE_DIR] < strings.jsonl */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/tokenizer/tokenizer.h"

static enum cg_status print_ids(const struct cg_tokenizer *t, const char *line, size_t n, size_t number)
{
    json_error_t e;
    json_t *s = json_loadb(line, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!json_is_string(s)) {
        json_decref(s);
        return cg_fail(CG_ERR_USER, "line %zu is not a JSON string", number);
    }
    int32_t *ids;
    size_t count;
    enum cg_status st = cg_tokenizer_encode(t, json_string_value(s), json_string_length(s), &ids, &count);
    json_decref(s);
    CG_TRY(st);
    putchar('[');
    for (size_t i = 0; i < count; i++) printf("%s%ld", i ? ", " : "", (long)ids[i]);
    puts("]");
    free(ids);
    return CG_OK;
}

int main(int argc, char **argv)
{
    struct cg_tokenizer *t = NULL;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: tokenize-lines MODEL [SAVE_DIR] < strings.jsonl\n");
        return 2;
    }
    enum cg_status s = cg_tokenizer_load(argv[1], &t);
    if (s == CG_OK && argc == 3) s = cg_tokenizer_save(t, argv[2]);
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t n;
    while (s == CG_OK && (n = getline(&line, &cap, stdin)) > 0) s = print_ids(t, line, (size_t)n, ++number);
    if (s != CG_OK) fprintf(stderr, "%s\n", cg_error());
    free(line);
    cg_tokenizer_free(t);
    return cg_exit_code(s);
}
