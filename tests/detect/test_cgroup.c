/* CPU quotas of control groups, and the other texts of the system, from made-up file systems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "detect/parts.h"
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

/* The quota must be `want`, told from `want_from`. */
static void expect(double want, const char *want_from)
{
    double quota = -1;
    char from[64];
    cg_cgroup_quota(tree.root, &quota, from, sizeof from);
    if (quota != want) fail_msg("quota %g, expected %g", quota, want);
    assert_string_equal(from, want_from);
}

#define V1 "cgroup v1 cpu.cfs_quota_us"
#define V2 "cgroup v2 cpu.max"
#define MOUNT_V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1 "33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"

static void v2_own_group(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/user.slice/job\n");
    put("/proc/self/mountinfo", "23 1 8:1 / / rw - ext4 /dev/sda1 rw\n" MOUNT_V2);
    put("/sys/fs/cgroup/user.slice/job/cpu.max", "150000 100000\n");
    expect(1.5, V2);
    put("/sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
    expect(0, "");
}

static void v2_least_of_the_path(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    expect(3, V2);
    put("/sys/fs/cgroup/a/b/c/cpu.max", "50000 200000\n");
    expect(0.25, V2);
    put("/sys/fs/cgroup/a/bc/cpu.max", "1000 100000\n"); /* a neighbour's */
    expect(0.25, V2);
}

/* In a container without a namespace of its own, the mount shows the host's tree from our group down. */
static void v2_mount_of_a_subtree(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/docker/4711/inner\n");
    put("/proc/self/mountinfo", "30 23 0:26 /docker/4711 /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    expect(2, V2);
    put("/sys/fs/cgroup/inner/cpu.max", "100000 100000\n");
    expect(1, V2);
}

static void v2_path_outside_of_the_namespace(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/../../elsewhere\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    expect(4, V2);
}

static void v2_without_mountinfo(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "250000 100000");
    expect(2.5, V2);
}

static void v1_own_group(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/job\n0::/\n");
    put("/proc/self/mountinfo", "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" MOUNT_V1);
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "150000\n");
    expect(1.5, V1);
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
    expect(0, "");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "50000\n"); /* set above us */
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "350000\n");
    expect(7, V1);
}

static void v1_without_mountinfo(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:cpu:/job\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "300000\n");
    expect(3, V1);
}

/* "cpuset" and "cpuacct" are not "cpu". */
static void v1_other_controllers(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:cpuset:/job\n3:cpuacct:/job\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "300000\n");
    expect(0, "");
}

/* Both at once: the tighter one holds. */
static void hybrid(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:cpu,cpuacct:/job\n0::/job\n");
    put("/proc/self/mountinfo", MOUNT_V1 "34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "300000\n");
    expect(3, V1);
    put("/sys/fs/cgroup/unified/job/cpu.max", "200000 100000\n");
    expect(2, V2);
}

static void mount_point_with_a_blank(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/job\n");
    put("/proc/self/mountinfo", "30 23 0:26 / /odd\\040place rw - cgroup2 cgroup2 rw\n");
    put("/odd place/job/cpu.max", "600000 100000\n");
    expect(6, V2);
}

static void nonsense(void **state)
{
    (void)state;
    expect(0, ""); /* nothing there at all */
    static const char *const quotas[] = {"",         "\n",      "0 100000", "-5 100000", "100000",
                                         "100000 0", "abc def", "nan nan",  "100000 -1", "1e400 nan"};
    put("/proc/self/cgroup", "0::/job\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        put("/sys/fs/cgroup/job/cpu.max", quotas[i]);
        expect(0, "");
    }
    put("/sys/fs/cgroup/job/cpu.max", "200000 100000\n");
    static const char *const groups[] = {"", "\n\n", "0:", "0::", "::", ":", "x", "0:cpu", "4:cpu:/job", "0::job\\"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        put("/proc/self/cgroup", groups[i]);
        expect(0, "");
    }
    put("/proc/self/cgroup", "0::/job\n");
    static const char *const mounts[] = {
        "-\n",           "30 23 0:26 / /sys/fs/cgroup rw -\n",   "30 23 0:26 / /x rw - cgroup2",
        "- - - - - -\n", "30 23 0:26 / /x\\ rw - cgroup2 a b\n", "30 23 0:26 / /x\\04 rw - cgroup2 a b\n"};
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) { /* no crash, under the sanitizers; a limit or none */
        double quota;
        char from[64];
        put("/proc/self/mountinfo", mounts[i]);
        cg_cgroup_quota(tree.root, &quota, from, sizeof from);
        assert_true(quota == 0 || quota == 2);
        assert_int_equal(quota == 0, from[0] == 0);
    }
}

