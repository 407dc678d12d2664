/* What a plan tells people, and the objects of the run. */
#include "runtime/config/bytes.h"
#include "runtime/memory/plan.h"

const char *const cg_memory_part_names[CG_MEMORY_PARTS] = {
    "program and data", "weights", "packed weights", "INT8 weights", "gradient", "moments",
    "reference",        "EWC",     "activations",    "generation"};

struct cg_trainer_options cg_memory_trainer(const struct cg_memory_plan *p, int with_grad)
{
    size_t n = p->choice.micro_tokens;
    return (struct cg_trainer_options){.max_tokens = n,
                                       .max_rows = n,
                                       .all_tokens = p->all_tokens > n ? p->all_tokens : n,
                                       .longest = p->longest,
                                       .with_grad = with_grad,
                                       .recompute = p->choice.recompute};
}

const char *cg_memory_summary(const struct cg_memory_plan *p, size_t budget, char *buf, size_t size)
{
    static const char *const again[] = {"", ", gate and up computed again", ", activations computed again"};
    char peak[CG_BYTES_SHOWN], of[CG_BYTES_SHOWN];
    const struct cg_memory_choice *o = &p->choice;
    snprintf(buf, size, "at most %s of %s: micro-batches of %zu tokens%s, %zu sequences at a time%s%s%s",
             cg_bytes_show(p->peak, peak), cg_bytes_show(budget, of), o->micro_tokens, again[o->recompute],
             o->sequences, o->lends ? ", gradient in place of packed weights" : "",
             o->gives_back ? ", buffers given back" : "", o->ref_unpacked ? ", reference not packed" : "");
    return buf;
}

void cg_memory_print(const struct cg_memory_plan *p, size_t budget, FILE *f)
{
    static const char *const phases[] = {"loading", "evaluating", "generating", "training"};
    char text[512];
    fprintf(f, "memory: %s\n\n%-18s", cg_memory_summary(p, budget, text, sizeof text), "MiB");
    for (int phase = 0; phase < CG_MEMORY_PHASES; phase++) fprintf(f, "%12s", phases[phase]);
    fputc('\n', f);
    size_t sum[CG_MEMORY_PHASES] = {0};
    for (int part = 0; part < CG_MEMORY_PARTS; part++) {
        size_t any = 0;
        for (int phase = 0; phase < CG_MEMORY_PHASES; phase++) any |= p->bytes[phase][part];
        if (!any) continue;
        fprintf(f, "%-18s", cg_memory_part_names[part]);
        for (int phase = 0; phase < CG_MEMORY_PHASES; phase++) {
            fprintf(f, "%12.1f", (double)p->bytes[phase][part] / 0x1p20);
            sum[phase] += p->bytes[phase][part];
        }
        fputc('\n', f);
    }
    fprintf(f, "%-18s", "together");
    for (int phase = 0; phase < CG_MEMORY_PHASES; phase++) fprintf(f, "%12.1f", (double)sum[phase] / 0x1p20);
    fprintf(f, "\n\nThe smallest budget that this run fits into is %.1f MiB.\n", (double)p->least / 0x1p20);
}
