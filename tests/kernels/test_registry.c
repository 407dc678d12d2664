/* The lists of variants: that of this architecture, whose functions run, and that of the other one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "kernels/peak.h"
#include "kernels/registry.h"

static const enum cg_arch foreign_arch = CG_ARCH_HERE == CG_ARCH_X86_64 ? CG_ARCH_AARCH64 : CG_ARCH_X86_64;

/* The bits of an architecture's levels. */
static uint64_t levels_of(enum cg_arch arch)
{
    uint64_t all = 0;
#define X(name, text, what) all |= CG_ISA_BIT(CG_ISA_##name);
    if (arch == CG_ARCH_X86_64) {
        CG_ISA_LIST_X86(X)
    } else {
        CG_ISA_LIST_ARM(X)
    }
#undef X
    return all;
}

/* Names are unique, levels are the architecture's own, and every operation but native bf16 has its scalar truth. */
static void both_lists(void **state)
{
    (void)state;
    for (int arch = CG_ARCH_X86_64; arch <= CG_ARCH_AARCH64; arch++) {
        size_t count, scalar[CG_OP_COUNT] = {0}, vector[CG_OP_COUNT] = {0};
        const struct cg_variant *v = cg_variants_for((enum cg_arch)arch, &count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(v[i].isa & ~levels_of((enum cg_arch)arch), 0);
            assert_int_equal(v[i].fn.any != NULL, arch == CG_ARCH_HERE);
            assert_int_equal(v[i].model != NULL, v[i].op == CG_OP_gemm_bf16);
            assert_int_equal(v[i].mr > 0, cg_op_is_gemm(v[i].op));
            ++*(v[i].isa ? &vector[v[i].op] : &scalar[v[i].op]);
            for (size_t j = 0; j < i; j++) assert_string_not_equal(v[i].name, v[j].name);
        }
        for (int op = 0; op < CG_OP_COUNT; op++) {
            assert_int_equal(scalar[op], op != CG_OP_gemm_bf16);
            assert_true(vector[op] > 0);
        }
    }
}

/* What can be looked up by name, or run where this program does, is of this architecture. */
static void nothing_foreign_runs(void **state)
{
    (void)state;
    size_t count, here;
    const struct cg_variant *native = cg_variants(&here), *v = cg_variants_for(CG_ARCH_HERE, &count);
    assert_ptr_equal(v, native);
    assert_int_equal(count, here);
    v = cg_variants_for(foreign_arch, &count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(cg_variant_runs(&v[i], levels_of(CG_ARCH_HERE)), v[i].isa == 0);
        const struct cg_variant *named = cg_variant_named(v[i].name);
        assert_true(!named || (named >= native && named < native + here));
    }
}

/* Every vector GEMM of either architecture multiplies with an instruction whose peak can be measured, here at least. */
static void peaks(void **state)
{
    (void)state;
    for (int arch = CG_ARCH_X86_64; arch <= CG_ARCH_AARCH64; arch++) {
        size_t count;
        const struct cg_variant *v = cg_variants_for((enum cg_arch)arch, &count);
        for (size_t i = 0; i < count; i++) {
            enum cg_isa level = cg_peak_level(&v[i]);
            assert_int_equal(level != CG_ISA_SCALAR, v[i].isa && cg_op_is_gemm(v[i].op));
            assert_true(level == CG_ISA_SCALAR || (v[i].isa & CG_ISA_BIT(level)));
            if (level == CG_ISA_SCALAR || arch != CG_ARCH_HERE) assert_true(cg_peak_run(&v[i], 16, 1) == 0);
            assert_true(cg_peak_run(&v[i], 16, 0) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_lists),
        cmocka_unit_test(nothing_foreign_runs),
        cmocka_unit_test(peaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