static void long_names(void **state)
{
    (void)state;
    char group[9000] = "0::";
    for (size_t n = 3; n + 2 < sizeof group; n += 2) memcpy(group + n, "/a", 3);
    put("/proc/self/cgroup", group);
    put("/proc/self/mountinfo", MOUNT_V2);
    expect(0, "");
}

static void usable_cores(void **state)
{
    (void)state;
    assert_int_equal(cg_usable_cores(8, 0), 8);
    assert_int_equal(cg_usable_cores(8, 1.5), 1);
    assert_int_equal(cg_usable_cores(8, 0.2), 1);
    assert_int_equal(cg_usable_cores(8, 3), 3);
    assert_int_equal(cg_usable_cores(8, 3.99), 3);
    assert_int_equal(cg_usable_cores(2, 16), 2);
    assert_int_equal(cg_usable_cores(2, 1e300), 2);
    assert_int_equal(cg_usable_cores(0, 0), 1);
}

static void microcode(void **state)
{
    (void)state;
    assert_int_equal(cg_read_microcode(tree.root), 0);
    put("/sys/devices/system/cpu/cpu0/microcode/version", "0xb000040\n");
    assert_int_equal(cg_read_microcode(tree.root), 0xb000040);
    put("/proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: X\nmicrocode\t: 0x2b0005c0\ncpu MHz\t\t: 1\n\nmicrocode : 0x1\n");
    assert_int_equal(cg_read_microcode(tree.root), 0x2b0005c0);
    put("/proc/cpuinfo", "\nmicrocode");
    assert_int_equal(cg_read_microcode(tree.root), 0xb000040);
}

static void midr(void **state)
{
    (void)state;
    assert_int_equal(cg_read_midr(tree.root, 3), 0);
    put("/sys/devices/system/cpu/cpu3/regs/identification/midr_el1", "0x00000000413fd0c1\n");
    assert_int_equal(cg_read_midr(tree.root, 3), 0x413fd0c1);
}

static void hypervisor(void **state)
{
    (void)state;
    char name[32];
    cg_read_hypervisor(tree.root, name, sizeof name);
    assert_string_equal(name, "");
    put("/sys/class/dmi/id/sys_vendor", "QEMU\n");
    cg_read_hypervisor(tree.root, name, sizeof name);
    assert_string_equal(name, "QEMU");
    put("/sys/hypervisor/type", "xen\n");
    cg_read_hypervisor(tree.root, name, sizeof name);
    assert_string_equal(name, "Xen");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(v2_own_group),
        TEST(v2_least_of_the_path),
        TEST(v2_mount_of_a_subtree),
        TEST(v2_path_outside_of_the_namespace),
        TEST(v2_without_mountinfo),
        TEST(v1_own_group),
        TEST(v1_without_mountinfo),
        TEST(v1_other_controllers),
        TEST(hybrid),
        TEST(mount_point_with_a_blank),
        TEST(nonsense),
        TEST(long_names),
        TEST(usable_cores),
        TEST(microcode),
        TEST(midr),
        TEST(hypervisor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
