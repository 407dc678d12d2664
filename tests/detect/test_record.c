/* Records of machines: written, read back, replayed; and files that are none, or only nearly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "detect/record_parts.h"
#include "tests/detect/tree.h"

#define MAGIC "cpu-grpo machine record 1\n"
#define CPU0 "/sys/devices/system/cpu/cpu0/"

static struct tree tree;
static char saved[1100]; /* a record of this machine */

static int setup(void **state)
{
    (void)state;
    static struct cg_machine m;
    if (tree_make(&tree) != 0 || tree_put(&tree, "/tmp/x", "") != 0) return -1;
    snprintf(saved, sizeof saved, "%s/tmp", tree.root);
    setenv("TMPDIR", saved, 1);
    snprintf(saved, sizeof saved, "%s/tmp/x", tree.root);
    unlink(saved);
    snprintf(saved, sizeof saved, "%s/this.record", tree.root);
    if (cg_machine_detect(&m) == CG_OK && cg_record_save(saved, &m, "rate memory 12.5\nrate fma \\x 3\n") == CG_OK)
        return 0;
    fprintf(stderr, "%s\n", cg_error());
    return -1;
}

static int teardown(void **state)
{
    (void)state;
    tree_remove(&tree);
    return 0;
}

/* Files that lie in the folder where records are laid out: none may stay. */
static int left_behind(void)
{
    DIR *d = opendir(getenv("TMPDIR"));
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static enum cg_status parse(const char *text, struct cg_record **r)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return cg_record_parse("x.record", copy, strlen(text), r);
}

static void refused(const char *text, const char *why)
{
    struct cg_record *r;
    enum cg_status st = parse(text, &r);
    if (st != CG_ERR_USER || r || !strstr(cg_error(), why) || strchr(cg_error(), '\n'))
        fail_msg("\"%s\": expected \"%s\", not \"%s\"", text, why, st == CG_OK ? "(accepted)" : cg_error());
}

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

static void reads_what_it_says(void **state)
{
    (void)state;
    struct cg_record *r;
    const char *text = MAGIC "# a comment\n\narch AArch64\ncpus 4\naffinity 0-1,3\nhwcap 0x2\nhwcap2 4002\n"
                             "midr 0x410fd0c1\nsve-bytes 32\nprobe sve signal 4\nprobe sve2 none\nprobe neon ok\n"
                             "probe sve-256 other-length\n"
                             "file /sys/devices/system/cpu/online 0-3\n"
                             "file /proc/cpuinfo\r\n|processor\t: 0\n|\n|back\\134slash\n"
                             "file /odd\\040place/cpu.max max\nfile /proc/self/cgroup\nend\n\n";
    if (parse(text, &r) != CG_OK) fail_msg("%s", cg_error());
    assert_int_equal(r->facts.arch, CG_ARCH_AARCH64);
    assert_int_equal(r->facts.cpus, 4);
    assert_int_equal(r->facts.affinity[0], 0xb);
    assert_int_equal(r->facts.arm.hwcap, 2);
    assert_int_equal(r->facts.arm.hwcap2, 0x4002);
    assert_int_equal(r->facts.arm.midr, 0x410fd0c1);
    assert_int_equal(r->facts.arm.sve_bytes, 32);
    assert_int_equal(r->facts.probe[CG_ISA_SVE], 4);
    assert_int_equal(r->facts.probe[CG_ISA_SVE2], CG_PROBE_NONE);
    assert_int_equal(r->facts.probe[CG_ISA_SVE_256], CG_PROBE_OTHER);
    assert_int_equal(r->facts.probe[CG_ISA_NEON], CG_PROBE_OK);
    static const char *const files[][2] = {{"/odd place/cpu.max", "max\n"},
                                           {"/proc/cpuinfo", "processor\t: 0\n\nback\\slash\n"},
                                           {"/proc/self/cgroup", ""},
                                           {"/sys/devices/system/cpu/online", "0-3\n"}};
    assert_int_equal(r->n_files, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(r->files[i].path, files[i][0]);
        assert_int_equal(r->files[i].size, strlen(files[i][1]));
        assert_memory_equal(r->files[i].text, files[i][1], r->files[i].size);
    }
    cg_record_free(r);
}

