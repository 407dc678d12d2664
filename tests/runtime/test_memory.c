/* The account of memory: parts, peaks, the limit; blocks that are never written to take nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/mem.h"
#include "common/status.h"

#define MIB ((size_t)1 << 20)

static struct cg_mem_use use_of(const char *part)
{
    struct cg_mem_use all[32];
    size_t n = cg_mem_uses(all, 32);
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i].part, part) == 0) return all[i];
    return (struct cg_mem_use){0};
}

static void test_account(void **state)
{
    (void)state;
    size_t before = cg_mem_live();
    cg_mem_restart();
    const char *old = cg_mem_part("apples");
    char *a = cg_alloc(6 * MIB + 1), *few = cg_alloc(1000);
    assert_string_equal(cg_mem_part("pears"), "apples");
    char *b = cg_alloc(CG_MEM_COUNTED);
    cg_mem_part(old);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal((uintptr_t)a % (2 * MIB), 0);
    assert_int_equal((uintptr_t)b % 64, 0);
    for (size_t i = 0; i < 6 * MIB + 1; i += 4096) assert_int_equal(a[i], 0);
    assert_true(use_of("apples").live >= 6 * MIB + 1 && use_of("apples").live < 6 * MIB + 70000);
    assert_int_equal(use_of("pears").live, CG_MEM_COUNTED);
    cg_free(a);
    cg_free(few);
    assert_int_equal(use_of("apples").live, 0);
    assert_true(use_of("apples").at_peak > 6 * MIB);
    assert_true(cg_mem_peak() >= before + 6 * MIB + CG_MEM_COUNTED);
    cg_free(b);
    assert_int_equal(cg_mem_live(), before);
}

static void test_limit(void **state)
{
    (void)state;
    char text[256];
    const char *old = cg_mem_part("plums");
    size_t was = cg_mem_limit(cg_mem_live() + 10 * MIB);
    char *a = cg_alloc(8 * MIB);
    assert_non_null(a);
    assert_null(cg_alloc(3 * MIB));
    cg_fail(CG_ERR_MEMORY, "no room");
    assert_non_null(strstr(cg_error(), "no room (plums: 3.0 MiB more would go beyond the memory budget"));
    cg_free(a);
    a = cg_alloc(9 * MIB);
    assert_non_null(a);
    assert_string_equal(cg_mem_refusal(text, sizeof text), "");
    cg_free(a);
    assert_null(cg_alloc_n(SIZE_MAX / 2, 3));
    cg_fail(CG_ERR_MEMORY, "overflow");
    assert_string_equal(cg_error(), "overflow");
    cg_mem_limit(was);
    cg_mem_part(old);
}

static void test_untouched(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    puts("SKIP untouched: the address sanitizer wants blocks of malloc");
    skip();
#endif
    size_t before = cg_mem_resident();
    if (!before) skip(); /* no /proc */
    char *a = cg_alloc(256 * MIB);
    assert_non_null(a);
    assert_true(cg_mem_resident() < before + 16 * MIB);
    memset(a, 1, 64 * MIB);
    assert_true(cg_mem_resident() > before + 60 * MIB);
    assert_true(cg_mem_resident_peak() + 4 * MIB > cg_mem_resident()); /* each is told with some delay */
    cg_free(a);
    assert_true(cg_mem_resident() < before + 16 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_account),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
