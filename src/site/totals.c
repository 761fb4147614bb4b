/* SPDX-License-Identifier: Apache-2.0 */
#include "site/totals.h"

#include <stdlib.h>

#include "base/list.h"

struct total {
    struct list node;
    struct serve_used used;
    bool due, sent; /* sent: as it is */
};

struct totals {
    struct list list;
};

struct totals *totals_new(void)
{
    struct totals *t = calloc(1, sizeof *t);
    if (!t)
        abort(); /* a few bytes */
    list_init(&t->list);
    return t;
}

static void drop(struct total *total)
{
    list_remove(&total->node);
    free(total);
}

void totals_free(struct totals *t)
{
    if (!t)
        return;
    list_for_each_safe (it, next, &t->list)
        drop(list_entry(it, struct total, node));
    free(t);
}

static struct total *find(struct totals *t, const struct serve_used *used)
{
    list_for_each_safe (it, next, &t->list) {
        struct total *total = list_entry(it, struct total, node);
        if (uuid_eq(&total->used.deployment, &used->deployment) && total->used.ordinal == used->ordinal &&
            total->used.epoch == used->epoch)
            return total;
    }
    return NULL;
}

bool totals_take(struct totals *t, const struct serve_used *used)
{
    struct total *total = find(t, used);
    if (total && total->used.run == used->run && total->used.energy_mj == used->energy_mj &&
        total->used.final == used->final)
        return total->due;
    if (!total) {
        total = calloc(1, sizeof *total);
        if (!total)
            abort(); /* a few bytes for a replica of gigabytes */
        list_push(&t->list, &total->node);
    }
    total->used = *used;
    total->due = true;
    total->sent = false;
    return true;
}

static void add(struct buf *out, const struct serve_used *used, bool more)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &used->deployment);
    buf_addf(out,
             "%s{\"deployment\":\"%s\",\"ordinal\":%u,\"epoch\":%u,\"run\":%llu,\"energy_mj\":%llu,"
             "\"estimated\":%s,\"final\":%s}",
             more ? "," : "", id, used->ordinal, used->epoch, (unsigned long long)used->run,
             (unsigned long long)used->energy_mj, used->estimated ? "true" : "false",
             used->final ? "true" : "false");
}

void totals_add(struct totals *t, struct buf *out)
{
    uint32_t n = 0;
    list_for_each_safe (it, next, &t->list) {
        struct total *total = list_entry(it, struct total, node);
        total->sent = total->due && n < TOTALS_CALL_MAX;
        if (total->sent)
            add(out, &total->used, n++ > 0);
    }
}

bool totals_told(struct totals *t)
{
    bool more = false;
    list_for_each_safe (it, next, &t->list) {
        struct total *total = list_entry(it, struct total, node);
        total->due = total->due && !total->sent;
        more = more || total->due;
        if (!total->due && total->used.final)
            drop(total);
    }
    return more;
}
