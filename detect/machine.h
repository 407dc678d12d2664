/* What this machine really is. Filled once, then read only. */
#ifndef CG_DETECT_MACHINE_H
#define CG_DETECT_MACHINE_H

#include <stdint.h>

#include "common/status.h"
#include "detect/isa.h"

enum cg_arch { CG_ARCH_X86_64, CG_ARCH_AARCH64 };
/* That of this program. */
#if defined(__x86_64__)
#define CG_ARCH_HERE CG_ARCH_X86_64
#else
#define CG_ARCH_HERE CG_ARCH_AARCH64
#endif

#define CG_MAX_CACHES 8
#define CG_MAX_KINDS 4
#define CG_MAX_NODES 64
#define CG_MAX_CPUS 1024

struct cg_cache {
    int level;          /* 1, 2, 3 */
    char type;          /* 'd' data, 'i' instruction, 'u' unified */
    uint64_t size;      /* bytes; a usual size where the machine names none or an absurd one */
    uint64_t reported;  /* bytes that the machine names; 0 when it does not say */
    uint32_t line;      /* bytes */
    uint32_t ways;      /* 0: fully associative or unknown */
    uint32_t shared_by; /* logical CPUs that share one instance; 0 unknown */
};

/* A kind of cores: those of about the same speed (hybrid CPUs have two or three). */
struct cg_kind {
    int cores, threads; /* physical cores and logical CPUs */
    double speed;       /* of one core as a part of the fastest kind's: what the system says of it, else a guess */
};

/* A NUMA node with CPUs. */
struct cg_node {
    int os_index; /* Linux's number: /sys/devices/system/node/nodeN */
    int threads;  /* logical CPUs */
};

/* A logical CPU that this process may run on. */
struct cg_cpu {
    int os_index; /* Linux's number */
    int core;     /* physical core, counted over the machine from 0 */
    int kind;     /* index into kinds */
    int node;     /* index into nodes */
    int smt;      /* which of the usable hardware threads of its core: 0, 1, ... */
};

struct cg_machine {
    enum cg_arch arch;
    char vendor[32];                  /* "AuthenticAMD", "ARM" */
    char model_name[96];              /* the CPU's own brand string; "" when it has none */
    uint32_t family, model, stepping; /* x86 */
    uint64_t microcode;               /* x86; 0 when the system does not say */
    uint64_t midr;                    /* AArch64 MIDR_EL1; 0 when the system does not say */
    uint64_t isa;                     /* CG_ISA_BIT()s that this process may use */
    uint64_t isa_cpu;                 /* what the CPU names, before anything is masked */
    char isa_why[CG_ISA_COUNT][96];   /* for each level in isa_cpu and not in isa: why */
    uint32_t sve_bytes;               /* vector length; 0 without SVE */
    struct cg_cache caches[CG_MAX_CACHES];
    int n_caches;
    int cores;                          /* physical cores (hwloc) */
    int threads;                        /* logical CPUs */
    int n_kinds;                        /* 1 when all cores are alike */
    struct cg_kind kinds[CG_MAX_KINDS]; /* the fastest kind first */
    int n_nodes;                        /* at least 1 */
    struct cg_node nodes[CG_MAX_NODES];
    int affinity;                    /* logical CPUs that this process may run on */
    int n_cpus;                      /* affinity, at most CG_MAX_CPUS */
    struct cg_cpu cpus[CG_MAX_CPUS]; /* them, in the order in which threads should take them: one hardware thread of
                                        each core first, the fastest kind first, one node filled before the next */
    double quota;                    /* CPUs that the cgroup grants; 0 when it sets no limit */
    int cores_usable;                /* threads to use by default: cg_kinds_worth, at most floor(quota), at least 1 */
    char quota_from[64];             /* "cgroup v2 cpu.max"; "" without a limit */
    char hypervisor[32];             /* "KVM", "Microsoft"...; "" on bare metal, "unknown" when only the bit is set */
    uint64_t fingerprint; /* XXH3 of what tuning depends on: CPU id, microcode, usable ISA, caches, core types, usable
                             cores */
};

/* Size in bytes of the data or unified cache of `level`; 0 when unknown. */
uint64_t cg_machine_cache(const struct cg_machine *m, int level);

/* How many cores are worth a thread each when `cores[k]` of each kind may be used: work is divided evenly, so that all
 * wait for the slowest. Slower kinds join in only where that promises a quarter more speed than the faster ones alone.
 */
int cg_kinds_worth(const struct cg_kind *kinds, const int *cores, int n);

/* Detects the machine. CPU_GRPO_ISA=NAME masks `isa` downwards; an unknown name is CG_ERR_USER. CG_ERR_USER too on a
 * CPU below the floor (x86-64 without AVX2 and FMA). */
enum cg_status cg_machine_detect(struct cg_machine *m);

#endif
