/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent remembers of its machine's chips: names that a tool does not tell, and what is missing; and which are out of use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "site/roster.h"

static struct probe_scan *known, *now;
static struct engine_chips h100 = {.chip = (char[]){"h100"}, .count = 2};
static struct engine_config config = {.engine = ENGINE_KIND_LOCAL, .chips = &h100, .chips_count = 1};

static int setup(void **state)
{
    (void)state;
    known = calloc(1, sizeof *known);
    now = calloc(1, sizeof *now);
    h100 = (struct engine_chips){.chip = h100.chip, .count = 2};
    config.engine = ENGINE_KIND_LOCAL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(known);
    free(now);
    return 0;
}

/* serial 0: the tool does not tell it, nor anything else. */
static struct probe_chip *put(struct probe_scan *scan, unsigned bus, unsigned serial)
{
    struct probe_chip *c = &scan->chip[scan->n++];
    probe_chip_init(c);
    (void)snprintf(c->vendor, sizeof c->vendor, "nvidia");
    (void)snprintf(c->id, sizeof c->id, "10de:2330");
    (void)snprintf(c->pci, sizeof c->pci, "0000:%02x:00.0", bus);
    c->sources = PROBE_PCI;
    if (serial == 0)
        return c;
    (void)snprintf(c->serial, sizeof c->serial, "S%u", serial);
    (void)snprintf(c->kind, sizeof c->kind, "h100");
    c->index = bus;
    c->health = PROBE_OK;
    c->sources |= PROBE_COMMAND;
    return c;
}

static uint32_t next(void)
{
    uint32_t missing = roster_take(known, now, &config);
    *known = *now;
    memset(now, 0, sizeof *now);
    return missing;
}

static void two_chips(void)
{
    put(now, 0, 1);
    put(now, 1, 2);
    assert_int_equal(next(), 0);
}

static uint32_t faults(int32_t *index)
{
    static struct engine_fault out[PROBE_CHIPS_MAX];
    uint32_t n = roster_faults(known, &config, out);
    *index = n > 0 ? out[0].index : INT32_MIN;
    return n;
}

static const char *name(uint32_t i)
{
    static char text[UNIT_NAME_CAP];
    return roster_name(&known->chip[i], text) ? text : "";
}

static void test_names(void **state)
{
    (void)state;
    char dst[UNIT_NAME_CAP];
    struct probe_chip *c = put(now, 0, 1);
    c->die = 1;
    assert_true(roster_name(c, dst));
    assert_string_equal(dst, "nvidia:S1.1");
    c->die = 0;
    assert_true(roster_name(c, dst));
    assert_string_equal(dst, "nvidia:S1");
    c->serial[0] = 0;
    assert_false(roster_name(c, dst));
    assert_string_equal(dst, "");
    (void)snprintf(c->uuid, sizeof c->uuid, "GPU-1");
    assert_true(roster_name(c, dst));
    assert_string_equal(dst, "nvidia:GPU-1");
    (void)snprintf(c->serial, sizeof c->serial, "not one/word");
    assert_false(roster_name(c, dst));
    (void)snprintf(c->serial, sizeof c->serial, "S1");
    c->vendor[0] = 0;
    assert_false(roster_name(c, dst));
}

/* The tool hangs: the bus alone tells of them. */
static void test_keeps_names(void **state)
{
    (void)state;
    int32_t index;
    two_chips();
    put(now, 0, 0);
    put(now, 1, 0);
    assert_int_equal(next(), 0);
    assert_string_equal(name(0), "nvidia:S1");
    assert_string_equal(name(1), "nvidia:S2");
    assert_int_equal(faults(&index), 0);
    put(now, 0, 1);
    put(now, 1, 3); /* another chip in its place */
    assert_int_equal(next(), 1);
    assert_string_equal(name(1), "nvidia:S3");
    assert_int_equal(known->n, 2);
    assert_int_equal(faults(&index), 0);
}

static void test_missing(void **state)
{
    (void)state;
    int32_t index;
    two_chips();
    put(now, 0, 1);
    assert_int_equal(next(), 1);
    assert_int_equal(faults(&index), 1);
    assert_int_equal(index, 1);
    assert_true(roster_is_missing(&known->chip[1]));
    put(now, 0, 1);
    assert_int_equal(next(), 0); /* it was missing before */
    assert_int_equal(faults(&index), 1);
    put(now, 0, 1);
    put(now, 1, 2);
    assert_int_equal(next(), 0);
    assert_int_equal(faults(&index), 0);
    assert_int_equal(known->n, 2);
}

static void test_failed(void **state)
{
    (void)state;
    int32_t index;
    two_chips();
    put(now, 0, 1)->health = PROBE_FAILED;
    put(now, 1, 2)->health = PROBE_WARNING;
    assert_int_equal(next(), 0);
    assert_int_equal(faults(&index), 1);
    assert_int_equal(index, 0);
}

