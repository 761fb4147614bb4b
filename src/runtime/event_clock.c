/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/event_clock.h"

#include "base/clock.h"
#include "base/log.h"

#define TOLD_MS 10000 /* a lead that is told */

void event_clock_init(struct event_clock *clock, int64_t last_ms, int64_t wall_ms, uint64_t boot_ms)
{
    clock->last_ms = wall_ms > last_ms ? wall_ms : last_ms;
    clock->ahead_ms = clock->last_ms - (int64_t)boot_ms;
    clock->drawn_ms = boot_ms;
    clock->told = false;
}

int64_t event_clock_lead_ms(const struct event_clock *clock, int64_t wall_ms, uint64_t boot_ms)
{
    int64_t own_ms = (int64_t)boot_ms + clock->ahead_ms;
    return own_ms > wall_ms ? own_ms - wall_ms : 0;
}

int64_t event_clock_at(struct event_clock *clock, int64_t wall_ms, uint64_t boot_ms)
{
    int64_t lead_ms = event_clock_lead_ms(clock, wall_ms, boot_ms);
    if (lead_ms == 0) {
        clock->ahead_ms = wall_ms - (int64_t)boot_ms;
        clock->drawn_ms = boot_ms;
    } else {
        int64_t back_ms = (int64_t)((boot_ms - clock->drawn_ms) / EVENT_CLOCK_SLEW);
        clock->ahead_ms -= back_ms < lead_ms ? back_ms : lead_ms;
        clock->drawn_ms += (uint64_t)back_ms * EVENT_CLOCK_SLEW;
    }
    int64_t now_ms = (int64_t)boot_ms + clock->ahead_ms;
    clock->last_ms = now_ms > clock->last_ms ? now_ms : clock->last_ms;
    return clock->last_ms;
}

int64_t event_clock_now(struct event_clock *clock)
{
    int64_t wall_ms = clock_wall_ms();
    uint64_t boot_ms = clock_boot_ms();
    int64_t now_ms = event_clock_at(clock, wall_ms, boot_ms);
    int64_t lead_ms = event_clock_lead_ms(clock, wall_ms, boot_ms);
    if (lead_ms > TOLD_MS && !clock->told)
        log_warn("clock_set_back", "behind_s=%lld of the time of events, which goes on",
                 (long long)(lead_ms / 1000));
    clock->told = lead_ms > TOLD_MS;
    return now_ms;
}

int64_t event_clock_peek(const struct event_clock *clock)
{
    int64_t wall_ms = clock_wall_ms();
    return wall_ms + event_clock_lead_ms(clock, wall_ms, clock_boot_ms());
}

int64_t event_clock_used(const struct event_clock *clock, uint64_t age_ms)
{
    int64_t now_ms = event_clock_peek(clock);
    if (age_ms == 0)
        return 0;
    return age_ms < (uint64_t)now_ms ? now_ms - (int64_t)age_ms : 1; /* too old, whatever is accepted */
}
