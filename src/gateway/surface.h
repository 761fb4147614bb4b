/* SPDX-License-Identifier: Apache-2.0 */
/* The paths under /v1: one table. */
#ifndef BUSBAR_GATEWAY_SURFACE_H
#define BUSBAR_GATEWAY_SURFACE_H

#include "gateway/worker.h"

void surface_handle(struct worker *worker, struct http_request *request);

#endif
