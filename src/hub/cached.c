/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/cached.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "core/view.h"
#include "hub/api.h"
#include "site/holdings.h"

struct held {
    uint8_t digest[DIGEST_LEN];
    uint64_t size;
};

struct said {
    struct uuid site;
    struct held blob[HOLDINGS_MAX];
    uint32_t n;
};

struct cached {
    pthread_mutex_t lock; /* of the list: it is read on the core's thread */
    struct said *list;
    uint32_t n;
};

struct cached *cached_new(void)
{
    struct cached *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void cached_free(struct cached *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c->list);
    free(c);
}

/* ---- what a site says ---- */

static void keep(struct cached *c, const struct said *said)
{
    uint32_t i = 0;
    pthread_mutex_lock(&c->lock);
    while (i < c->n && !uuid_eq(&c->list[i].site, &said->site))
        i++;
    if (i == c->n) {
        struct said *more = realloc(c->list, (i + 1) * sizeof *more);
        if (!more)
            abort(); /* a few kilobytes for each site */
        c->list = more;
        c->n++;
    }
    c->list[i] = *said;
    pthread_mutex_unlock(&c->lock);
}

static void answer(struct visit *visit)
{
    struct said *said = visit->data;
    struct buf out;
    said->site = visit->site;
    keep(visit_cached(visit), said);
    visit_begin(visit, &out);
    visit_end(visit, &out);
}

static bool take_one(struct said *said, yyjson_val *item)
{
    struct held *held = &said->blob[said->n];
    yyjson_val *name = yyjson_obj_get(item, "sha256"), *size = yyjson_obj_get(item, "size");
    if (said->n == HOLDINGS_MAX || !yyjson_is_str(name) || !yyjson_is_uint(size) ||
        yyjson_get_uint(size) > BLOB_MAX || !blob_name_valid(yyjson_get_str(name), yyjson_get_len(name)) ||
        !hex_decode(held->digest, sizeof held->digest, yyjson_get_str(name), yyjson_get_len(name)))
        return false;
    held->size = yyjson_get_uint(size);
    said->n++;
    return true;
}

int cached_take(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct said *said = calloc(1, sizeof *said);
    yyjson_val *list = yyjson_obj_get(root, "cached"), *item;
    bool good = yyjson_is_arr(list);
    if (!said)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = said;
    visit->drop = free;
    visit->answer = answer;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while (good && (item = yyjson_arr_iter_next(&it)) != NULL)
        good = take_one(said, item);
    if (!good)
        return err_set(err, ERR_INVALID, "cached: must be a list of at most %d, each with sha256 and size",
                       HOLDINGS_MAX);
    visit_ask(visit);
    return 0;
}

/* ---- what is shown ---- */

static void render_models(const struct core *core, const struct held *held, struct buf *out)
{
    const struct row_variant *variant;
    const char *sep = "";
    buf_add_text(out, ",\"models\":[");
    for (uint32_t pos = 0; (variant = view_variant_at(core, &pos)) != NULL;) {
        const struct row_model *model =
            memcmp(variant->digest, held->digest, DIGEST_LEN) == 0 ? view_model(core, &variant->model) : NULL;
        if (!model)
            continue;
        buf_add_text(out, sep);
        buf_add_json(out, model->name, text_len(model->name, sizeof model->name));
        sep = ",";
    }
    buf_add_char(out, ']');
}

void cached_render(struct cached *c, const struct core *core, const struct uuid *site, struct buf *out)
{
    char name[BLOB_NAME_LEN + 1];
    uint32_t i = 0;
    pthread_mutex_lock(&c->lock);
    while (i < c->n && !uuid_eq(&c->list[i].site, site))
        i++;
    buf_add_text(out, i < c->n ? ",\"cached\":[" : ",\"cached\":null");
    for (uint32_t k = 0; i < c->n && k < c->list[i].n; k++) {
        const struct held *held = &c->list[i].blob[k];
        blob_name(name, held->digest);
        buf_addf(out, "%s{\"sha256\":\"%s\",\"size\":%llu", k ? "," : "", name,
                 (unsigned long long)held->size);
        render_models(core, held, out);
        buf_add_char(out, '}');
    }
    buf_add_text(out, i < c->n ? "]" : "");
    pthread_mutex_unlock(&c->lock);
}
