/* Tables for people. */
#include "fixture.h"

#include "autotune/table.h"

static const struct cg_column columns[] = {{"name", 0, 2}, {"n", 1, 0}, {"empty", 0, 0}, {"long", 0, 3}};

static const char *printed(const struct cg_table *t, int width)
{
    static char kept[2][1024];
    static int turn;
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    cg_table_print(t, f, width);
    assert_int_equal(fclose(f), 0);
    turn = !turn;
    snprintf(kept[turn], sizeof kept[turn], "%s", text);
    free(text);
    return kept[turn];
}

static void table(void **state)
{
    (void)state;
    struct cg_table t = {.columns = columns, .n_columns = 4};
    for (int i = 0; i < 40; i++) { /* grows */
        char(*row)[CG_TABLE_CELL] = cg_table_row(&t);
        assert_non_null(row);
        snprintf(row[0], CG_TABLE_CELL, "%s", i ? "a" : "abcdef");
        snprintf(row[1], CG_TABLE_CELL, "%d", i ? i : 1000);
        if (i < 2) snprintf(row[3], CG_TABLE_CELL, "0123456789");
    }
    t.rows = 3;
    assert_string_equal(printed(&t, 0), "name       n  long\n"
                                        "abcdef  1000  0123456789\n"
                                        "a          1  0123456789\n"
                                        "a          2\n");
    assert_string_equal(printed(&t, 24), printed(&t, 0));
    assert_string_equal(printed(&t, 23), "name       n\n"
                                         "abcdef  1000\n"
                                         "a          1\n"
                                         "a          2\n");
    assert_string_equal(printed(&t, 5), "   n\n1000\n   1\n   2\n"); /* and no less than that */
    assert_string_equal(printed(&t, 1), printed(&t, 5));
    cg_table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
