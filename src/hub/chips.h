/* SPDX-License-Identifier: Apache-2.0 */
/* Single chips as the API shows them (core/registry.h); for the files of this folder. */
#ifndef BUSBAR_HUB_CHIPS_H
#define BUSBAR_HUB_CHIPS_H

#include "core/registry.h"
#include "hub/api.h"

/* By id or name, the latter as a path has it, with % for what is not plain; NULL with words in call->err. */
const struct row_unit *call_chip(struct api_call *call, const struct core *core, const char *text);
/* Where it was made: as an operator says, else as the catalogue has it. */
const char *chip_origin(const struct row_unit *row);
/* An object, to be closed by the caller. */
void render_chip(struct buf *out, const struct core *core, const struct row_unit *row);
void render_chip_alarm(struct buf *out, const struct core *core, const struct row_unit_alarm *row);
/* For `busbar status`: members "chips" and "chip_alarms", CHIP_ALARMS_SHOWN at most. */
#define CHIP_ALARMS_SHOWN 16
void add_chip_status(struct buf *out, const struct core *core);
void add_chip_metrics(struct buf *out, const struct core *core);

#endif
