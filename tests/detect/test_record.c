/* The text of records: read back, and files that are none, or only nearly. */
#include "tests/detect/records.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"

#define CPU0 "/sys/devices/system/cpu/cpu0/"

static void refused(const char *text, const char *why)
{
    struct cg_record *r;
    enum cg_status st = parse(text, &r);
    if (st != CG_ERR_USER || r || !strstr(cg_error(), why) || strchr(cg_error(), '\n'))
        fail_msg("\"%s\": expected \"%s\", not \"%s\"", text, why, st == CG_OK ? "(accepted)" : cg_error());
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_says), cmocka_unit_test(no_records), cmocka_unit_test(bad_lines),
        cmocka_unit_test(hostile_paths),      cmocka_unit_test(truncated),  cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
