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

const char *denied_work_text(uint32_t what)
{
    switch (what) {
#define D(name, number, text) \
    case (number): \
        return text;
        DENIED_WORKS(D)
#undef D
    default:
        return "?";
    }
}

const char *denied_how_text(uint32_t how)
{
    switch (how) {
#define D(name, number, text) \
    case (number): \
        return text;
        DENIED_HOWS(D)
#undef D
    default:
        return "?";
    }
}

const char *accept_mode_text(uint32_t mode)
{
    switch (mode) {
#define A(name, number, text) \
    case (number): \
        return text;
        ACCEPT_MODES(A)
    default:
        return "off";
    }
}

const char *accept_verdict_text(uint32_t verdict)
{
    switch (verdict) {
        ACCEPT_VERDICTS(A)
#undef A
    default:
        return "?";
    }
}

const char *replica_role_text(uint32_t role)
{
    switch (role) {
#define R(name, number, text) \
    case (number): \
        return text;
        REPLICA_ROLES(R)
#undef R
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

const char *dispatch_reserve_text(uint32_t reserve)
{
    switch (reserve) {
#define O(name, number, text) \
    case (number): \
        return text;
        DISPATCH_RESERVES(O)
#undef O
    default:
        return "?";
    }
}

const char *isolation_text(uint32_t isolation)
{
    switch (isolation) {
#define I(name, number, text) \
    case (number): \
        return text;
        ISOLATIONS(I)
#undef I
    default:
        return "?";
    }
}

bool isolation_parse(const char *text, uint32_t *isolation)
{
#define I(name, number, words) \
    if (text_eq(text, text_len(text, KIND_TEXT_CAP), words, sizeof(words) - 1)) { \
        *isolation = (number); \
        return true; \
    }
    ISOLATIONS(I)
#undef I
    return false;
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

const char *job_state_text(uint32_t state)
{
    switch (state) {
#define J(name, number, text) \
    case (number): \
        return text;
        JOB_STATES(J)
#undef J
    default:
        return "?";
    }
}

const char *job_ending_text(uint32_t code)
{
    switch (code >> JOB_CODE_BITS) {
#define E(name, number, word, sentence) \
    case (number): \
        return word;
        JOB_ENDINGS(E)
#undef E
    default:
        return "?";
    }
}

const char *job_ending_sentence(uint32_t code)
{
    switch (code >> JOB_CODE_BITS) {
#define E(name, number, word, sentence) \
    case (number): \
        return sentence;
        JOB_ENDINGS(E)
#undef E
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

const char *budget_scope_text(uint32_t scope)
{
    switch (scope) {
#define B(name, number, text) \
    case (number): \
        return text;
        BUDGET_SCOPES(B)
#undef B
    default:
        return "?";
    }
}

const char *budget_period_text(uint32_t per)
{
    switch (per) {
#define B(name, number, text) \
    case (number): \
        return text;
        BUDGET_PERIODS(B)
#undef B
    default:
        return "?";
    }
}

const char *notice_kind_text(uint32_t kind)
{
    switch (kind) {
#define N(name, number, text) \
    case (number): \
        return text;
        NOTICE_KINDS(N)
#undef N
    default:
        return "?";
    }
}

const char *notice_state_text(uint32_t state)
{
    switch (state) {
#define N(name, number, text) \
    case (number): \
        return text;
        NOTICE_STATES(N)
#undef N
    default:
        return "?";
    }
}

const char *unit_state_text(uint32_t state)
{
    switch (state) {
#define U(name, number, text) \
    case (number): \
        return text;
        UNIT_STATES(U)
#undef U
    default:
        return "?";
    }
}

const char *unit_health_text(uint32_t health)
{
    switch (health) {
#define U(name, number, text) \
    case (number): \
        return text;
        UNIT_HEALTHS(U)
#undef U
    default:
        return "?";
    }
}

const char *unit_past_text(uint32_t what)
{
    switch (what) {
#define U(name, number, text) \
    case (number): \
        return text;
        UNIT_PASTS(U)
#undef U
    default:
        return "?";
    }
}
