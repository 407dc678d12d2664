/* Machines recorded and replayed: this one, and made-up ones with odd topologies or groups. */
#include "tests/detect/records.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"

static void replays_this_machine(void **state)
{
    (void)state;
    static struct cg_machine live, replayed;
    assert_int_equal(cg_machine_detect(&live), CG_OK);
    if (cg_machine_replay(saved, &replayed) != CG_OK) fail_msg("%s", cg_error());
    assert_memory_equal(&live, &replayed, sizeof live);
    assert_int_equal(left_behind(), 0);
}

static void environment_is_as_before(void **state)
{
    (void)state;
    static struct cg_machine m;
    unsetenv("HWLOC_FSROOT");
    unsetenv("HWLOC_HIDE_ERRORS");
    unsetenv("HWLOC_THISSYSTEM");
    setenv("HWLOC_COMPONENTS", "", 1);
    assert_int_equal(cg_machine_replay(saved, &m), CG_OK);
    assert_null(getenv("HWLOC_FSROOT"));
    assert_null(getenv("HWLOC_HIDE_ERRORS"));
    assert_null(getenv("HWLOC_THISSYSTEM"));
    assert_string_equal(getenv("HWLOC_COMPONENTS"), "");
    unsetenv("HWLOC_COMPONENTS");
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    assert_null(getenv("HWLOC_HIDE_ERRORS"));
}

static void keeps_rates(void **state)
{
    (void)state;
    static struct cg_machine m;
    struct cg_record *r;
    assert_int_equal(cg_record_load(saved, &r), CG_OK);
    assert_string_equal(cg_record_rates(r), "rate memory 12.5\nrate fma \\x 3\n");
    cg_record_free(r);
    assert_int_equal(parse(MAGIC "arch x86-64\nrate a\r\nrate b\nend", &r), CG_OK);
    assert_string_equal(cg_record_rates(r), "rate a\nrate b\n");
    cg_record_free(r);
    assert_int_equal(cg_record_save(saved, &m, "rate a\nbate b\n"), CG_ERR_INTERNAL);
}

/* A pipe or a device is not replaced by a file. */
static void writes_only_files(void **state)
{
    (void)state;
    static struct cg_machine m;
    struct stat st;
    char path[1200];
    snprintf(path, sizeof path, "%s/pipe", tree.root);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(cg_machine_detect(&m), CG_OK);
    assert_int_equal(cg_record_save(path, &m, ""), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "no regular file"));
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(cg_record_save(tree.root, &m, ""), CG_ERR_USER);
}

static void names_nobody(void **state)
{
    (void)state;
    char *text, host[256] = "";
    size_t size;
    assert_int_equal(cg_file_read(saved, CG_RECORD_MAX, &text, &size), CG_OK);
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    if (strlen(host) > 4) assert_null(strstr(text, host));
    assert_null(strcasestr(text, "serial"));
    assert_null(strstr(text, tree.root));
    cg_free(text);
}

/* Without /sys a machine has its CPUs and nothing more. */
static void no_sysfs(void **state)
{
    (void)state;
    static struct cg_machine m;
    struct cg_record *r;
    assert_int_equal(parse(MAGIC "arch AArch64\ncpus 6\naffinity 2-4\nhwcap 2\nend\n", &r), CG_OK);
    if (cg_record_machine(r, NULL, &m) != CG_OK) fail_msg("%s", cg_error());
    cg_record_free(r);
    assert_int_equal(m.threads, 6);
    assert_int_equal(m.cores, 6);
    assert_int_equal(m.affinity, 3);
    assert_int_equal(m.cores_usable, 3);
    assert_int_equal(m.cpus[0].os_index, 2);
    assert_int_equal(m.isa, CG_ISA_BIT(CG_ISA_NEON));
}

#define SYS "file /sys/devices/system/"
#define CORE(c, mask) SYS "cpu/cpu" #c "/topology/core_cpus " mask "\n" SYS "cpu/cpu" #c "/topology/core_id " #c "\n"
#define FOUR SYS "cpu/possible 0-3\n" CORE(0, "1") CORE(1, "2") CORE(2, "4") CORE(3, "8")

static void replay(const char *lines, struct cg_machine *m)
{
    struct cg_record *r;
    char text[4096];
    snprintf(text, sizeof text, MAGIC "arch AArch64\ncpus 4\nhwcap 2\n%send\n", lines);
    if (parse(text, &r) != CG_OK || cg_record_machine(r, NULL, m) != CG_OK) fail_msg("%s", cg_error());
    cg_record_free(r);
}

static void order(const struct cg_machine *m, int n, const int *cpus)
{
    assert_int_equal(m->n_cpus, n);
    for (int i = 0; i < n; i++) assert_int_equal(m->cpus[i].os_index, cpus[i]);
}

