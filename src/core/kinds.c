/* SPDX-License-Identifier: Apache-2.0 */
#include "core/kinds.h"

#include <string.h>

#include "base/str.h"

const char *model_kind_text(uint32_t kind)
{
    switch (kind) {
#define M(name, number, text) \
    case (number): \
        return text;
        MODEL_KINDS(M)
#undef M
    default:
        return "?";
    }
}

const char *replica_state_text(uint32_t state)
{
    switch (state) {
#define R(name, number, text) \
    case (number): \
        return text;
        REPLICA_STATES(R)
#undef R
    default:
        return "?";
    }
}

const char *place_state_text(uint32_t state)
{
    switch (state) {
#define P(name, number, text) \
    case (number): \
        return text;
        PLACE_STATES(P)
#undef P
    default:
        return "?";
    }
}

const char *job_kind_text(uint32_t kind)
{
    switch (kind) {
#define J(name, number, text) \
    case (number): \
        return text;
        JOB_KINDS(J)
#undef J
    default:
        return "?";
    }
}

uint32_t model_kind_parse(const char *text)
{
    size_t len = text_len(text, KIND_TEXT_CAP);
#define M(name, number, word) \
    if (text_eq(text, len, word, sizeof(word) - 1)) \
        return (number);
    MODEL_KINDS(M)
#undef M
    return 0;
}
