/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "ref/model.h"

static const struct {
    const char *name;
    size_t offset; /* in struct ref_options, of a text */
} texts[] = {{"--model", offsetof(struct ref_options, model)},
             {"--host", offsetof(struct ref_options, host)},
             {"--alias", offsetof(struct ref_options, alias)},
             {"--chat", offsetof(struct ref_options, chat)}};

static const struct {
    const char *name;
    size_t offset; /* of an uint32_t */
    uint32_t most;
    bool cut; /* more is as good as the most */
} counts[] = {{"--slots", offsetof(struct ref_options, slots), MODEL_SLOTS_MAX, false},
              {"--context", offsetof(struct ref_options, context), MODEL_CONTEXT_MAX, false},
              {"--threads", offsetof(struct ref_options, threads), TEAM_MAX, true}};

static int usage(const char *what, const char *name)
{
    fprintf(stderr,
            "busbar engine-ref: %s%s\n"
            "usage: busbar engine-ref --model FILE --host SOCKET|HOST:PORT [--alias NAME] [--slots N] "
            "[--context N] [--threads N] "
            "[--chat FORMAT]\n",
            what, name);
    return 1;
}

static int take(struct ref_options *o, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(name, texts[i].name) == 0) {
            *(const char **)(void *)((char *)o + texts[i].offset) = value;
            return 0;
        }
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint64_t n;
        if (strcmp(name, counts[i].name) != 0)
            continue;
        if (!u64_parse(value, strlen(value), counts[i].cut ? UINT32_MAX : counts[i].most, &n) || n == 0)
            return usage("not a possible number: ", name);
        *(uint32_t *)(void *)((char *)o + counts[i].offset) =
            (uint32_t)(n < counts[i].most ? n : counts[i].most);
        return 0;
    }
    return usage("there is no option ", name);
}

int ref_options_parse(struct ref_options *o, int argc, char **argv)
{
    *o = (struct ref_options){.alias = "model", .slots = 1, .threads = 1};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return usage("no value for ", argv[i]);
        if (take(o, argv[i], argv[i + 1]) != 0)
            return 1;
    }
    return o->model && o->host ? 0 : usage("--model and --host must be given", "");
}
