/* What cg_machine_detect is made of. For detect/ and its tests: every part works on facts handed to it, so that
 * recorded machines can be replayed anywhere. */
#ifndef CG_DETECT_PARTS_H
#define CG_DETECT_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"
#include "detect/machine.h"

/* ---- Text of the system ------------------------------------------------------------------------------------------ */

/* Reads at most size-1 bytes of root + path as a string. Bytes read, or -1 (buf is "" then). */
int cg_read_text(const char *root, const char *path, char *buf, size_t size);

/* CPUs that the cgroups of this process grant (the smallest quota of its cgroup and those above it) into *quota and
 * where that was read into from; 0 and "" without a limit. v1 and v2; everything is read below `root` ("" for the
 * system). */
void cg_cgroup_quota(const char *root, double *quota, char *from, size_t from_size);

/* min(cores, max(1, floor(quota))); a quota of 0 is no limit. At least 1. */
int cg_usable_cores(int cores, double quota);

/* Microcode revision from /proc/cpuinfo or sysfs below root; 0 when neither says. */
uint64_t cg_read_microcode(const char *root);

/* MIDR_EL1 of CPU 0 from sysfs below root; 0 when it is not there. */
uint64_t cg_read_midr(const char *root);

/* Name of the hypervisor from files below root ("" when they name none): what CPUID tells on x86. */
void cg_read_hypervisor(const char *root, char *name, size_t size);

/* ---- x86 ----------------------------------------------------------------------------------------------------------
 */

struct cg_cpuid_leaf {
    uint32_t leaf, sub;
    uint32_t eax, ebx, ecx, edx;
};

#define CG_CPUID_LEAVES 48
struct cg_x86 {
    struct cg_cpuid_leaf leaves[CG_CPUID_LEAVES]; /* those not recorded read as 0 */
    int n;
    uint64_t xcr0;   /* 0 when the operating system has not enabled XGETBV */
    int amx_refused; /* errno of arch_prctl(ARCH_REQ_XCOMP_PERM) for tile data; 0: granted or not asked */
};

/* Records this CPU and asks for the AMX permission where the CPU has tiles. Nothing on other architectures. */
void cg_x86_read(struct cg_x86 *x);

/* Fills vendor, names, numbers, hypervisor, isa_cpu, isa and isa_why. */
void cg_x86_decode(const struct cg_x86 *x, struct cg_machine *m);

/* Caches as CPUID names them (leaf 4 or 0x8000001D) into out[CG_MAX_CACHES]; their number. */
int cg_x86_caches(const struct cg_x86 *x, struct cg_cache *out);

/* ---- AArch64 ------------------------------------------------------------------------------------------------------
 */

struct cg_arm {
    uint64_t hwcap, hwcap2, midr;
    uint32_t sve_bytes; /* vector length of this process; 0 when the kernel does not say */
};

void cg_arm_read(const char *root, struct cg_arm *a);
void cg_arm_decode(const struct cg_arm *a, struct cg_machine *m);

/* ---- Both ---------------------------------------------------------------------------------------------------------
 */

#define CG_PROBE_OK 0
#define CG_PROBE_OTHER 254 /* SVE vectors of another length */
#define CG_PROBE_NONE 255  /* not reached, or no probe for this level here */

/* Runs an instruction of each level of `isa` in a child process. result[level]: CG_PROBE_OK, the signal it died of,
 * CG_PROBE_OTHER or CG_PROBE_NONE. Returns 0; -1 when no child could be made or it did not run (result says nothing
 * then). */
int cg_probe(uint64_t isa, uint8_t result[CG_ISA_COUNT]);

/* Takes the levels whose probe failed, and those that build on them, out of m->isa. */
void cg_apply_probe(struct cg_machine *m, const uint8_t result[CG_ISA_COUNT]);

/* CG_ERR_USER when the CPU is below the floor; else masks m->isa to `mask` (a level's name; NULL or "" for none). */
enum cg_status cg_apply_mask(struct cg_machine *m, const char *mask);

/* Takes `isa` out of m->isa with a reason, where it is in it. */
void cg_isa_refuse(struct cg_machine *m, enum cg_isa isa, const char *why);

/* Cores, logical CPUs, kinds, affinity (into m) and the caches of the first CPU this process may run on, by hwloc;
 * *cores is the number of physical cores within the affinity. CG_ERR_INTERNAL when hwloc cannot load the topology. */
enum cg_status cg_topology_read(struct cg_machine *m, int *cores);

/* Puts CPUID's caches (n of them; 0 elsewhere) beside hwloc's in m->caches, and usual sizes for absurd ones. */
void cg_check_caches(struct cg_machine *m, const struct cg_cache *cpuid, int n);

/* XXH3 of what tuning depends on. */
uint64_t cg_fingerprint(const struct cg_machine *m);

#endif
