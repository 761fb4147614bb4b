/* SPDX-License-Identifier: Apache-2.0 */
/* A catalogue of models from any bytes: refused with a problem that says something, or one whose every model can be planned with. */
#include <assert.h>

#include "network/models.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct problems problems;
    struct models *models;
    problems_init(&problems);
    int rc = models_read(&models, "m.yaml", (const char *)data, size, &problems);
    assert((rc == 0) == (models != NULL) && (rc == 0) == problems_none(&problems));
    for (uint32_t i = 0; i < problems.n; i++)
        assert(problems.list[i].text[0] && problems.list[i].file[0]);
    for (uint32_t i = 0; models && i < models_count(models); i++) {
        const struct net_model *m = models_get(models, i);
        assert(model_params_active(m) <= model_params(m));
        for (uint32_t f = 0; f < models_formats(models); f++) {
            struct cluster_model c = model_cluster(m, models_format_get(models, f));
            assert(c.layers > 0 && c.layer_bytes > 0 && c.kv_bytes > 0 && c.experts_active <= c.experts);
        }
    }
    models_free(models);
    problems_fini(&problems);
    return 0;
}
