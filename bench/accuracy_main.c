#include <getopt.h>
#include <math.h>
#include <stdio.h>

#include "bench/accuracy.h"
#include "bench/options.h"
#include "common/file.h"
#include "common/mem.h"

static const char help[] =
    "usage: grpo-bench accuracy [--shapes N] [--plans N] [--seed N] [--threads N] [--measure SECONDS | --rates FILE]\n"
    "                           [--list]\n"
    "\n"
    "Measures what the machine reaches, then times random GEMMs, each with its default plan and with others, and says\n"
    "how well the model of grpo-tune had predicted them: the ratio predicted / measured, and whether the plans of a\n"
    "shape come in the right order.\n"
    "\n"
    "  --shapes N         random shapes (default 100)\n"
    "  --plans N          plans of each (default 6): the default one, the model's first choice,\n"
    "                     others at random\n"
    "  --seed N           of the shapes and plans (default 1)\n"
    "  --threads N        (default: all usable cores)\n"
    "  --measure SECONDS  for the rates (default 2)\n"
    "  --rates FILE       rates that were measured before: lines \"rate ...\"\n"
    "  --list             every plan, with both times\n";

static enum cg_status whole(const char *name, const char *text, double lo, double hi, double *out)
{
    CG_TRY(cg_bench_number(name, text, lo, hi, out));
    return *out == floor(*out) ? CG_OK : cg_fail(CG_ERR_USER, "--%s %.40s: give a whole number", name, text);
}

static enum cg_status parse(int argc, char **argv, struct cg_accuracy *o, int *shown)
{
    static const struct option longs[] = {
        {"shapes", required_argument, NULL, 's'},
        {"plans", required_argument, NULL, 'p'},
        {"seed", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"measure", required_argument, NULL, 'm'},
        {"rates", required_argument, NULL, 'f'},
        {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    double x = 0;
    *o = (struct cg_accuracy){.shapes = 100, .plans = 6, .seed = 1, .seconds = 2};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", longs, NULL)) != -1;) switch (c) {
        case 's':
            CG_TRY(whole("shapes", optarg, 1, 1e6, &x));
            o->shapes = (size_t)x;
            break;
        case 'p':
            CG_TRY(whole("plans", optarg, 1, CG_ACCURACY_PLANS, &x));
            o->plans = (size_t)x;
            break;
        case 'r':
            CG_TRY(whole("seed", optarg, 0, 4294967295.0, &x));
            o->seed = (uint64_t)x;
            break;
        case 't':
            CG_TRY(whole("threads", optarg, 1, 1024, &x));
            o->threads = (int)x;
            break;
        case 'm': CG_TRY(cg_bench_number("measure", optarg, 0.1, 600, &o->seconds)); break;
        case 'f': o->rates = optarg; break;
        case 'l': o->list = 1; break;
        case 'h':
            fputs(help, stdout);
            *shown = 1;
            return CG_OK;
        case ':': return cg_fail(CG_ERR_USER, "%s needs a value; see grpo-bench accuracy --help", argv[optind - 1]);
        default: return cg_fail(CG_ERR_USER, "unknown option %s; see grpo-bench accuracy --help", argv[optind - 1]);
        }
    if (optind < argc)
        return cg_fail(CG_ERR_USER, "unexpected argument \"%s\"; see grpo-bench accuracy --help", argv[optind]);
    return CG_OK;
}

static enum cg_status get_rates(const struct cg_accuracy *o, const struct cg_machine *m, struct cg_rates *r)
{
    char *text = NULL;
    if (!o->rates) return cg_rates_measure(m, o->threads, o->seconds, INFINITY, NULL, r);
    size_t size;
    CG_TRY(cg_file_read(o->rates, 1 << 20, &text, &size));
    enum cg_status st = cg_rates_parse(text, m->arch, r);
    cg_free(text);
    return st == CG_OK ? st : cg_fail_in(st, "%s", o->rates);
}

enum cg_status cg_bench_accuracy(int argc, char **argv)
{
    static struct cg_machine m;
    static struct cg_rates r;
    struct cg_accuracy o;
    int shown = 0;
    CG_TRY(parse(argc, argv, &o, &shown));
    if (shown) return CG_OK;
    CG_TRY(cg_machine_detect(&m));
    if (!o.threads) o.threads = m.cores_usable;
    CG_TRY(get_rates(&o, &m, &r));
    return cg_accuracy_run(&o, &m, &r);
}
