/* SPDX-License-Identifier: Apache-2.0 */
/* engines.yaml from any text: refused with words, or a table in which every look-up ends. */
#include <assert.h>
#include <stdlib.h>

#include "engine/spec.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct engine_specs *specs = NULL;
    struct err err = {0};
    if (engine_specs_parse(&specs, (const char *)data, size, "fuzz", &err) != 0) {
        assert(err.msg[0]);
        return 0;
    }
    for (unsigned i = 0; i < specs->engines_count; i++) {
        const struct engine_spec *e = engine_spec_named(specs, specs->engines[i].name);
        assert(e);
        for (int s = 0; s < SURFACES; s++)
            (void)engine_field(e, (enum engine_surface)s, "temperature", 11);
    }
    engine_specs_free(specs);
    return 0;
}
