/* Chat templates: how a model writes a conversation as one text. They are programs in Jinja, run here by an interpreter
 * of the part that templates of the ChatML family use, with the settings and results of transformers'
 * apply_chat_template (trim_blocks, lstrip_blocks, json.dumps for tojson). docs/data.md lists what is known; a
 * construct beyond that is an error that names it, never a guess. */
#ifndef CG_RUNTIME_CHAT_CHAT_H
#define CG_RUNTIME_CHAT_CHAT_H

#include <jansson.h>
#include <stddef.h>

#include "common/status.h"

struct cg_chat;

/* Compiles n bytes of a template (UTF-8), which are copied. `name`: for messages. CG_ERR_USER with one line
 * "NAME: line N: what is wrong". */
enum cg_status cg_chat_compile(const char *source, size_t n, const char *name, struct cg_chat **out);
void cg_chat_free(struct cg_chat *c);

/* Renders with the members of the JSON object `vars` as variables (messages, add_generation_prompt, bos_token, ...):
 * *text is fresh memory (free()), 0-terminated, valid UTF-8. CG_ERR_USER for what the template itself refuses
 * (raise_exception), for values it cannot use, and when it runs too long or makes too much text. */
enum cg_status cg_chat_render(const struct cg_chat *c, const json_t *vars, char **text, size_t *n);

#endif
