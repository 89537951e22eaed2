// Time for every row, by Google Benchmark. The only C++ of the house, and thin: all that is
// measured is C behind micro.h.
#include <benchmark/benchmark.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "bench/micro/micro.h"

// Runs between two questions whether that was enough: the question takes a nanosecond.
static const int BATCH = 16;

// Cycles of the counter that does not change its rate; 0 where there is none.
static uint64_t tsc_read()
{
#if defined(__x86_64__)
    return __rdtsc();
#else
    return 0;
#endif
}

static void row_measure(benchmark::State &state, const struct hsr_micro_row *row)
{
    using benchmark::Counter;
    uint32_t operations = row->operations > 0 ? row->operations : 1;
    void *ctx = nullptr;
    const char *why = row->open(row, &ctx);

    if (why != nullptr) {
        state.SkipWithError(why);
        return;
    }
    uint64_t before = tsc_read();
    while (state.KeepRunningBatch(BATCH))
        row->run(ctx, BATCH);
    uint64_t cycles = tsc_read() - before;
    row->close(ctx);

    double runs = static_cast<double>(state.iterations());
    double bytes = runs * static_cast<double>(row->bytes);
    state.counters["op"] = Counter(runs * operations, Counter::kIsRate | Counter::kInvert);
    if (row->bytes == 0)
        return;
    state.SetBytesProcessed(static_cast<int64_t>(bytes));
    if (cycles > 0)
        state.counters["bytes/tsc"] = bytes / static_cast<double>(cycles);
}

int main(int argc, char **argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    const struct hsr_micro_row *row;
    for (size_t i = 0; (row = hsr_micro_row(i)) != nullptr; i++)
        benchmark::RegisterBenchmark(row->name, row_measure, row)->UseRealTime();
    if (benchmark::RunSpecifiedBenchmarks() == 0)
        return 2; // a filter that matches nothing
    benchmark::Shutdown();
    return 0;
}
