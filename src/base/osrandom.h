/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness from the operating system, for keys, salts and ids. Aborts if the system has none to give. */
#ifndef BUSBAR_BASE_OSRANDOM_H
#define BUSBAR_BASE_OSRANDOM_H

#include <stddef.h>

#include "base/str.h"

void os_random(void *dst, size_t len);
/* A fresh UUIDv7 of the wall clock's now. Thread-safe; draws from a per-thread pool. */
struct uuid uuid_new(void);

#endif
