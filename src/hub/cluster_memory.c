/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/cluster_memory.h"

#include <stdio.h>
#include <string.h>

struct cluster_memory *cluster_memory_of(struct cluster_memories *all, const struct uuid *id)
{
    struct cluster_memory *oldest = &all->one[0];
    all->looks++;
    for (uint32_t i = 0; i < CLUSTER_MEMORIES; i++) {
        struct cluster_memory *m = &all->one[i];
        if (m->seen > 0 && uuid_eq(&m->id, id)) {
            m->seen = all->looks;
            return m;
        }
        oldest = m->seen < oldest->seen ? m : oldest;
    }
    *oldest = (struct cluster_memory){.id = *id, .seen = all->looks};
    return oldest;
}

void cluster_words(char cut[TEXT_CAP], const char *words)
{
    memset(cut, 0, TEXT_CAP);
    (void)snprintf(cut, TEXT_CAP, "%s", words);
}
