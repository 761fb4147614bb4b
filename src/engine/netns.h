/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespace: a network that has nothing but a loopback of its own.
 *
 * What listens in it on 127.0.0.1 cannot be reached from outside, by no process of this machine and none of another; unix sockets are
 * found by their path as before. So a program that knows nothing of keys is put where only we can speak to it, and what we forward is
 * all that reaches it. Needs no rights where the system lets users make namespaces of their own; it is one with a user
 * namespace in which the user is who he was. Privileges are given up with it, for us and for all that we start.
 */
#ifndef BUSBAR_ENGINE_NETNS_H
#define BUSBAR_ENGINE_NETNS_H

#include "base/err.h"

/* Enters one, for good. Before the first thread. ERR_UNSUPPORTED with words: then the process is to end, it may be half in. */
int netns_enter(struct err *err);

#endif