static void no_records(void **state)
{
    (void)state;
    refused("", "is no machine record");
    refused("\n", "is no machine record");
    refused("MZ\x90", "is no machine record");
    refused("cpu-grpo plans 1\n", "is no machine record");
    refused("cpu-grpo machine record 2\nend\n", "version 2; this program reads version 1");
    refused(MAGIC, "cut short");
    refused(MAGIC "arch x86-64\n", "cut short");
    refused(MAGIC "end\n", "does not say its arch");
    refused(MAGIC "arch x86-64\nend\nxcr0 7\n", "line 4: nothing belongs behind end");
    refused(MAGIC "arch x86-64\nend x\n", "line 3: nothing belongs behind end");
    refused(MAGIC "arch riscv\nend\n", "line 2: the arch must be");
    refused(MAGIC "arch x86-64\narch x86-64\nend\n", "line 3: this was said before");
    refused(MAGIC "arch x86-64\nhello\nend\n", "line 3: a line of a machine record");
    refused(MAGIC "arch x86-64\n|stray\nend\n", "line 3: a line of a machine record");
    char *binary = calloc(1, 200);
    assert_non_null(binary);
    strcpy(binary, MAGIC);
    struct cg_record *r;
    assert_int_equal(cg_record_parse("x", binary, 199, &r), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "not text"));
    char path[1200];
    snprintf(path, sizeof path, "%s/huge", tree.root);
    assert_int_equal(tree_put(&tree, "/huge", MAGIC), 0);
    assert_int_equal(truncate(path, CG_RECORD_MAX + 1), 0);
    assert_int_equal(cg_record_load(path, &r), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "longer than"));
    assert_null(r);
    assert_int_equal(cg_record_load(tree.root, &r), CG_ERR_IO);
}

static void bad_lines(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
        {"cpus 0", "1 to 1024"},
        {"cpus 1025", "1 to 1024"},
        {"cpus -1", "1 to 1024"},
        {"cpus 4 4", "1 to 1024"},
        {"affinity 3-1", "list of CPUs"},
        {"affinity 0-4000000000", "list of CPUs"},
        {"affinity 1024", "list of CPUs"},
        {"affinity", "list of CPUs"},
        {"affinity 1,", "list of CPUs"},
        {"cpuid 0 0 1 2 3", "six hexadecimal"},
        {"cpuid 0 0 1 2 3 100000000", "six hexadecimal"},
        {"cpuid 0 0 1 2 3 -4", "six hexadecimal"},
        {"cpuid 0 0 1 2 3 4 5", "more than six"},
        {"cpuid 0 0 1 2 3 4\ncpuid 00000000 00 1 2 3 4", "line 4: this leaf is given twice"},
        {"xcr0 g", "hexadecimal"},
        {"xcr0 10000000000000000", "hexadecimal"},
        {"amx-permission EPERM", "errno"},
        {"hwcap", "hexadecimal"},
        {"hwcap2 x", "hexadecimal"},
        {"midr 1ffffffff", "32 bits"},
        {"sve-bytes 17", "multiple of 16"},
        {"sve-bytes 512", "multiple of 16"},
        {"probe avx2", "probe must have a level"},
        {"probe avx3 ok", "no such level"},
        {"probe avx2 maybe", "a probe ends with"},
        {"probe avx2 signal 0", "a probe ends with"},
        {"probe avx2 signal 254", "a probe ends with"},
        {"file", "no file of this path"},
        {"file /proc/cpuinfo \\9", "octal"},
        {"file /proc/cpuinfo\n|\\000", "octal"},
        {"file /proc/cp\\u x", "octal"},
        {"file /sys/devices/system/cpu/online 0-4000000000", "holds something else"},
        {"file /sys/devices/system/cpu/online x", "holds something else"},
        {"file " CPU0 "topology/core_cpus 0xff", "holds something else"},
        {"file " CPU0 "topology/core_cpus", "holds something else"},
        {"file /proc/cpuinfo a\nfile /sys/devices/system/cpu/online 0\nfile /proc/cpuinfo b",
         "line 5: the file of line 3 is given again"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[512];
        snprintf(text, sizeof text, MAGIC "arch x86-64\n%s\nend\n", lines[i][0]);
        refused(text, lines[i][1]);
    }
    char many[CG_CPUID_LEAVES * 20 + 200] = MAGIC "arch x86-64\n";
    for (int i = 0; i <= CG_CPUID_LEAVES; i++) snprintf(many + strlen(many), 20, "cpuid %x 0 1 2 3 4\n", i);
    refused(many, "too many leaves");
    char mask[1000] = MAGIC "arch x86-64\nfile " CPU0 "topology/core_cpus ";
    size_t n = strlen(mask);
    memset(mask + n, 'f', CG_MAX_CPUS / 32 * 9 + 1);
    strcpy(mask + n + CG_MAX_CPUS / 32 * 9 + 1, "\nend\n");
    refused(mask, "holds something else");
}

