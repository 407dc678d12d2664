#include "bench/gbench.h"

#include <benchmark/benchmark.h>

namespace
{
benchmark::State *state_of(cg_gbench_state *state)
{
    return reinterpret_cast<benchmark::State *>(state);
}
} // namespace

void cg_gbench_init(int *argc, char **argv)
{
    benchmark::Initialize(argc, argv);
}

void cg_gbench_context(const char *key, const char *value)
{
    benchmark::AddCustomContext(key, value);
}

void cg_gbench_add(const char *name, cg_gbench_fn *run, void *arg)
{
    benchmark::RegisterBenchmark(name, [run, arg](benchmark::State &state) {
        run(reinterpret_cast<cg_gbench_state *>(&state), arg);
    })->UseRealTime();
}

int cg_gbench_next(struct cg_gbench_state *state)
{
    return state_of(state)->KeepRunning();
}

void cg_gbench_rate(struct cg_gbench_state *state, const char *name, double per_iteration)
{
    state_of(state)->counters[name] = benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate);
}

void cg_gbench_skip(struct cg_gbench_state *state, const char *why)
{
    state_of(state)->SkipWithError(why);
}

size_t cg_gbench_run(void)
{
    return benchmark::RunSpecifiedBenchmarks();
}
