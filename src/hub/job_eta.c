/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/job_eta.h"

#include <string.h>

#include "base/clock.h"

#define AGAIN_MS 50

bool job_eta_wait(struct api_call *call, struct job_eta *eta, const struct uuid *job,
                  const struct event_job_submit *also)
{
    char text[CALL_PARAM_MAX] = "";
    const uint64_t now_ms = clock_boot_ms();
    if (!call_query(call, "eta", text, sizeof text) || strcmp(text, "true") != 0 || !call->hub->starts)
        return false;
    eta->since_ms = eta->since_ms ? eta->since_ms : now_ms;
    const int rc = starts_ask(call->hub->starts, job, also, &eta->answer);
    eta->told = rc == 0;
    if (rc != ERR_UNAVAILABLE || now_ms - eta->since_ms >= JOB_ETA_WAIT_MS)
        return false;
    call->again_ms = AGAIN_MS;
    return true;
}

void job_eta_render(struct buf *out, const struct job_eta *eta)
{
    if (!eta->told)
        return;
    buf_add_text(out, ",\"eta\":{");
    add_time(out, "start", eta->answer.start_ms);
    add_time(out, "low", eta->answer.low_ms);
    add_time(out, "high", eta->answer.high_ms);
    add_time(out, "as_of", eta->answer.as_of_ms);
    buf_add_char(out, '}');
}
