/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Map: from a 16-byte or string key to a dense index, for lookups only.
 *
 * Open addressing with linear probing over one array of slots that the caller provides; capacity is a power of two
 * and never grows. It stores hash and index only: the caller's array holds the key, and `equal` compares. There is
 * no iteration on purpose: nothing may depend on the order of a hash. Deletion shifts back, so there are no
 * tombstones and lookups stay short at up to 3/4 load.
 */
#ifndef BUSBAR_BASE_MAP_H
#define BUSBAR_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint32_t hash;
    uint32_t index1; /* index + 1; 0: the slot is free, so zeroed memory is an empty map */
};

#define MAP_NONE UINT32_MAX

typedef bool map_equal_fn(const void *table, uint32_t index, const void *key, size_t len);

struct map {
    struct map_slot *slots;
    uint32_t mask;
    uint32_t count;
    uint64_t seed;
    map_equal_fn *equal;
    const void *table;
};

/* Slots that map_init needs for `entries` entries: a power of two of at least 4/3 of them. */
uint32_t map_slots(uint32_t entries);
/* `slots` has map_slots(entries) zeroed elements and outlives the map. */
void map_init(struct map *map, struct map_slot *slots, uint32_t nslots, uint64_t seed, map_equal_fn *equal,
              const void *table);
/* Index stored under the key, or MAP_NONE. */
uint32_t map_get(const struct map *map, const void *key, size_t len);
/* The key must not be there yet and there must be room; asserted. */
void map_put(struct map *map, const void *key, size_t len, uint32_t index);
/* Returns whether the key was there. */
bool map_remove(struct map *map, const void *key, size_t len);

/* 64-bit hash of bytes: FNV-1a over a seed, finished with the mixer of splitmix64. */
uint64_t map_hash(uint64_t seed, const void *key, size_t len);

#endif
