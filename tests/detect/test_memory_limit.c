/* How much memory a process may use, from made-up file systems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "detect/memory.h"
#include "tests/detect/tree.h"

static struct tree tree;

static int setup(void **state)
{
    (void)state;
    return tree_make(&tree);
}

static int teardown(void **state)
{
    (void)state;
    tree_remove(&tree);
    return 0;
}

static void put(const char *path, const char *text)
{
    if (tree_put(&tree, path, text) != 0) fail_msg("cannot write %s%s: %s", tree.root, path, cg_error());
}

static void expect(size_t want, const char *want_from)
{
    char from[64];
    assert_int_equal(cg_memory_available(tree.root, from, sizeof from), want);
    assert_string_equal(from, want_from);
}

static void nothing_says(void **state)
{
    (void)state;
    expect(SIZE_MAX, "");
}

static void available(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree:  100 kB\nMemAvailable:    8000000 kB\n");
    expect((size_t)8000000 * 1024, "memory available");
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.max", "max\n");
    expect((size_t)8000000 * 1024, "memory available");
}

static void v2_least_of_the_path(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemAvailable:    8000000 kB\n");
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.max", "3000000000\n");
    put("/sys/fs/cgroup/a/memory.max", "2000000000\n");
    expect(2000000000, "cgroup v2 memory.max");
}

static void v1_seen_from_inside(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemAvailable:    8000000 kB\n");
    put("/proc/self/cgroup", "5:memory:/docker/1\n4:cpu:/docker/1\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1500000000\n");
    expect(1500000000, "cgroup v1 memory.limit_in_bytes");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    expect((size_t)8000000 * 1024, "memory available");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(nothing_says), TEST(available), TEST(v2_least_of_the_path),
                                       TEST(v1_seen_from_inside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
