/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network from any files: refused with a problem that names a line, or one whose events can all be made and whose map can
 * be drawn. The parts of the input, divided by lines of %%, are net.yaml, base.yaml, chips.yaml and series.csv; a part
 * that is not there is a small one that is well-formed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "network/netfile.h"
#include "network/netmap.h"
#include "network/summary.h"

#define PARTS 4
#define EVENTS_WALKED 300u

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct part {
    const char *path;
    const char *text;
    size_t len;
};

static int read_part(void *ctx, const char *path, struct buf *out, struct err *err)
{
    const struct part *parts = ctx;
    for (int i = 0; i < PARTS; i++) {
        if (strcmp(parts[i].path, path) == 0) {
            buf_add(out, parts[i].text, parts[i].len);
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "no such file");
}

static void split_parts(struct part parts[PARTS], const char *text, size_t len)
{
    for (int i = 0; i < PARTS; i++) {
        const char *mark = len >= 4 ? memmem(text, len, "\n%%\n", 4) : NULL;
        parts[i].text = text;
        parts[i].len = mark ? (size_t)(mark - text) + 1 : len;
        if (!mark)
            return;
        len -= (size_t)(mark + 4 - text);
        text = mark + 4;
    }
}

static void use(const struct netfile *nf)
{
    struct event event;
    struct buf svg;
    uint32_t n = netfile_events(nf, 0), pos = 0;
    int64_t at, before = INT64_MIN;
    for (uint32_t i = 0; i < n && i < EVENTS_WALKED; i++) {
        netfile_event(nf, i, 1800000000000, &event);
        assert(event.kind > 0 && event.kind < EVENT_KIND_END);
    }
    while (pos < EVENTS_WALKED && netfile_dated(nf, &pos, &at, &event)) {
        assert(at >= before && event.at_ms == at);
        before = at;
    }
    struct net_summary *summary = malloc(sizeof *summary);
    assert(summary);
    net_summary(nf, summary);
    assert(summary->sites > 0 && summary->islands > 0 && summary->islands <= summary->sites);
    free(summary);
    buf_init(&svg, 1 << 24);
    netmap_draw(nf, NULL, &svg);
    assert(!svg.failed);
    buf_fini(&svg);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const char chips[] = "server_share: 1.6 assumed x\nidle_share: 0.3 assumed x\nchips:\n"
                                "  - {name: c, vendor: v, origin: CN, fp16_tflops: 1 vendor x, "
                                "memory_gib: 1 vendor x, tdp_w: 1 vendor x}\n";
    static const char base[] = "chips: chips.yaml\nsites:\n  - {name: b, jurisdiction: CN, lat: 1, lon: 2, "
                               "price_usd_mwh: 3, carbon_g_kwh: 4}\n";
    struct part parts[PARTS] = {{"net.yaml", "", 0},
                                {"base.yaml", base, sizeof base - 1},
                                {"chips.yaml", chips, sizeof chips - 1},
                                {"series.csv", "", 0}};
    struct problems problems;
    struct netfile *nf;
    split_parts(parts, (const char *)data, size);
    problems_init(&problems);
    int rc = netfile_load_with(&nf, "net.yaml", read_part, parts, &problems);
    assert((rc == 0) == (nf != NULL) && (rc == 0) == problems_none(&problems));
    for (uint32_t i = 0; i < problems.n; i++)
        assert(problems.list[i].text[0] && problems.list[i].file[0]);
    if (nf)
        use(nf);
    netfile_free(nf);
    problems_fini(&problems);
    return 0;
}
