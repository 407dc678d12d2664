/* Run files. libyaml's events are read one by one: they carry the line of everything, which is what a message needs,
 * and nothing nested or aliased is ever built in memory. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/file.h"
#include "common/mem.h"
#include "runtime/config/table.h"

#define FILE_MAX ((size_t)1 << 20)
#define ITEMS_MAX 65 /* one more than a list may have, so that too long a list is seen */

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    const char *path, *text;
    size_t *first_line; /* of each option: the line that gave it, 0 for none */
    struct cg_run_config *c;
};

static size_t line_of(const struct reader *r)
{
    return r->event.start_mark.line + 1;
}

/* libyaml's own complaint. Errors of the bytes (encoding) carry an offset instead of a line. */
static enum cg_status bad_yaml(const struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return cg_fail(CG_ERR_MEMORY, "out of memory");
    size_t line = p->problem_mark.line + 1;
    if (p->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < p->problem_offset && r->text[i]; i++) line += r->text[i] == '\n';
    }
    return cg_fail(CG_ERR_USER, "%s:%zu: not valid YAML: %s%s%s", r->path, line, p->context ? p->context : "",
                   p->context ? ", " : "", p->problem ? p->problem : "cannot be read");
}

static enum cg_status next(struct reader *r)
{
    yaml_event_delete(&r->event);
    return yaml_parser_parse(&r->parser, &r->event) ? CG_OK : bad_yaml(r);
}

static enum cg_status here(const struct reader *r, enum cg_status s, size_t line)
{
    return s == CG_OK || s == CG_ERR_MEMORY ? s : cg_fail_in(s, "%s:%zu", r->path, line);
}

/* The current event as text; an error for what a run file has no use for. `what` names it for the message. */
static enum cg_status scalar(const struct reader *r, const char *what, const char **text)
{
    const char *is = NULL;
    switch (r->event.type) {
    case YAML_SCALAR_EVENT: break;
    case YAML_SEQUENCE_START_EVENT: is = "a list"; break;
    case YAML_MAPPING_START_EVENT: is = "a mapping"; break;
    case YAML_ALIAS_EVENT: is = "an alias (*name)"; break;
    default: is = "missing"; break;
    }
    if (is) return cg_fail(CG_ERR_USER, "%s:%zu: %s is %s", r->path, line_of(r), what, is);
    if (r->event.data.scalar.tag)
        return cg_fail(CG_ERR_USER, "%s:%zu: %s has a tag ('!'); run files have none", r->path, line_of(r), what);
    *text = (const char *)r->event.data.scalar.value;
    if (strlen(*text) != r->event.data.scalar.length)
        return cg_fail(CG_ERR_USER, "%s:%zu: %s contains a zero byte", r->path, line_of(r), what);
    return CG_OK;
}

static enum cg_status read_list(struct reader *r, const struct cg_option *o)
{
    char *items[ITEMS_MAX], what[96];
    size_t n = 0, line = line_of(r);
    snprintf(what, sizeof what, "an item of '%s'", o->name);
    enum cg_status s = next(r);
    while (s == CG_OK && r->event.type != YAML_SEQUENCE_END_EVENT) {
        const char *text;
        if ((s = scalar(r, what, &text)) != CG_OK) break;
        if (n < ITEMS_MAX) {
            items[n] = strdup(text);
            if (!items[n]) s = cg_fail(CG_ERR_MEMORY, "out of memory");
            else n++;
        }
        if (s == CG_OK) s = next(r);
    }
    if (s == CG_OK) {
        struct cg_value v = {.items = (const char *const *)items, .n = n, .is_list = 1};
        s = here(r, cg_option_store(o, &v, r->c), line);
    }
    for (size_t i = 0; i < n; i++) free(items[i]);
    return s;
}

static enum cg_status read_value(struct reader *r, const struct cg_option *o)
{
    char what[80];
    const char *text;
    snprintf(what, sizeof what, "'%s'", o->name);
    if (r->event.type == YAML_SEQUENCE_START_EVENT) return read_list(r, o);
    CG_TRY(scalar(r, what, &text));
    int plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && !*text) return cg_fail(CG_ERR_USER, "%s:%zu: '%s' has no value", r->path, line_of(r), o->name);
    if (plain && (strcmp(text, "~") == 0 || strcmp(text, "null") == 0)) /* None in TRL: the default */
        return here(r, cg_option_store_text(o, o->def, r->c), line_of(r));
    struct cg_value v = {.items = &text, .n = 1, .quoted = !plain};
    return here(r, cg_option_store(o, &v, r->c), line_of(r));
}

static enum cg_status read_pair(struct reader *r)
{
    const char *key;
    CG_TRY(scalar(r, "a key", &key));
    const struct cg_option *o = cg_option_find(key);
    if (!o) return here(r, cg_option_unknown(key), line_of(r));
    size_t *first = &r->first_line[o - cg_options];
    if (*first)
        return cg_fail(CG_ERR_USER, "%s:%zu: '%s' is given a second time; line %zu gives it first", r->path, line_of(r),
                       o->name, *first);
    *first = line_of(r);
    CG_TRY(next(r));
    return read_value(r, o);
}

static enum cg_status read_document(struct reader *r)
{
    CG_TRY(next(r)); /* start of the stream */
    CG_TRY(next(r));
    if (r->event.type == YAML_DOCUMENT_START_EVENT) CG_TRY(next(r));
    int nothing = r->event.type == YAML_STREAM_END_EVENT;
    if (r->event.type == YAML_SCALAR_EVENT) nothing = r->event.data.scalar.length == 0;
    if (nothing) return cg_fail(CG_ERR_USER, "%s is empty; it needs lines such as 'max_steps: 100'", r->path);
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return cg_fail(CG_ERR_USER, "%s:%zu: not a mapping; a run file has lines such as 'max_steps: 100'", r->path,
                       line_of(r));
    CG_TRY(next(r));
    while (r->event.type != YAML_MAPPING_END_EVENT) {
        CG_TRY(read_pair(r));
        CG_TRY(next(r));
    }
    CG_TRY(next(r)); /* end of the document */
    CG_TRY(next(r));
    if (r->event.type != YAML_STREAM_END_EVENT)
        return cg_fail(CG_ERR_USER, "%s:%zu: a second document; a run file holds one", r->path, line_of(r));
    return CG_OK;
}

enum cg_status cg_config_load(const char *path, struct cg_run_config *c)
{
    char *text;
    size_t size;
    struct reader r = {.path = path, .c = c};
    CG_TRY(cg_file_read(path, FILE_MAX, &text, &size));
    r.text = text;
    r.first_line = calloc(cg_option_count, sizeof *r.first_line);
    if (!r.first_line || !yaml_parser_initialize(&r.parser)) {
        free(r.first_line);
        cg_free(text);
        return cg_fail(CG_ERR_MEMORY, "out of memory");
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
    enum cg_status s = read_document(&r);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    free(r.first_line);
    cg_free(text);
    return s;
}
