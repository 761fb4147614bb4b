/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens with which members join, sites and gateways alike: told once, good for minutes and for one of them. */
#ifndef BUSBAR_HUB_JOINING_H
#define BUSBAR_HUB_JOINING_H

#include "hub/api.h"

/* Makes the token that a call asks for and the event that lets it in; whose it is, the event's `site`, is the caller's to say. */
int joining_parse(struct api_call *call);
/* Adds to the object that ends the answer so far: the token, where the hub listens, until when. */
void joining_words(struct api_call *call);

#endif
