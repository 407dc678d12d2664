#include "runtime/optim/schedule.h"

#include <math.h>
#include <string.h>

#include "common/math.h"

#define PI 3.14159265358979323846

static double cosine(double done)
{
    return 0.5 * (1.0 + cg_cos(PI * done));
}

double cg_schedule_at(const struct cg_schedule *s, size_t step)
{
    const char *type = s->type;
    if (strcmp(type, "constant") == 0) return s->lr;
    if (step < s->warmup) return s->lr * (double)step / (double)s->warmup;
    if (strcmp(type, "constant_with_warmup") == 0) return s->lr;
    double after = (double)(step - s->warmup);
    if (strcmp(type, "inverse_sqrt") == 0) {
        double scale = s->warmup ? (double)s->warmup : 10000.0;
        return s->lr / sqrt((after + scale) / scale);
    }
    double done = after / (s->total > s->warmup ? (double)(s->total - s->warmup) : 1.0);
    if (done > 1) done = 1;
    if (strcmp(type, "cosine") == 0) return s->lr * cosine(done);
    if (strcmp(type, "cosine_with_min_lr") == 0) return s->min_lr + (s->lr - s->min_lr) * cosine(done);
    if (strcmp(type, "polynomial") == 0) return s->min_lr + (s->lr - s->min_lr) * cg_pow(1.0 - done, s->power);
    if (strcmp(type, "cosine_with_restarts") == 0) {
        double turn = done * (double)s->cycles;
        return done >= 1 ? 0 : s->lr * cosine(turn - floor(turn));
    }
    return s->lr * (1.0 - done);
}

size_t cg_schedule_warmup(size_t steps, double ratio, size_t total)
{
    return steps ? steps : (size_t)ceil(ratio * (double)total);
}
