/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/uplink.h"

static int attach(void *ctx, struct mailbox *box)
{
    return runtime_attach(ctx, box);
}

static void detach(void *ctx, struct mailbox *box)
{
    runtime_detach(ctx, box);
}

static int post(void *ctx, const struct event *events, uint32_t n)
{
    return runtime_post_all(ctx, events, n);
}

static bool ready(void *ctx)
{
    return runtime_ready(ctx);
}

struct uplink uplink_runtime(struct runtime *runtime)
{
    static const struct uplink_ops ops = {.attach = attach, .detach = detach, .post = post, .ready = ready};
    return (struct uplink){.ops = &ops, .ctx = runtime, .runtime = runtime};
}
