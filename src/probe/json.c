/* SPDX-License-Identifier: Apache-2.0 */
/* Scans as JSON, both ways. One table of members serves both. */
#include <stddef.h>
#include <string.h>

#include "net/json.h"
#include "probe/parts.h"

enum kind { TEXT, NUMBER };

struct member {
    const char *name;
    enum kind kind;
    size_t at, cap;
};

#define TEXT_OF(type, field) \
    { \
#field, TEXT, offsetof(struct type, field), sizeof(((struct type *)0)->field) \
    }
#define NUMBER_OF(type, field) \
    { \
#field, NUMBER, offsetof(struct type, field), 0 \
    }
#define CHIP_TEXT(field) TEXT_OF(probe_chip, field)
#define CHIP_NUMBER(field) NUMBER_OF(probe_chip, field)

static const struct member chip_members[] = {
    CHIP_TEXT(vendor),
    CHIP_TEXT(pci),
    CHIP_TEXT(id),
    CHIP_TEXT(revision),
    CHIP_TEXT(kind),
    CHIP_TEXT(model),
    CHIP_TEXT(serial),
    CHIP_TEXT(uuid),
    CHIP_NUMBER(index),
    CHIP_TEXT(node),
    CHIP_TEXT(card),
    CHIP_NUMBER(die),
    CHIP_NUMBER(numa),
    CHIP_NUMBER(memory_mib),
    CHIP_NUMBER(memory_used_mib),
    CHIP_NUMBER(power_mw),
    CHIP_NUMBER(power_limit_mw),
    CHIP_NUMBER(temperature_c),
    CHIP_NUMBER(utilisation_pct),
    CHIP_TEXT(health_text),
    CHIP_TEXT(module),
    CHIP_TEXT(driver),
};

static const struct member cpu_members[] = {
    TEXT_OF(probe_cpu, vendor),       TEXT_OF(probe_cpu, model),        TEXT_OF(probe_cpu, isa),
    NUMBER_OF(probe_cpu, sockets),    NUMBER_OF(probe_cpu, cores),      NUMBER_OF(probe_cpu, threads),
    NUMBER_OF(probe_cpu, numa_nodes), NUMBER_OF(probe_cpu, memory_mib),
};

