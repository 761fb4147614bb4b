/* SPDX-License-Identifier: Apache-2.0 */
/* What entries of a tariff may have. A member that nobody would read is refused: it may be a price with a slip in its name. */
#include <string.h>

#include "hub/tariff.h"

#define MEMBERS_MAX 8

enum type { TEXT, AMOUNT, NUMBER, FLAG, LIST, OBJECT };

static const char *const type_words[] = {
    "a text", "an amount such as \"12.50\"", "a whole number", "true or false", "a list", "an object"};

struct member {
    const char *name;
    enum type type;
    bool required;
};

/* Each ends with one without a name. */
static const struct member members[TARIFF_ENTRY_END][MEMBERS_MAX] = {
    [TARIFF_ENTRY_MODEL] = {{"name", TEXT, true},
                            {"input", AMOUNT, true},
                            {"cached", AMOUNT, true},
                            {"output", AMOUNT, true},
                            {"reasoning", AMOUNT, true}},
    [TARIFF_ENTRY_OWN_MODEL] = {{"name", TEXT, true},
                                {"input", AMOUNT, false}, /* none of them if it is the general one */
                                {"cached", AMOUNT, false},
                                {"output", AMOUNT, false},
                                {"reasoning", AMOUNT, false},
                                {"general", FLAG, false}},
    [TARIFF_ENTRY_CHIP] = {{"kind", TEXT, true},
                           {"hour", AMOUNT, true},
                           {"deferrable", NUMBER, false},
                           {"interruptible", NUMBER, false},
                           {"bands", LIST, false},
                           {"signal", OBJECT, false},
                           {"energy", TEXT, false}},
    [TARIFF_ENTRY_OWN_CHIP] = {{"kind", TEXT, true}, {"hour", AMOUNT, false}, {"general", FLAG, false}},
    [TARIFF_ENTRY_BAND] = {{"hours", TEXT, true}, {"factor", NUMBER, true}},
    [TARIFF_ENTRY_SIGNAL] = {{"min", NUMBER, true}, {"max", NUMBER, true}},
    [TARIFF_ENTRY_CORRIDOR] = {{"a", TEXT, true}, {"b", TEXT, true}, {"gb", AMOUNT, true}},
    [TARIFF_ENTRY_FREE_TOKENS] = {{"model", TEXT, true}, {"tokens", NUMBER, true}},
    [TARIFF_ENTRY_FREE_CHIP] = {{"chip", TEXT, true}, {"chip_ms", NUMBER, true}},
    [TARIFF_ENTRY_TENANT] = {{"name", TEXT, true},
                             {"minimum", AMOUNT, false},
                             {"models", LIST, false},
                             {"chips", LIST, false},
                             {"free", LIST, false}},
};

const char *tariff_text(yyjson_val *entry, const char *name)
{
    const char *text = yyjson_get_str(yyjson_obj_get(entry, name));
    return text ? text : "";
}

static bool is_of(yyjson_val *v, enum type type)
{
    switch (type) {
    case TEXT:
    case AMOUNT:
        return yyjson_is_str(v);
    case NUMBER:
        return yyjson_is_uint(v);
    case FLAG:
        return yyjson_is_bool(v);
    case LIST:
        return yyjson_is_arr(v);
    default:
        return yyjson_is_obj(v);
    }
}

int tariff_check_entry(struct api_call *call, yyjson_val *entry, const char *where, enum tariff_entry of)
{
    const struct member *all = members[of];
    yyjson_obj_iter it = yyjson_obj_iter_with(entry);
    yyjson_val *key;
    unsigned seen = 0;
    if (!yyjson_is_obj(entry))
        return err_set(&call->err, ERR_INVALID, "%s: each must be an object", where);
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        unsigned i = 0;
        while (all[i].name && !yyjson_equals_str(key, all[i].name))
            i++;
        if (!all[i].name)
            return err_set(&call->err, ERR_INVALID, "%s: %.60s: there is no such member", where,
                           yyjson_get_str(key));
        if (seen & 1u << i)
            return err_set(&call->err, ERR_INVALID, "%s: %s: is there twice", where, all[i].name);
        if (!is_of(yyjson_obj_iter_get_val(key), all[i].type))
            return err_set(&call->err, ERR_INVALID, "%s: %s: must be %s", where, all[i].name,
                           type_words[all[i].type]);
        seen |= 1u << i;
    }
    for (unsigned i = 0; all[i].name; i++) {
        if (all[i].required && !(seen & 1u << i))
            return err_set(&call->err, ERR_INVALID, "%s: %s: must be there", where, all[i].name);
    }
    return 0;
}

static bool same_text(yyjson_val *x, const char *of_x, yyjson_val *y, const char *of_y)
{
    return strcmp(tariff_text(x, of_x), tariff_text(y, of_y)) == 0;
}

/* The members that name what they are about are equal; a corridor's ends in any order. */
static bool same_subject(yyjson_val *x, yyjson_val *y)
{
    static const char *const names[] = {"name", "kind", "model", "chip"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!same_text(x, names[i], y, names[i]))
            return false;
    }
    return (same_text(x, "a", y, "a") && same_text(x, "b", y, "b")) ||
           (same_text(x, "a", y, "b") && same_text(x, "b", y, "a"));
}

int tariff_check_once(struct api_call *call, yyjson_val *list, yyjson_val *entry, const char *where)
{
    yyjson_val *other;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while ((other = yyjson_arr_iter_next(&it)) != NULL && other != entry) {
        if (same_subject(other, entry))
            return err_set(&call->err, ERR_INVALID, "%s: one is there twice", where);
    }
    return 0;
}
