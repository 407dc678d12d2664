/* Checkpoints as folders: what is written is read back bit for bit, what is damaged is refused, what is old goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>

#include "runtime/checkpoint/checkpoint.h"
#include "tests/runtime/scratch.h"

static struct cg_model model;
static struct cg_tokenizer *tok;
static struct cg_run_config cfg;
static float moments[1000];
static unsigned char bytes[333];
static int32_t words[7];

static const struct cg_blob blobs[] = {
    {"moments", "F32", moments, 1000}, {"bytes", "U8", bytes, 333}, {"words", "I32", words, 7}};

static int setup(void **state)
{
    if (scratch_setup(state) != 0 || cg_config_defaults(&cfg) != CG_OK) return -1;
    if (cg_model_load("builtin:tiny", 1, &model) != CG_OK) return -1;
    return cg_tokenizer_load("builtin:tiny", &tok) == CG_OK ? 0 : -1;
}

static int teardown(void **state)
{
    cg_model_free(&model);
    cg_tokenizer_free(tok);
    cg_config_free(&cfg);
    return scratch_teardown(state);
}

static void fill(int x)
{
    for (int i = 0; i < 1000; i++) moments[i] = (float)(x + i) / 7.0f;
    for (int i = 0; i < 333; i++) bytes[i] = (unsigned char)(x * i);
    for (int i = 0; i < 7; i++) words[i] = -x - i;
}

static enum cg_status save_model(const void *m, const char *dir)
{
    return cg_model_save(m, dir);
}

static void save(size_t step)
{
    json_t *state = json_pack("{s:I}", "steps", (json_int_t)step);
    struct cg_checkpoint c = {&cfg, save_model, &model, tok, blobs, 3, state};
    fill((int)step);
    if (cg_checkpoint_save(scratch, step, &c) != CG_OK) fail_msg("%s", cg_error());
    json_decref(state);
}

static const char *folder(size_t step)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/checkpoint-%zu", scratch, step);
    return path;
}

static void test_round_trip(void **state)
{
    (void)state;
    json_t *j;
    struct cg_model other;
    struct cg_run_config c;
    save(12);
    assert_int_equal(cg_checkpoint_verify(folder(12), &j), CG_OK);
    assert_int_equal(json_integer_value(json_object_get(j, "steps")), 12);
    json_decref(j);
    memset(moments, 0, sizeof moments);
    memset(bytes, 0, sizeof bytes);
    memset(words, 0, sizeof words);
    assert_int_equal(cg_checkpoint_blobs(folder(12), blobs, 3), CG_OK);
    assert_true(moments[999] == (float)(12 + 999) / 7.0f && bytes[332] == (unsigned char)(12 * 332) && words[6] == -18);
    assert_int_equal(cg_model_load("builtin:tiny", 2, &other), CG_OK);
    assert_memory_not_equal(other.w, model.w, model.n_params * sizeof *model.w);
    assert_int_equal(cg_checkpoint_weights(folder(12), &other), CG_OK);
    assert_memory_equal(other.w, model.w, model.n_params * sizeof *model.w);
    cg_model_free(&other);
    assert_int_equal(cg_checkpoint_config(folder(12), &c), CG_OK);
    char *text = cg_config_differences(&c, &cfg);
    assert_string_equal(text, "");
    free(text);
    cg_config_free(&c);
}

/* A run with other options asks for arrays that are not there, or are others. */
static void test_other_blobs(void **state)
{
    (void)state;
    float x[2];
    const struct cg_blob lacks = {"fisher", "F32", x, 2}, longer = {"moments", "F32", x, 2},
                         type = {"bytes", "F32", x, 2};
    save(12);
    assert_int_equal(cg_checkpoint_blobs(folder(12), &lacks, 1), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "lacks 'fisher'"));
    assert_int_equal(cg_checkpoint_blobs(folder(12), &longer, 1), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "'moments' has 1000 values of F32, this run needs 2 of F32"));
    assert_int_equal(cg_checkpoint_blobs(folder(12), &type, 1), CG_ERR_USER);
    assert_int_equal(cg_checkpoint_blobs(folder(13), blobs, 3), CG_ERR_IO);
}

