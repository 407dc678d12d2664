/* What the kernel says in files. */
#include "detect/record_parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cg_read_text(const char *root, const char *path, char *buf, size_t size)
{
    buf[0] = 0;
    char full[4096];
    if (root[0] && strstr(path, "/..")) return -1; /* a recorded mount point may not lead out of the record */
    int len = snprintf(full, sizeof full, "%s%s", root, path);
    if (len < 0 || (size_t)len >= sizeof full) return -1;
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t n = 0;
    while (n < size - 1) { /* files of /proc come in pieces */
        ssize_t got = read(fd, buf + n, size - 1 - n);
        if (got <= 0) break;
        n += (size_t)got;
    }
    close(fd);
    buf[n] = 0;
    return (int)n;
}

uint64_t cg_read_microcode(const char *root)
{
    char text[4096]; /* the first processor's entry is enough: a long file takes milliseconds to make */
    if (cg_read_text(root, "/proc/cpuinfo", text, sizeof text) > 0) {
        const char *p = strstr(text, "\nmicrocode");
        if (p) p = strchr(p + 1, ':');
        if (p) return strtoull(p + 1, NULL, 0);
    }
    if (cg_read_text(root, "/sys/devices/system/cpu/cpu0/microcode/version", text, sizeof text) > 0)
        return strtoull(text, NULL, 0);
    return 0;
}

uint64_t cg_read_midr(const char *root, int cpu)
{
    char text[64], path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/regs/identification/midr_el1", cpu);
    return cg_read_text(root, path, text, sizeof text) > 0 ? strtoull(text, NULL, 16) : 0;
}

static const struct {
    const char *path, *word, *name;
} signs[] = {
    {"/sys/hypervisor/type", "xen", "Xen"},
    {"/proc/device-tree/hypervisor/compatible", "xen", "Xen"},
    {"/proc/device-tree/hypervisor/compatible", "kvm", "KVM"},
    {"/proc/device-tree/hypervisor/compatible", "vmware", "VMware"},
    {"/sys/class/dmi/id/product_name", "KVM", "KVM"},
    {"/sys/class/dmi/id/product_name", "VMware", "VMware"},
    {"/sys/class/dmi/id/product_name", "Virtual Machine", "Microsoft"},
    {"/sys/class/dmi/id/sys_vendor", "QEMU", "QEMU"},
    {"/sys/class/dmi/id/sys_vendor", "Parallels", "Parallels"},
    {"/sys/class/dmi/id/sys_vendor", "Apple Virtualization", "Apple"},
};

/* The first sign that is found below root; -1 for none. */
static int find_sign(const char *root)
{
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        char text[256];
        if (cg_read_text(root, signs[i].path, text, sizeof text) > 0 && strstr(text, signs[i].word)) return (int)i;
    }
    return -1;
}

void cg_read_hypervisor(const char *root, char *name, size_t size)
{
    int i = find_sign(root);
    snprintf(name, size, "%s", i < 0 ? "" : signs[i].name);
}

void cg_hypervisor_record(const char *root, cg_put_file *put, void *ctx)
{
    int i = find_sign(root);
    if (i >= 0) put(ctx, signs[i].path, signs[i].word);
}
