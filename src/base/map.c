/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <assert.h>
#include <string.h>

uint64_t map_hash(uint64_t seed, const void *key, size_t len)
{
    const uint8_t *p = key;
    uint64_t h = 0xcbf29ce484222325u ^ seed;
    while (len >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = (h ^ w) * 0x100000001b3u;
        h ^= h >> 32;
        p += 8;
        len -= 8;
    }
    while (len--)
        h = (h ^ *p++) * 0x100000001b3u;
    h ^= h >> 30;
    h *= 0xbf58476d1ce4e5b9u;
    h ^= h >> 27;
    h *= 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

uint32_t map_slots(uint32_t entries)
{
    assert(entries <= UINT32_C(1) << 29);
    uint32_t n = 8;
    while (n / 4 * 3 < entries)
        n *= 2;
    return n;
}

void map_init(struct map *map, struct map_slot *slots, uint32_t nslots, uint64_t seed, map_equal_fn *equal,
              const void *table)
{
    assert(nslots >= 8 && (nslots & (nslots - 1)) == 0);
    *map = (struct map){.slots = slots, .mask = nslots - 1, .seed = seed, .equal = equal, .table = table};
}

/* Slot that holds the key, or the free slot where it would go. */
static uint32_t find(const struct map *map, const void *key, size_t len, uint32_t hash)
{
    uint32_t i = hash & map->mask;
    while (map->slots[i].index1 != 0) {
        if (map->slots[i].hash == hash && map->equal(map->table, map->slots[i].index1 - 1, key, len))
            break;
        i = (i + 1) & map->mask;
    }
    return i;
}

uint32_t map_get(const struct map *map, const void *key, size_t len)
{
    uint32_t hash = (uint32_t)map_hash(map->seed, key, len);
    uint32_t index1 = map->slots[find(map, key, len, hash)].index1;
    return index1 ? index1 - 1 : MAP_NONE;
}

void map_put(struct map *map, const void *key, size_t len, uint32_t index)
{
    assert(index != MAP_NONE);
    assert(map->count < (map->mask + 1) / 4 * 3);
    uint32_t hash = (uint32_t)map_hash(map->seed, key, len);
    uint32_t i = find(map, key, len, hash);
    assert(map->slots[i].index1 == 0);
    map->slots[i] = (struct map_slot){.hash = hash, .index1 = index + 1};
    map->count++;
}

bool map_remove(struct map *map, const void *key, size_t len)
{
    uint32_t hash = (uint32_t)map_hash(map->seed, key, len);
    uint32_t hole = find(map, key, len, hash);
    if (map->slots[hole].index1 == 0)
        return false;
    uint32_t i = hole;
    for (;;) {
        i = (i + 1) & map->mask;
        if (map->slots[i].index1 == 0)
            break;
        uint32_t home = map->slots[i].hash & map->mask;
        /* An entry may move back only if its home is not between the hole and where it is. */
        if (((i - home) & map->mask) >= ((i - hole) & map->mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole].index1 = 0;
    map->count--;
    return true;
}
