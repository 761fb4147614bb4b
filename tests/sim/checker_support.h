/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Support for tests of the checker: hand-made events and effects on one small network.
 *
 * Site 1 (DE) has pool 1 of four nodes of eight a100 (nvidia, 400 W, idle 100 W, domains of two nodes) and pool 2 of two
 * nodes of eight mlu (cambricon, 300 W, idle 50 W); site 2 (CN) has pool 3 of two nodes of eight a100. PUE is 1.25.
 * ck_effect and its kin add an effect to the step that ck_step then makes of ck_event.
 */
#ifndef BUSBAR_TESTS_CHECKER_SUPPORT_H
#define BUSBAR_TESTS_CHECKER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/kinds.h"
#include "sim/checker.h"

extern struct checker *ck_checker;
extern int64_t ck_now_ms;
extern struct event ck_event;

struct uuid ck_site(uint32_t i);
struct uuid ck_pool(uint32_t i);
struct uuid ck_job(uint32_t i);
void ck_step_rc(int rc);
void ck_step(void);
void ck_tick(void);
struct effect *ck_effect(enum effect_kind kind, uint32_t j, uint32_t p);
void ck_share(uint32_t j, uint32_t p, uint32_t node, uint32_t chips);
struct effect *ck_start(uint32_t j, uint32_t p, uint32_t chips, uint32_t epoch);
void ck_stop(uint32_t j, uint32_t p, uint32_t epoch);
void ck_start_one(uint32_t j, uint32_t p, uint32_t node, uint32_t chips, uint32_t epoch);
void ck_tick_one(uint32_t j, uint32_t p, uint32_t node, uint32_t chips, uint32_t epoch);
struct event_job_submit *ck_submit_made(uint32_t j, const char *chip, uint32_t count);
void ck_submit(uint32_t j, uint32_t count, int64_t duration_ms);
void ck_end(uint32_t j, uint32_t epoch);
void ck_cancel(uint32_t j);
void ck_set_node(uint32_t p, uint32_t node, uint32_t state);
void ck_set_site(uint32_t s, uint32_t state);
void ck_set_order(uint32_t order, uint32_t fit);
void ck_set_cap(uint32_t s, uint64_t watts);
void ck_add_chip(const char *name, const char *vendor, uint32_t watts, uint32_t idle_watts);
void ck_add_pool(uint32_t i, uint32_t s, const char *chip, uint32_t nodes, uint32_t domain);
int ck_setup(void **state);
int ck_teardown(void **state);
void ck_clean(void);
void ck_found(enum checker_kind kind);

#define TEST(name) cmocka_unit_test_setup_teardown(name, ck_setup, ck_teardown)

#endif
