/* Reading the facts of the system, and what follows from facts: live or recorded, by the same function. */
#include "detect/parts.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "detect/bind.h"

/* Threads that this process or OpenMP has bound are not what it may run on. */
static void read_affinity(struct cg_facts *f)
{
    if (cg_bind_mask(f->affinity)) return;
    enum { MOST = 8192 }; /* the kernel refuses a set that is smaller than its own */
    cpu_set_t *set = CPU_ALLOC(MOST);
    size_t size = CPU_ALLOC_SIZE(MOST);
    if (set && sched_getaffinity(0, size, set) == 0)
        for (int c = 0; c < CG_MAX_CPUS; c++)
            if (CPU_ISSET_S(c, size, set)) f->affinity[c / 64] |= UINT64_C(1) << c % 64;
    CPU_FREE(set);
}

void cg_facts_read(struct cg_facts *f)
{
    memset(f, 0, sizeof *f);
    f->root = "";
    f->arch = CG_ARCH_HERE;
    cg_x86_read(&f->x86); /* the one that is not ours says nothing */
    cg_arm_read(&f->arm);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    f->cpus = cpus < 1 ? 1 : cpus > CG_MAX_CPUS ? CG_MAX_CPUS : (int)cpus;
    read_affinity(f);
    struct cg_machine m;
    memset(&m, 0, sizeof m);
    cg_decode(f, &m);
    if (cg_probe(m.isa, f->probe) != 0) memset(f->probe, CG_PROBE_OK, sizeof f->probe);
}

void cg_decode(const struct cg_facts *f, struct cg_machine *m)
{
    if (f->arch == CG_ARCH_X86_64) cg_x86_decode(&f->x86, m);
    else cg_arm_decode(&f->arm, m);
}

enum cg_status cg_machine_from(const struct cg_facts *f, const char *mask, struct cg_machine *m)
{
    memset(m, 0, sizeof *m);
    CG_TRY(cg_topology_read(f, m));
    struct cg_facts cpu = *f;
    uint64_t midr = f->arch == CG_ARCH_AARCH64 ? cg_read_midr(f->root, m->cpus[0].os_index) : 0;
    if (midr) cpu.arm.midr = midr; /* of the fastest kind, wherever this thread happened to run */
    cg_decode(&cpu, m);
    struct cg_cache cpuid[CG_MAX_CACHES];
    int n_cpuid = 0;
    if (f->arch == CG_ARCH_X86_64) {
        m->microcode = cg_read_microcode(f->root);
        if (!cg_x86_is_hybrid(&f->x86) || !m->n_caches) n_cpuid = cg_x86_caches(&f->x86, cpuid);
    }
    if (!m->hypervisor[0]) cg_read_hypervisor(f->root, m->hypervisor, sizeof m->hypervisor);
    cg_apply_probe(m, f->probe);
    CG_TRY(cg_apply_mask(m, mask));
    cg_check_caches(m, cpuid, n_cpuid);
    cg_cgroup_quota(f->root, &m->quota, m->quota_from, sizeof m->quota_from);
    m->cores_usable = cg_usable_cores(m->cores_usable, m->quota);
    m->fingerprint = cg_fingerprint(m);
    return CG_OK;
}
