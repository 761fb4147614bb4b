/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/joining.h"

#include "base/digest.h"
#include "hub/door.h"
#include "net/spiffe.h"

#define TOKEN_MINUTES_DEFAULT 15

int joining_parse(struct api_call *call)
{
    static const char *const members[] = {"minutes", NULL};
    struct event_site_token *e = &call->events[0].u.site_token;
    uint64_t minutes = TOKEN_MINUTES_DEFAULT;
    call->events[0].kind = EVENT_KIND_site_token;
    call->nevents = 1;
    if (!call->hub->door)
        return err_set(&call->err, ERR_WRONG_STATE,
                       "This hub listens for no members; start it with --site-listen HOST:PORT.");
    int rc = body_only(call, members);
    if (rc == 0)
        rc = body_count(call, "minutes", SITE_TOKEN_MS_MAX / 60000, &minutes);
    if (rc == 0 && minutes == 0)
        rc = err_set(&call->err, ERR_INVALID, "minutes: must be at least 1");
    _Static_assert(sizeof call->secret > JOIN_TOKEN_LEN, "a token fits");
    join_token_new(call->secret, door_root(call->hub->door));
    digest_sha256(e->token, call->secret, JOIN_TOKEN_LEN);
    e->expires_ms = runtime_now_ms(call->hub->runtime) + (int64_t)minutes * 60000;
    return rc;
}

void joining_words(struct api_call *call)
{
    buf_take_back(&call->out, '}');
    add_text(&call->out, "token", call->secret, sizeof call->secret);
    add_text(&call->out, "hub", call->hub->site_listen, sizeof call->hub->site_listen);
    add_time(&call->out, "token_expires", call->events[0].u.site_token.expires_ms);
    buf_add_char(&call->out, '}');
}
