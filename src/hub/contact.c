/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/contact.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/view.h"

#define TICK_MS 1000
#define SITES_MAX 256 /* looked at in a tick; limits.sites of a hub */

struct contact {
    struct uuid site;
    int64_t at_ms;     /* Unix */
    uint64_t heard_ms; /* since the machine's boot, as leases are counted */
};

struct contacts {
    struct contacts_config config;
    uint64_t opened_ms;
    pthread_mutex_t lock; /* of the list */
    struct contact *list;
    uint32_t n;
    uv_timer_t timer;
    bool looking;
    /* What the core has of members. */
    struct {
        struct uuid site;
        bool away;
    } member[SITES_MAX];
    uint32_t nmembers;
};

static struct contact find(struct contacts *c, const struct uuid *site)
{
    struct contact found = {0};
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->n; i++) {
        if (uuid_eq(&c->list[i].site, site))
            found = c->list[i];
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

int64_t contacts_ms(struct contacts *c, const struct uuid *site)
{
    return find(c, site).at_ms;
}

void contacts_heard(struct contacts *c, const struct uuid *site)
{
    uint32_t i = 0;
    pthread_mutex_lock(&c->lock);
    while (i < c->n && !uuid_eq(&c->list[i].site, site))
        i++;
    if (i == c->n) {
        struct contact *more = realloc(c->list, (i + 1) * sizeof *more);
        if (!more)
            abort();
        c->list = more;
        c->list[c->n++].site = *site;
    }
    c->list[i].at_ms = clock_wall_ms();
    c->list[i].heard_ms = clock_boot_ms();
    pthread_mutex_unlock(&c->lock);
}

/* ---- who is not heard of ---- */

static void look(void *ctx, const struct core *core)
{
    struct contacts *c = ctx;
    const struct row_site *row;
    c->nmembers = 0;
    for (uint32_t pos = 0; c->nmembers < SITES_MAX && (row = view_site_at(core, &pos)) != NULL;) {
        const struct row_member *member = view_member(core, &row->id);
        if (!member || member->joined_ms == 0)
            continue;
        c->member[c->nmembers].site = row->id;
        c->member[c->nmembers++].away = row->away != 0;
    }
}

uint64_t contacts_silent_ms(struct contacts *c, const struct uuid *site)
{
    uint64_t heard_ms = find(c, site).heard_ms;
    return clock_boot_ms() - (heard_ms ? heard_ms : c->opened_ms);
}

static bool is_away(struct contacts *c, const struct uuid *site)
{
    return contacts_silent_ms(c, site) > c->config.lease_ms + CONTACT_MARGIN_MS;
}

static void tell(struct contacts *c, const struct uuid *site, bool away)
{
    struct event event = {.kind = EVENT_KIND_site_contact, .u.site_contact = {.site = *site, .lost = away}};
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, site);
    if (runtime_post(c->config.runtime, &event) == 0)
        log_warn(away ? "site_lost" : "site_back", "site=%s", id);
}

static void on_looked(void *ctx, const struct effect *reply)
{
    struct contacts *c = ctx;
    c->looking = false;
    for (uint32_t i = 0; i < c->nmembers && reply->code == 0; i++) {
        bool away = is_away(c, &c->member[i].site);
        if (away != c->member[i].away)
            tell(c, &c->member[i].site, away);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct contacts *c = timer->data;
    if (c->looking)
        return;
    uint64_t token = mailbox_token(c->config.box);
    asks_add(c->config.asks, token, on_looked, c);
    c->looking = runtime_query(c->config.runtime, look, c, token) == 0;
    if (!c->looking)
        asks_forget(c->config.asks, token);
}

/* ---- the whole ---- */

int contacts_open(struct contacts **out, const struct contacts_config *config, struct err *err)
{
    struct contacts *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    c->config = *config;
    c->opened_ms = clock_boot_ms();
    pthread_mutex_init(&c->lock, NULL);
    uv_timer_init(&config->loop->uv, &c->timer);
    c->timer.data = c;
    uv_timer_start(&c->timer, on_tick, TICK_MS, TICK_MS);
    *out = c;
    return 0;
}

void contacts_close(struct contacts *c)
{
    uv_close((uv_handle_t *)&c->timer, NULL);
}

void contacts_free(struct contacts *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->list);
    free(c);
}
