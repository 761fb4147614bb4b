/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices: takes what is due to be told (core/notice.c) to its tenants' webhooks, and tells the core how that went.
 *
 * At least once: the core is told after the answer came, and where that is lost the notice is delivered again under the same id. A
 * tenant has one delivery under way at a time, so that one whose receiver is slow delays nobody else, and there are NOTICES_AT_ONCE
 * in all. On the loop's thread; deliveries on threads that may block.
 */
#ifndef BUSBAR_HUB_NOTICES_H
#define BUSBAR_HUB_NOTICES_H

#include "hub/hub.h"
#include "net/loop.h"

#define NOTICES_AT_ONCE 4

struct notices;

int notices_start(struct notices **out, struct loop *loop, const struct hub *hub, struct err *err);
/* Deliveries under way are broken off. Then the loop runs, then notices_free. */
void notices_stop(struct notices *notices);
void notices_free(struct notices *notices);

#endif