/* CPUs that are off, nodes with interleaved CPUs, and a node that has only memory. */
static void odd_topologies(void **state)
{
    (void)state;
    static struct cg_machine m;
    replay("affinity 0-3\n" SYS "cpu/online 0,2-3\n" FOUR, &m);
    assert_int_equal(m.threads, 3);
    assert_int_equal(m.cores_usable, 3);
    assert_int_equal(m.n_nodes, 1);
    order(&m, 3, (int[]){0, 2, 3});

    replay(SYS "cpu/online 0-3\n" FOUR SYS "node/online 0-2\n" SYS "node/node0/cpumap a\n" SYS
               "node/node1/cpumap 0\n" SYS "node/node2/cpumap 5\n",
           &m);
    assert_int_equal(m.n_nodes, 2);
    assert_int_equal(m.nodes[0].threads, 2);
    assert_int_equal(m.nodes[1].threads, 2);
    assert_true(m.nodes[0].os_index != 1 && m.nodes[1].os_index != 1);
    assert_int_equal(m.cpus[0].node, m.cpus[1].node);
    assert_int_equal(m.cpus[2].node, m.cpus[3].node);
    assert_int_equal(m.cpus[0].os_index + m.cpus[1].os_index, m.nodes[m.cpus[0].node].os_index == 0 ? 4 : 2);

    /* favoured cores are of the kind of their neighbours; slow ones come last */
    replay(SYS "cpu/online 0-3\n" FOUR SYS "cpu/cpu0/cpu_capacity 400\n" SYS "cpu/cpu1/cpu_capacity 1024\n" SYS
               "cpu/cpu2/cpu_capacity 990\n" SYS "cpu/cpu3/cpu_capacity 980\n",
           &m);
    assert_int_equal(m.n_kinds, 2);
    assert_int_equal(m.kinds[0].cores, 3);
    assert_true(m.kinds[0].speed == 1 && m.kinds[1].speed > 0.38 && m.kinds[1].speed < 0.4);
    assert_int_equal(m.cores_usable, 3);
    order(&m, 4, (int[]){1, 2, 3, 0});
    replay("affinity 0\n" SYS "cpu/online 0-3\n" FOUR SYS "cpu/cpu0/cpu_capacity 400\n" SYS
           "cpu/cpu1/cpu_capacity 1024\n",
           &m);
    assert_int_equal(m.cores_usable, 1);
    order(&m, 1, (int[]){0});
}

/* ---- Control groups without their names -------------------------------------------------------------------------- */

static struct tree copy;

static void put_copy(void *ctx, const char *path, const char *text)
{
    (void)ctx;
    if (strstr(path, "ada") || strstr(text, "ada")) fail_msg("a name is recorded: %s: %s", path, text);
    assert_int_equal(cg_record_kind(path), CG_FILE_TEXT);
    assert_int_equal(tree_put(&copy, path, text), 0);
}

static void groups_without_names(void **state)
{
    (void)state;
    static const struct {
        const char *groups, *mounts, *path, *text, *path2, *text2;
        double quota;
    } cases[] = {
        {"0::/ada.slice/job-ada\n", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
         "/sys/fs/cgroup/ada.slice/cpu.max", "150000 100000\n", "/sys/fs/cgroup/ada.slice/job-ada/cpu.max",
         "max 100000\n", 1.5},
        {"0::/docker/ada/in\n", "30 23 0:26 /docker/ada /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
         "/sys/fs/cgroup/cpu.max", "200000 100000\n", "/sys/fs/cgroup/in/cpu.max", "300000 100000\n", 2},
        {"0::/../../ada\n", "30 23 0:26 / /home/ada/groups rw - cgroup2 cgroup2 rw\n", "/home/ada/groups/cpu.max",
         "400000 100000\n", "/home/ada/groups/ada/cpu.max", "100000 100000\n", 4},
        {"0::/a\n", "30 23 0:26 /ada /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/cpu.max",
         "500000 100000\n", "/sys/fs/cgroup/a/cpu.max", "100000 100000\n", 5},
        {"4:cpu,cpuacct:/ada\n1:name=ada:/ada\n",
         "33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n1 1 0:1 / /home/ada rw - ext4 x "
         "rw\n",
         "/sys/fs/cgroup/cpu,cpuacct/ada/cpu.cfs_quota_us", "250000\n",
         "/sys/fs/cgroup/cpu,cpuacct/ada/cpu.cfs_period_us", "100000\n", 2.5},
        {"0::/ada\n", "", "/sys/fs/cgroup/ada/cpu.max", "300000 100000\n", "/x", "", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tree made;
        double quota;
        char from[64];
        assert_int_equal(tree_make(&made) | tree_make(&copy), 0);
        tree_put(&made, "/proc/self/cgroup", cases[i].groups);
        tree_put(&made, "/proc/self/mountinfo", cases[i].mounts);
        tree_put(&made, cases[i].path, cases[i].text);
        tree_put(&made, cases[i].path2, cases[i].text2);
        cg_cgroup_record(made.root, put_copy, NULL);
        for (int k = 0; k < 2; k++) {
            cg_cgroup_quota(k ? copy.root : made.root, &quota, from, sizeof from);
            if (quota != cases[i].quota) fail_msg("case %zu: quota %g of the %s", i, quota, k ? "record" : "system");
        }
        tree_remove(&made);
        tree_remove(&copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replays_this_machine), cmocka_unit_test(environment_is_as_before),
        cmocka_unit_test(keeps_rates),          cmocka_unit_test(writes_only_files),
        cmocka_unit_test(names_nobody),         cmocka_unit_test(no_sysfs),
        cmocka_unit_test(odd_topologies),       cmocka_unit_test(groups_without_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
