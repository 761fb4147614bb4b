/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/serve.h"

#include <string.h>

#include "base/str.h"
#include "sim/duration.h"
#include "sim/option.h"

#define TOKENS_S_MAX 10000000u
#define MEAN_MAX (1u << 20)

/* docs/serving.md */
static const struct serve_kind usual_kind = {
    .chip = "h100", .chips = 2, .prefill = 8000, .decode = 1500, .single = 50, .slots = 32};
static const struct serve usual = {.cold_ms = 90000,
                                   .hold_ms = 300000,
                                   .idle_ms = 300000,
                                   .drain_ms = 300000,
                                   .max = 256,
                                   .target = 70,
                                   .in_mean = 1155,
                                   .out_mean = 211};

static bool read_number(const char *value, uint32_t least, uint32_t most, uint32_t *out)
{
    uint64_t n;
    if (!u64_parse(value, strlen(value), most, &n) || n < least)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool read_kind(struct serve *s, const char *value)
{
    if (s->kinds == SERVE_KINDS_MAX)
        return false;
    struct serve_kind *kind = &s->kind[s->kinds++];
    *kind = usual_kind;
    memset(kind->chip, 0, sizeof kind->chip);
    if (strcmp(value, "any") == 0)
        return true;
    return text_set(kind->chip, sizeof kind->chip, value, strlen(value)) && value[0];
}

static bool read_pair(struct serve *s, const char *name, const char *value)
{
    struct serve_kind *kind = &s->kind[s->kinds > 0 ? s->kinds - 1 : 0];
    const struct {
        const char *name;
        uint32_t *to;
        uint32_t least, most;
        bool of_kind;
    } numbers[] = {{"chips", &kind->chips, 1, 4096, true},
                   {"prefill", &kind->prefill, 1, TOKENS_S_MAX, true},
                   {"decode", &kind->decode, 1, TOKENS_S_MAX, true},
                   {"single", &kind->single, 1, TOKENS_S_MAX, true},
                   {"slots", &kind->slots, 1, SERVE_SLOTS_MAX, true},
                   {"min", &s->min, 0, SERVICE_REPLICAS_MAX, false},
                   {"max", &s->max, 1, SERVICE_REPLICAS_MAX, false},
                   {"target", &s->target, 1, 100, false},
                   {"in", &s->in_mean, 1, MEAN_MAX, false},
                   {"out", &s->out_mean, 1, MEAN_MAX, false}};
    const struct {
        const char *name;
        int64_t *to;
    } times[] = {
        {"cold", &s->cold_ms}, {"hold", &s->hold_ms}, {"idle", &s->idle_ms}, {"drain", &s->drain_ms}};
    if (strcmp(name, "chip") == 0)
        return read_kind(s, value);
    for (uint32_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0)
            return (!numbers[i].of_kind || s->kinds > 0) &&
                   read_number(value, numbers[i].least, numbers[i].most, numbers[i].to);
    }
    for (uint32_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (strcmp(name, times[i].name) == 0)
            return duration_read(value, strlen(value), times[i].to) && *times[i].to <= SERVICE_MS_MAX;
    }
    return false;
}

static int check(const struct serve *s, struct err *err)
{
    if (s->min > s->max)
        return err_set(err, ERR_INVALID, "--serve: min is above max");
    for (uint32_t i = 0; i < s->kinds; i++) {
        const struct serve_kind *k = &s->kind[i];
        if ((uint64_t)k->single * k->slots < k->decode)
            return err_set(err, ERR_INVALID,
                           "--serve chip=%s: %u slots of %u tokens a second at most cannot give %u", k->chip,
                           k->slots, k->single, k->decode);
        if ((uint64_t)k->decode * 1000 < s->kind[0].decode)
            return err_set(err, ERR_INVALID, "--serve chip=%s: less than a thousandth of the first kind",
                           k->chip);
    }
    return 0;
}

int serve_read(struct serve *serve, const char *text, struct err *err)
{
    struct option_list list = option_list("--serve", text);
    *serve = usual;
    while (option_next(&list, err)) {
        const char *value = option_value(&list);
        if (!value || !read_pair(serve, list.item, value))
            return err_set(
                err, ERR_INVALID,
                "--serve %.*s: expected chip=KIND and of it chips, prefill, decode, single, slots; "
                "cold, hold, idle, drain as 90s, 5m; min, max, target, in, out",
                list.len, list.written);
    }
    if (serve->kinds == 0)
        serve->kind[serve->kinds++] = usual_kind;
    return list.rc == 0 ? check(serve, err) : list.rc;
}

uint64_t serve_step_ns(const struct serve_kind *kind, uint32_t batch)
{
    uint64_t one = UINT64_C(1000000000) / kind->single;
    uint64_t all = UINT64_C(1000000000) * kind->slots / kind->decode;
    if (kind->slots == 1 || all < one)
        return all;
    return one + (all - one) * (batch - 1) / (kind->slots - 1);
}

uint64_t serve_prompt_weight(const struct serve *serve)
{
    return (uint64_t)serve->kind[0].decode * 1000000 / serve->kind[0].prefill;
}

void serve_event(const struct serve *serve, struct event_service_set *out)
{
    const struct serve_kind *k = serve->kind;
    char *const chip[] = {out->chip0, out->chip1, out->chip2, out->chip3};
    uint32_t *const count[] = {&out->count0, &out->count1, &out->count2, &out->count3};
    uint32_t *const tokens[] = {&out->tokens_s0, &out->tokens_s1, &out->tokens_s2, &out->tokens_s3};
    for (uint32_t i = 0; i < serve->kinds; i++) {
        memcpy(chip[i], k[i].chip, sizeof k[i].chip);
        *count[i] = k[i].chips;
        *tokens[i] = k[i].decode;
    }
    out->min = serve->min;
    out->max = serve->max;
    out->target = serve->target * 10;
    out->cold_ms = serve->cold_ms;
    out->hold_ms = serve->hold_ms;
    out->idle_ms = serve->idle_ms;
}
