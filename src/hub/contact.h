/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contacts: when sites were last heard of, and what follows when they are not.
 *
 * A site that is not reached goes on with its jobs until their leases end. So the hub places what runs there again only
 * when it has not heard of the site for as long as a lease, and CONTACT_MARGIN_MS more, in which jobs are ended there:
 * then the core is told that contact is lost, and with the next call that it is back. Of a site that was not heard of
 * since the hub started, the start counts: it may have called a moment before. Clocks are those of the machine since its
 * boot, never the wall's.
 */
#ifndef BUSBAR_HUB_CONTACT_H
#define BUSBAR_HUB_CONTACT_H

#include "net/loop.h"
#include "runtime/asks.h"
#include "runtime/runtime.h"

#define CONTACT_MARGIN_MS 30000 /* design: section 7 */

struct contacts;

struct contacts_config {
    struct loop *loop;
    struct runtime *runtime;
    struct mailbox *box;
    struct asks *asks;
    uint64_t lease_ms;
};

int contacts_open(struct contacts **out, const struct contacts_config *config, struct err *err);
void contacts_heard(struct contacts *contacts, const struct uuid *site);
/* When it was last heard of in this run of the hub, Unix ms; 0: not yet. From any thread. */
int64_t contacts_ms(struct contacts *contacts, const struct uuid *site);
/* For how long it was not heard of, or since the hub's start; ms. From any thread. */
uint64_t contacts_silent_ms(struct contacts *contacts, const struct uuid *site);
/* Then the loop runs, then contacts_free. */
void contacts_close(struct contacts *contacts);
void contacts_free(struct contacts *contacts);

#endif