/* Any byte of any file that is another one, a file that is cut or gone. */
static void test_damage(void **state)
{
    (void)state;
    static const char *const files[] = {"model.safetensors", "config.json", "generation_config.json",
                                        "tokenizer.json",    "run.yaml",    "state.safetensors",
                                        "state.json"};
    json_t *j;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[700], name[64], *data;
        size_t n;
        save(12);
        snprintf(path, sizeof path, "%s/%s", folder(12), files[i]);
        assert_int_equal(cg_file_read(path, (size_t)1 << 24, &data, &n), CG_OK);
        snprintf(name, sizeof name, "checkpoint-12/%s", files[i]);
        for (size_t k = 0; k < 5; k++) {
            size_t at = k * (n - 1) / 4;
            /* A space more or less in state.json is no damage, as one in its last line. */
            if (strcmp(files[i], "state.json") == 0 && (data[at] == ' ' || data[at] == '\n')) continue;
            data[at] ^= 1;
            scratch_write(name, data, n);
            assert_true(cg_checkpoint_verify(folder(12), &j) == CG_ERR_USER && j == NULL);
            data[at] ^= 1;
        }
        scratch_write(name, data, n / 2);
        assert_int_equal(cg_checkpoint_verify(folder(12), &j), CG_ERR_USER);
        scratch_write(name, data, n);
        assert_int_equal(cg_checkpoint_verify(folder(12), &j), CG_OK);
        json_decref(j);
        assert_int_equal(remove(path), 0);
        assert_int_equal(cg_checkpoint_verify(folder(12), &j), CG_ERR_IO);
        cg_free(data);
    }
}

static void expect_steps(size_t n, const size_t *want)
{
    size_t *steps, found;
    assert_int_equal(cg_checkpoint_list(scratch, &steps, &found), CG_OK);
    assert_int_equal(found, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(steps[i], want[i]);
    free(steps);
}

static void test_which_stay(void **state)
{
    (void)state;
    char path[600];
    cg_checkpoint_remove(scratch, 12);
    for (size_t step = 8; step <= 11; step++) save(step);
    /* What a killed writer left, what was put aside, and what only looks like one. */
    static const char *const others[] = {"checkpoint-7.tmp", "checkpoint-6.damaged", "checkpoint-", "checkpoint-x1"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", scratch, others[i]);
        assert_int_equal(cg_mkdirs(path), CG_OK);
    }
    expect_steps(4, (const size_t[]){8, 9, 10, 11});
    cg_checkpoint_prune(scratch, 2, 8);
    expect_steps(3, (const size_t[]){8, 10, 11});
    cg_checkpoint_prune(scratch, 1, 10);
    expect_steps(2, (const size_t[]){10, 11});
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", scratch, others[i]);
        assert_int_equal(cg_is_dir(path), i != 0);
    }
    save(11); /* again: it is replaced */
    json_t *j;
    assert_int_equal(cg_checkpoint_verify(folder(11), &j), CG_OK);
    json_decref(j);
    snprintf(path, sizeof path, "%s/nowhere", scratch);
    size_t *steps, n;
    assert_int_equal(cg_checkpoint_list(path, &steps, &n), CG_OK);
    assert_int_equal(n, 0);
}

static void test_numbers(void **state)
{
    (void)state;
    int i = -3;
    uint32_t u = 4000000000u;
    uint64_t big = UINT64_C(1) << 62;
    double x = 0.1, none = 0.0 / 0.0;
    const struct cg_number list[] = {CG_NUMBER("i", &i), CG_NUMBER("u", &u), CG_NUMBER("big", &big), CG_NUMBER("x", &x),
                                     CG_NUMBER("none", &none)};
    json_t *j = json_object();
    assert_int_equal(cg_numbers_put(list, 5, j), CG_OK);
    i = 0, u = 0, big = 0, x = 0, none = 0;
    assert_int_equal(cg_numbers_get(list, 5, j), CG_OK);
    assert_true(i == -3 && u == 4000000000u && big == UINT64_C(1) << 62 && x == 0.1 && none != none);
    json_object_set_new(j, "u", json_integer(-1));
    assert_int_equal(cg_numbers_get(list, 5, j), CG_ERR_USER);
    json_object_set_new(j, "u", json_string("1"));
    assert_int_equal(cg_numbers_get(list, 5, j), CG_ERR_USER);
    json_object_del(j, "u");
    assert_int_equal(cg_numbers_get(list, 5, j), CG_ERR_USER);
    assert_non_null(strstr(cg_error(), "'u'"));
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_other_blobs),
                                       cmocka_unit_test(test_damage), cmocka_unit_test(test_which_stay),
                                       cmocka_unit_test(test_numbers)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