/* Only files that detection reads are written, and these only where they belong. */
static void hostile_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/etc/passwd",
        "etc/passwd",
        "../../etc/passwd",
        "/../etc/cpu.max",
        "/a/../../etc/cpu.max",
        "/a/./cpu.max",
        "//cpu.max",
        "/a//cpu.max",
        "/cpu.max/",
        "cpu.max",
        "/",
        "/proc/cpuinfo/../../../x",
        "/proc/self/cgroup/",
        "/proc/hwloc-nofile-info",
        "/proc/mounts",
        "/sys/devices/system/cpu/cpu99999999999/topology/core_cpus",
        "/sys/devices/system/cpu/cpu1024/topology/core_cpus",
        "/sys/devices/system/cpu/cpu01/topology/core_cpus",
        "/sys/devices/system/cpu/cpu/topology/core_cpus",
        "/sys/devices/system/cpu/cpu-1/topology/core_cpus",
        "/sys/devices/system/cpu/cpu0/topology/core_cpus/x",
        "/sys/devices/system/cpu/cpu0/../../../../x",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char text[512];
        assert_int_equal(cg_record_kind(paths[i]), CG_FILE_UNKNOWN);
        snprintf(text, sizeof text, MAGIC "arch x86-64\nfile %s 1\nend\n", paths[i]);
        refused(text, "detection reads no file of this path");
    }
    assert_int_equal(cg_record_kind(CPU0 "cache/index3/shared_cpu_map"), CG_FILE_MASK);
    assert_int_equal(cg_record_kind("/sys/devices/system/cpu/cpu1023/cpu_capacity"), CG_FILE_NUMBER);
    assert_int_equal(cg_record_kind("/sys/fs/cgroup/a/cpu.max"), CG_FILE_TEXT);
    assert_int_equal(cg_record_kind("/cpu.max"), CG_FILE_TEXT);

    /* a file where another has its folder, and a mount point outside of the record */
    static struct cg_machine m;
    struct cg_record *r;
    assert_int_equal(parse(MAGIC "arch AArch64\nhwcap 2\nfile /a/cpu.max 1\nfile /a/cpu.max/cpu.max 1\nend\n", &r),
                     CG_OK);
    assert_int_equal(cg_record_machine(r, NULL, &m), CG_ERR_IO);
    assert_non_null(strstr(cg_error(), "/a/cpu.max"));
    cg_record_free(r);
    assert_int_equal(parse(MAGIC
                           "arch AArch64\nhwcap 2\nfile /proc/self/cgroup 0::/\nfile /proc/self/mountinfo 1 1 0:1 / "
                           "/../../../../outside rw - cgroup2 x rw\nend\n",
                           &r),
                     CG_OK);
    assert_int_equal(tree_put(&tree, "/outside/cpu.max", "100000 100000\n"), 0);
    if (cg_record_machine(r, NULL, &m) != CG_OK) fail_msg("%s", cg_error());
    assert_true(m.quota == 0);
    cg_record_free(r);
    assert_int_equal(left_behind(), 0);
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