/* Its tool hangs from then on, or its driver takes all tools with it: that is no word that it works again. */
static void test_stays_failed(void **state)
{
    (void)state;
    int32_t index;
    struct probe_chip *c;
    two_chips();
    put(now, 0, 1);
    c = put(now, 1, 2);
    c->health = PROBE_FAILED;
    (void)snprintf(c->health_text, sizeof c->health_text, "uncorrectable errors");
    assert_int_equal(next(), 0);
    for (unsigned i = 0; i < 2; i++) {
        put(now, 0, 0);
        put(now, 1, 0);
        assert_int_equal(next(), 0);
        assert_int_equal(known->chip[0].health, PROBE_HEALTH_UNKNOWN);
        assert_int_equal(known->chip[1].health, PROBE_FAILED);
        assert_string_equal(known->chip[1].health_text, "uncorrectable errors");
        assert_int_equal(faults(&index), 1);
        assert_int_equal(index, 1);
    }
    put(now, 0, 1);
    put(now, 1, 2); /* its tool says so */
    assert_int_equal(next(), 0);
    assert_int_equal(known->chip[1].health, PROBE_OK);
    assert_int_equal(faults(&index), 0);
}

/* A card with two dies has one serial. The one that is left is not the other one. */
static void lose_die(unsigned lost, bool with_uuid)
{
    for (unsigned i = 0; i < 2; i++) {
        struct probe_chip *c = put(now, i, 7);
        c->die = i;
        if (with_uuid)
            (void)snprintf(c->uuid, sizeof c->uuid, "GPU-%u", i);
    }
    assert_int_equal(next(), 0);
    for (unsigned again = 0; again < 2; again++) {
        struct probe_chip *c = put(now, 1 - lost, 7); /* of one alone nothing tells a die */
        if (with_uuid)
            (void)snprintf(c->uuid, sizeof c->uuid, "GPU-%u", 1 - lost);
        assert_int_equal(next(), again == 0);
        assert_int_equal(known->n, 2);
        assert_string_equal(name(0), lost == 0 ? "nvidia:S7.1" : "nvidia:S7");
        assert_true(roster_is_missing(&known->chip[1]));
        assert_string_equal(name(1), lost == 0 ? "nvidia:S7" : "nvidia:S7.1");
    }
    memset(known, 0, sizeof *known);
}

static void test_two_dies(void **state)
{
    (void)state;
    lose_die(0, true);
    lose_die(1, true);
    lose_die(0, false);
    lose_die(1, false);
}

/* Of three the second falls off, and at the next boot the third one has its number. */
static void renumber(void)
{
    put(now, 1, 1)->index = 0;
    put(now, 2, 2)->index = 1;
    put(now, 3, 3)->index = 2;
    assert_int_equal(next(), 0);
    put(now, 1, 1)->index = 0;
    put(now, 3, 3)->index = 2;
    assert_int_equal(next(), 1);
    put(now, 1, 1)->index = 0;
    put(now, 3, 3)->index = 1;
    assert_int_equal(next(), 0);
}

static void test_renumbered(void **state)
{
    (void)state;
    int32_t index;
    uint32_t last[] = {2}, first[] = {0, 1};
    h100.count = 3;
    renumber();
    assert_int_equal(faults(&index), 1);
    assert_int_equal(index, -1); /* the one that has its number works */
    assert_int_equal(known->n, 3);
    h100.count = 2;
    assert_int_equal(faults(&index), 0);
    h100 = (struct engine_chips){.chip = h100.chip, .count = 1, .indices = last, .indices_count = 1};
    assert_int_equal(faults(&index), 1); /* nothing has the number 2 */
    h100 = (struct engine_chips){.chip = h100.chip, .count = 2, .indices = first, .indices_count = 2};
    assert_int_equal(faults(&index), 0);
    h100 = (struct engine_chips){.chip = h100.chip, .count = 3};
    put(now, 1, 1)->index = 0;
    put(now, 2, 4)->index = 1; /* another one in its place */
    put(now, 3, 3)->index = 2;
    assert_int_equal(next(), 0);
    assert_int_equal(faults(&index), 0);
    assert_int_equal(known->n, 3);
}

/* A configuration that does not count on it, or one that is another system's business. */
static void test_not_counted_on(void **state)
{
    (void)state;
    int32_t index;
    uint32_t only[] = {0};
    two_chips();
    put(now, 0, 1);
    assert_int_equal(next(), 1);
    assert_int_equal(faults(&index), 1);
    h100.indices = only;
    h100.indices_count = 1;
    assert_int_equal(faults(&index), 0);
    h100 = (struct engine_chips){.chip = h100.chip, .count = 1};
    assert_int_equal(faults(&index), 0);
    put(now, 0, 1);
    assert_int_equal(next(), 0);
    assert_int_equal(known->n, 1); /* nobody misses it any more */
    h100.count = 2;
    two_chips();
    put(now, 0, 1);
    config.engine = ENGINE_KIND_SLURM;
    (void)next();
    assert_int_equal(faults(&index), 0);
}

/* No tool tells numbers: as many must work as are counted on. */
static void test_without_numbers(void **state)
{
    (void)state;
    int32_t index;
    for (unsigned i = 0; i < 3; i++)
        put(now, i, i + 1)->index = PROBE_UNKNOWN;
    assert_int_equal(next(), 0);
    put(now, 0, 1)->index = PROBE_UNKNOWN;
    put(now, 1, 2)->index = PROBE_UNKNOWN;
    assert_int_equal(next(), 1);
    assert_int_equal(faults(&index), 0); /* two are left */
    put(now, 0, 1)->index = PROBE_UNKNOWN;
    assert_int_equal(next(), 1);
    assert_int_equal(faults(&index), 1);
    assert_int_equal(index, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keeps_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stays_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renumbered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_counted_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_numbers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
