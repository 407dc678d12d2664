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

/* MIDR_EL1 of a CPU from sysfs below root; 0 when it is not there. */
uint64_t cg_read_midr(const char *root, int cpu);

/* Name of the hypervisor from files below root ("" when they name none): what CPUID tells on x86. */
void cg_read_hypervisor(const char *root, char *name, size_t size);

/* ---- Facts ------------------------------------------------------------------------------------------------------- */

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

struct cg_arm {
    uint64_t hwcap, hwcap2;
    uint64_t midr;      /* of some CPU; 0 when the kernel does not answer for the register */
    uint32_t sve_bytes; /* vector length of this process; 0 when the kernel does not say */
};

#define CG_PROBE_OK 0
#define CG_PROBE_OTHER 254 /* SVE vectors of another length */
#define CG_PROBE_NONE 255  /* not reached, or no probe for this level here */

/* All that is known of a machine before anything is concluded from it. */
struct cg_facts {
    enum cg_arch arch;
    struct cg_x86 x86;
    struct cg_arm arm;
    int cpus;                            /* logical CPUs that are online, for machines whose /sys is hidden */
    uint64_t affinity[CG_MAX_CPUS / 64]; /* bit c % 64 of word c / 64: may run on CPU c; none: on all */
    uint8_t probe[CG_ISA_COUNT];         /* see cg_probe; all CG_PROBE_OK when it could not run */
    const char *root;                    /* the folder below which /proc and /sys are read; "" for the system */
};

/* The facts of the system: the only code that asks the CPU and the kernel. Asks for the AMX permission where the CPU
 * has tiles. */
void cg_facts_read(struct cg_facts *f);

/* What follows from facts and the files below f->root; `mask` as in cg_apply_mask. Errors as cg_machine_detect. */
enum cg_status cg_machine_from(const struct cg_facts *f, const char *mask, struct cg_machine *m);

/* ---- x86 --------------------------------------------------------------------------------------------------------- */

/* This CPU. Nothing on other architectures. */
void cg_x86_read(struct cg_x86 *x);

/* Fills vendor, names, numbers, hypervisor, isa_cpu, isa and isa_why. */
void cg_x86_decode(const struct cg_x86 *x, struct cg_machine *m);

/* Caches as CPUID names them (leaf 4 or 0x8000001D) into out[CG_MAX_CACHES]; their number. */
int cg_x86_caches(const struct cg_x86 *x, struct cg_cache *out);

/* Has the CPU cores of several kinds? Then CPUID speaks only of the one it was asked on. */
int cg_x86_is_hybrid(const struct cg_x86 *x);

/* ---- AArch64 ----------------------------------------------------------------------------------------------------- */

void cg_arm_read(struct cg_arm *a);
void cg_arm_decode(const struct cg_arm *a, struct cg_machine *m);

/* ---- Both -------------------------------------------------------------------------------------------------------- */

/* Fills m->isa, isa_cpu, isa_why and identity from the facts about the CPU alone. */
void cg_decode(const struct cg_facts *f, struct cg_machine *m);

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

/* Cores, logical CPUs, kinds, nodes, the usable CPUs in their order, and the caches of the first of these (into m), by
 * hwloc from the files below f->root. CG_ERR_INTERNAL when hwloc cannot load the topology (a
 * record's: CG_ERR_USER). While it loads a root other
 * than the system, environment variables of hwloc are set (it has no other way): no other thread may run then. */
enum cg_status cg_topology_read(const struct cg_facts *f, struct cg_machine *m);

/* Puts CPUID's caches (n of them; 0 elsewhere) beside hwloc's in m->caches, and usual sizes for absurd ones. */
void cg_check_caches(struct cg_machine *m, const struct cg_cache *cpuid, int n);

/* XXH3 of what tuning depends on. */
uint64_t cg_fingerprint(const struct cg_machine *m);

#endif