static const struct member link_members[] = {
    TEXT_OF(probe_link, peer),
    TEXT_OF(probe_link, kind),
    NUMBER_OF(probe_link, count),
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct {
    unsigned bit;
    const char *name;
} sources[] = {{PROBE_PCI, "pci"}, {PROBE_LIBRARY, "library"}, {PROBE_COMMAND, "command"}};

/* ---- writing ---- */

static void add_comma(struct buf *out)
{
    char last = buf_last(out);
    if (last != '{' && last != '[')
        buf_add_char(out, ',');
}

static void add_name(struct buf *out, const char *name)
{
    add_comma(out);
    buf_add_json(out, name, strlen(name));
    buf_add_char(out, ':');
}

static void add_members(struct buf *out, const struct member *m, size_t n, const void *from)
{
    for (; n > 0; n--, m++) {
        const char *text = (const char *)from + m->at;
        int64_t v = 0;
        if (m->kind == NUMBER)
            memcpy(&v, text, sizeof v);
        if (m->kind == TEXT ? text[0] == 0 : v == PROBE_UNKNOWN)
            continue;
        add_name(out, m->name);
        if (m->kind == TEXT)
            buf_add_json(out, text, strlen(text));
        else
            buf_addf(out, "%lld", (long long)v);
    }
}

static void add_object(struct buf *out, const struct member *m, size_t n, const void *from)
{
    buf_add_char(out, '{');
    add_members(out, m, n, from);
    buf_add_char(out, '}');
}

void probe_chip_json(struct buf *out, const struct probe_chip *chip)
{
    const char *health = probe_health_text(chip->health);
    buf_add_char(out, '{');
    add_members(out, chip_members, COUNT(chip_members), chip);
    add_name(out, "health");
    buf_add_json(out, health, strlen(health));
    if (chip->links > 0) {
        add_name(out, "links");
        buf_add_char(out, '[');
        for (uint32_t i = 0; i < chip->links; i++) {
            add_comma(out);
            add_object(out, link_members, COUNT(link_members), &chip->link[i]);
        }
        buf_add_char(out, ']');
    }
    add_name(out, "sources");
    buf_add_char(out, '[');
    for (size_t i = 0; i < COUNT(sources); i++) {
        if (!(chip->sources & sources[i].bit))
            continue;
        add_comma(out);
        buf_add_json(out, sources[i].name, strlen(sources[i].name));
    }
    buf_add_text(out, "]}");
}

void probe_json(struct buf *out, const struct probe_scan *scan)
{
    buf_add_text(out, "{\"chips\":[");
    for (uint32_t i = 0; i < scan->n; i++) {
        add_comma(out);
        probe_chip_json(out, &scan->chip[i]);
    }
    buf_add_text(out, "],\"cpu\":");
    add_object(out, cpu_members, COUNT(cpu_members), &scan->cpu);
    if (scan->dropped > 0)
        buf_addf(out, ",\"dropped\":%u", scan->dropped);
    buf_add_text(out, ",\"notes\":[");
    for (uint32_t i = 0; i < scan->notes; i++) {
        add_comma(out);
        buf_add_json(out, scan->note[i], strlen(scan->note[i]));
    }
    buf_add_text(out, "]}");
}

/* ---- reading ---- */

static void take_members(void *into, const struct member *m, size_t n, yyjson_val *object)
{
    for (; n > 0; n--, m++) {
        yyjson_val *v = yyjson_obj_get(object, m->name);
        char *at = (char *)into + m->at;
        if (m->kind == TEXT && yyjson_is_str(v) && yyjson_get_len(v) < m->cap) {
            text_take(at, m->cap, yyjson_get_str(v), yyjson_get_len(v));
        } else if (m->kind == NUMBER && yyjson_is_int(v) &&
                   (yyjson_is_sint(v) || yyjson_get_uint(v) <= INT64_MAX)) {
            int64_t number = yyjson_get_sint(v);
            memcpy(at, &number, sizeof number);
        }
    }
}

static void take_links(struct probe_chip *chip, yyjson_val *list)
{
    yyjson_val *v;
    yyjson_arr_iter at;
    (void)yyjson_arr_iter_init(list, &at);
    while ((v = yyjson_arr_iter_next(&at)) && chip->links < PROBE_LINKS_MAX) {
        struct probe_link *link = &chip->link[chip->links++];
        link->count = PROBE_UNKNOWN;
        take_members(link, link_members, COUNT(link_members), v);
    }
}

static void take_chip(struct probe_chip *chip, yyjson_val *v)
{
    yyjson_val *source;
    yyjson_arr_iter at;
    const char *health = yyjson_get_str(yyjson_obj_get(v, "health"));
    take_members(chip, chip_members, COUNT(chip_members), v);
    for (int h = PROBE_HEALTH_UNKNOWN; health && h <= PROBE_FAILED; h++) {
        if (strcmp(health, probe_health_text((enum probe_health)h)) == 0)
            chip->health = (enum probe_health)h;
    }
    take_links(chip, yyjson_obj_get(v, "links"));
    (void)yyjson_arr_iter_init(yyjson_obj_get(v, "sources"), &at);
    while ((source = yyjson_arr_iter_next(&at))) {
        for (size_t i = 0; i < COUNT(sources); i++) {
            if (yyjson_equals_str(source, sources[i].name))
                chip->sources |= sources[i].bit;
        }
    }
}

static void clear_cpu(struct probe_cpu *cpu)
{
    memset(cpu, 0, sizeof *cpu);
    cpu->sockets = cpu->cores = cpu->threads = cpu->numa_nodes = cpu->memory_mib = PROBE_UNKNOWN;
}

int probe_read(struct probe_scan *out, const char *json, size_t len, struct err *err)
{
    yyjson_arr_iter at;
    yyjson_val *v;
    memset(out, 0, sizeof *out);
    clear_cpu(&out->cpu);
    yyjson_doc *doc = json_parse_object(json, len, err);
    yyjson_val *root = doc ? yyjson_doc_get_root(doc) : NULL, *chips = yyjson_obj_get(root, "chips");
    if (!doc)
        return ERR_INVALID;
    if (!yyjson_is_arr(chips)) {
        yyjson_doc_free(doc);
        return err_set(err, ERR_INVALID, "chips: a list is needed");
    }
    (void)yyjson_arr_iter_init(chips, &at);
    while ((v = yyjson_arr_iter_next(&at))) {
        struct probe_chip *chip = yyjson_is_obj(v) ? scan_add(out) : NULL;
        if (chip)
            take_chip(chip, v);
    }
    take_members(&out->cpu, cpu_members, COUNT(cpu_members), yyjson_obj_get(root, "cpu"));
    yyjson_val *dropped = yyjson_obj_get(root, "dropped");
    if (yyjson_is_uint(dropped) && yyjson_get_uint(dropped) <= UINT32_MAX - out->dropped)
        out->dropped += (uint32_t)yyjson_get_uint(dropped);
    (void)yyjson_arr_iter_init(yyjson_obj_get(root, "notes"), &at);
    while ((v = yyjson_arr_iter_next(&at))) {
        char note[PROBE_WORDS_CAP];
        if (!yyjson_is_str(v))
            continue;
        text_take(note, sizeof note, yyjson_get_str(v), yyjson_get_len(v));
        scan_note(out, "%s", note);
    }
    yyjson_doc_free(doc);
    return 0;
}
