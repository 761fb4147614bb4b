/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent of a site: joins a hub's network, keeps its certificate fresh, and stays in touch.
 *
 * Its folder has pki/site.key and pki/site.pem, and site.json: the hub's address, the root's digest, who the site is.
 */
#ifndef BUSBAR_SITE_AGENT_H
#define BUSBAR_SITE_AGENT_H

#include "base/err.h"

/* Joins with a token, once: makes the key, asks for a certificate, writes both. `hub`: HOST:PORT of its door for sites. What a
 * call before left is used again, so that it may be repeated with the same token. Blocks. ERR_EXISTS: the folder belongs
 * to a site of another hub. */
int agent_join(const char *data_dir, const char *hub, const char *token, struct err *err);

/* Runs until SIGTERM or SIGINT. Returns 0, or ERR_FORBIDDEN when the hub will not have this site any more; a hub that is
 * not reached is tried again and again. */
int agent_run(const char *data_dir, struct err *err);

#endif