static char *load_text(size_t *size)
{
    char *text;
    assert_int_equal(cg_file_read(saved, CG_RECORD_MAX, &text, size), CG_OK);
    return text;
}

/* No beginning of a record is one. */
static void truncated(void **state)
{
    (void)state;
    size_t size;
    char *text = load_text(&size);
    for (size_t n = 0; n + 1 < size; n++) { /* without its last newline it is whole */
        char *copy = malloc(n + 1);
        struct cg_record *r;
        assert_non_null(copy);
        memcpy(copy, text, n);
        copy[n] = 0;
        if (cg_record_parse("x", copy, n, &r) == CG_OK) fail_msg("the first %zu bytes are taken for a record", n);
    }
    cg_free(text);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* One random change: a byte, a line left out, doubled or swapped with the one before, or a number made huge. */
static size_t mutate(char *t, size_t size, size_t cap, uint32_t *seed)
{
    size_t at = next_random(seed) % size, line = at;
    while (line && t[line - 1] != '\n') line--;
    size_t len = strcspn(t + line, "\n") + 1;
    if (line + len > size) return size;
    switch (next_random(seed) % 5) {
    case 0: t[at] = (char)(next_random(seed) % 255 + 1); return size;
    case 1: t[at] ^= (char)(1 << next_random(seed) % 7); return size;
    case 2: memmove(t + line, t + line + len, size - line - len); return size - len;
    case 3:
        if (size + len > cap) return size;
        memmove(t + line + len, t + line, size - line);
        return size + len;
    default:
        for (; at < size && (t[at] < '0' || t[at] > '9'); at++) continue;
        for (size_t i = at; i < size && i < at + 12 && t[i] != '\n'; i++) t[i] = '9';
        return size;
    }
}

/* Whatever happens to a record: a machine, or one line that says what is wrong; and nothing stays behind. */
static void mutations(void **state)
{
    (void)state;
    static struct cg_machine m;
    size_t size, replayed = 0;
    uint32_t seed = 20261124;
    char *text = load_text(&size);
    for (int i = 0; i < 2000; i++) {
        size_t cap = 2 * size, n = size;
        char *copy = malloc(cap + 1);
        struct cg_record *r;
        uint32_t first = seed;
        assert_non_null(copy);
        memcpy(copy, text, size);
        for (uint32_t k = next_random(&seed) % 3 + 1; k && n; k--) n = mutate(copy, n, cap, &seed);
        copy[n] = 0;
        enum cg_status st = cg_record_parse("x", copy, n, &r);
        if (st == CG_OK && i % 20 == 0) {
            st = cg_record_machine(r, NULL, &m);
            replayed++;
        }
        if (st != CG_OK && ((st != CG_ERR_USER && st != CG_ERR_IO) || strchr(cg_error(), '\n')))
            fail_msg("seed %u: status %d, %s", first, (int)st, cg_error());
        cg_record_free(r);
    }
    cg_free(text);
    assert_true(replayed > 5);
    assert_int_equal(left_behind(), 0);
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
        cmocka_unit_test(replays_this_machine),
        cmocka_unit_test(environment_is_as_before),
        cmocka_unit_test(keeps_rates),
        cmocka_unit_test(names_nobody),
        cmocka_unit_test(writes_only_files),
        cmocka_unit_test(reads_what_it_says),
        cmocka_unit_test(no_records),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(hostile_paths),
        cmocka_unit_test(no_sysfs),
        cmocka_unit_test(odd_topologies),
        cmocka_unit_test(truncated),
        cmocka_unit_test(mutations),
        cmocka_unit_test(groups_without_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
