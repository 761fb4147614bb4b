/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/drawn.h"

#include <stdlib.h>

#include "base/clock.h"

/* A kind's power; 0: not known. */
static uint32_t watts_of(const struct chipset *chipset, char *kind)
{
    struct job_chips chips = {.kind = kind};
    struct err err = {0};
    if (!chipset || chipset_fill(chipset, &chips, &err) != 0)
        return 0;
    for (uint32_t i = 0; i < chips.devices_count; i++)
        free(chips.devices[i]);
    free(chips.devices);
    free(chips.visible);
    return chips.watts;
}

void drawn_init(struct drawn *d, const struct chipset *chipset, char *chip, uint32_t chips)
{
    static char cpu[] = "cpu";
    bool own = chips > 0 && chip[0];
    *d = (struct drawn){.run = (uint64_t)clock_wall_ms(),
                        .chips = {.kind = chip, .count = chips, .watts = own ? watts_of(chipset, chip) : 0},
                        .shared_watts = own ? 0 : watts_of(chipset, cpu)};
    d->spec.chips_count = own ? 1 : 0;
}

void drawn_start(struct drawn *d)
{
    d->spec.chips = &d->chips;
    meter_init(&d->meter, METER_POWERCAP, NULL, clock_boot_ms());
    meter_share(&d->meter, d->shared_watts);
    d->running = true;
    drawn_look(d, 0);
}

void drawn_look(struct drawn *d, pid_t pid)
{
    uint64_t now_ms = clock_boot_ms();
    if (!d->running)
        return;
    (void)meter_look(&d->meter, &d->spec, pid, now_ms);
    uint32_t source = meter_source(&d->meter, &d->spec);
    d->known = d->known || source != ENERGY_NONE;
    d->estimated = d->estimated || source == ENERGY_ESTIMATED;
}

void drawn_stop(struct drawn *d)
{
    drawn_look(d, 0);
    d->before_mj = drawn_mj(d);
    d->running = false;
}

uint64_t drawn_mj(const struct drawn *d)
{
    return d->before_mj + (d->running ? meter_energy_mj(&d->meter) : 0);
}
