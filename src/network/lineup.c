/* SPDX-License-Identifier: Apache-2.0 */
#include "network/lineup.h"

#include <string.h>

#define TARGET 700 /* of what replicas sustain; nothing is asked of these */

void lineup_kinds(struct lineup *l, const struct netfile *net)
{
    uint32_t last[NET_CHIPS_MAX]; /* pools of a site lie side by side */
    *l = (struct lineup){.nkinds = netfile_chips(net)};
    for (uint32_t i = 0; i < netfile_pools(net); i++) {
        const struct net_pool *pool = netfile_pool(net, i);
        struct lineup_kind *k = &l->kind[pool->chip];
        uint32_t chips = pool->nodes * (uint32_t)pool->node_chips.v;
        if (pool->from_ms != INT64_MIN)
            continue;
        if (!k->chip || last[pool->chip] != pool->site)
            k->sites++;
        last[pool->chip] = pool->site;
        k->chip = netfile_chip(net, pool->chip);
        k->chips += chips;
        l->chips += chips;
        if (chips > k->most) {
            k->most = chips;
            k->node_chips = (uint32_t)pool->node_chips.v;
        }
    }
}

/* ---- choosing ---- */

struct chooser {
    uint32_t left[NET_CHIPS_MAX]; /* chips */
    struct fit fit[NET_CHIPS_MAX];
};

static bool has_vendor(const struct lineup *l, const struct lineup_entry *e, const char *vendor)
{
    for (uint32_t i = 0; i < e->n; i++) {
        if (strcmp(l->kind[e->choice[i].kind].chip->vendor, vendor) == 0)
            return true;
    }
    return false;
}

static bool has_kind(const struct lineup_entry *e, uint32_t kind)
{
    for (uint32_t i = 0; i < e->n; i++) {
        if (e->choice[i].kind == kind)
            return true;
    }
    return false;
}

/* What core takes beside the first: neither less than a thousandth of it nor more than a thousand times. */
static bool goes_with(const struct lineup_entry *e, const struct fit *fit)
{
    if (e->n == 0)
        return true;
    uint64_t first = e->choice[0].fit.token_s;
    return (uint64_t)fit->token_s * 1000 >= first && fit->token_s <= first * 1000;
}

/* The kind of which most tokens a second are left; of a vendor that is not chosen yet, if `other`. */
static bool choose(const struct lineup *l, const struct chooser *c, struct lineup_entry *e, bool other)
{
    uint64_t best = 0;
    uint32_t found = NET_NONE;
    for (uint32_t k = 0; k < l->nkinds; k++) {
        const struct fit *fit = &c->fit[k];
        if (!l->kind[k].chip || fit->why != FIT_OK || has_kind(e, k) || !goes_with(e, fit) ||
            (other && has_vendor(l, e, l->kind[k].chip->vendor)))
            continue;
        uint64_t left = (uint64_t)c->left[k] * fit->token_s / fit->chips;
        if (found == NET_NONE || left > best) {
            best = left;
            found = k;
        }
    }
    if (found == NET_NONE)
        return false;
    e->choice[e->n++] = (struct lineup_choice){.kind = found, .fit = c->fit[found]};
    return true;
}

static void add(struct lineup *l, struct fitter *fitter, struct chooser *c, const struct net_model *model,
                const char *format)
{
    struct lineup_entry *e = &l->entry[l->n++];
    *e = (struct lineup_entry){.model = model};
    for (uint32_t k = 0; k < l->nkinds; k++) {
        const struct lineup_kind *kind = &l->kind[k];
        if (!kind->chip)
            continue;
        c->fit[k] = fit_model(fitter, model, format, kind->chip, kind->node_chips, kind->most);
        e->can[k] = c->fit[k].why == FIT_OK;
    }
    while (e->n < LINEUP_CHOICES && (choose(l, c, e, true) || choose(l, c, e, false)))
        continue;
}

int lineup_make(struct lineup *l, struct fitter *fitter, const struct net_model *const *models, uint32_t n,
                const char *format, uint32_t share, uint32_t replicas)
{
    struct chooser c = {.left = {0}};
    if (n > LINEUP_MAX)
        return ERR_LIMIT;
    for (uint32_t k = 0; k < l->nkinds; k++)
        c.left[k] = l->kind[k].chips;
    for (uint32_t i = 0; i < n; i++) {
        add(l, fitter, &c, models[i], format);
        struct lineup_entry *e = &l->entry[l->n - 1];
        if (e->n == 0)
            continue;
        uint32_t each = e->choice[0].fit.chips, *left = &c.left[e->choice[0].kind];
        uint64_t count = replicas ? replicas : (uint64_t)l->chips * share / 1000 / n / each;
        e->replicas = count == 0 ? 1 : count > SERVICE_REPLICAS_MAX ? SERVICE_REPLICAS_MAX : (uint32_t)count;
        uint64_t used = (uint64_t)e->replicas * each;
        *left = used < *left ? *left - (uint32_t)used : 0;
    }
    return 0;
}

bool lineup_service(const struct lineup *l, uint32_t i, struct event_service_set *out)
{
    const struct lineup_entry *e = &l->entry[i];
    char *const chip[] = {out->chip0, out->chip1, out->chip2, out->chip3};
    uint32_t *const count[] = {&out->count0, &out->count1, &out->count2, &out->count3};
    uint32_t *const tokens[] = {&out->tokens_s0, &out->tokens_s1, &out->tokens_s2, &out->tokens_s3};
    *out = (struct event_service_set){.min = e->replicas, .max = e->replicas, .target = TARGET};
    memcpy(out->name, e->model->name, sizeof e->model->name);
    for (uint32_t k = 0; k < e->n; k++) {
        memcpy(chip[k], l->kind[e->choice[k].kind].chip->name, CHIP_CAP);
        *count[k] = e->choice[k].fit.chips;
        *tokens[k] = e->choice[k].fit.token_s;
    }
    return e->n > 0;
}
