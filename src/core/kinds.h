/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small vocabularies that events, rows and the API share. Numbers are stored: never reuse one.
 */
#ifndef BUSBAR_CORE_KINDS_H
#define BUSBAR_CORE_KINDS_H

#include <stdint.h>

/* What a key may do. */
/* clang-format off */
#define SCOPES(S) \
    S(INFERENCE, 1u, "inference") /* call models */ \
    S(ADMIN, 2u, "admin")         /* manage keys of its own tenant, read its usage */ \
    S(OPERATOR, 4u, "operator")   /* everything, for every tenant */
/* clang-format on */

enum scope {
#define S(name, bit, text) SCOPE_##name = (bit),
    SCOPES(S)
#undef S
};

#define KIND_TEXT_CAP 32
#define MODEL_KINDS(M) M(CHAT, 1, "chat") M(EMBEDDING, 2, "embedding") M(RERANK, 3, "rerank")

enum model_kind {
#define M(name, number, text) MODEL_##name = (number),
    MODEL_KINDS(M)
#undef M
};

/* clang-format off */
#define REPLICA_STATES(R) \
    R(WANTED, 1, "wanted")     /* decided, the engine has not begun */ \
    R(STARTING, 2, "starting") /* process started, model loading */ \
    R(READY, 3, "ready")       /* healthy, takes requests */ \
    R(BACKOFF, 4, "backoff")   /* failed, waits to start again */ \
    R(DRAINING, 5, "draining") /* takes no new requests, finishes what runs */ \
    R(STOPPED, 6, "stopped")   /* gone; the last state */
/* clang-format on */

enum replica_state {
#define R(name, number, text) REPLICA_##name = (number),
    REPLICA_STATES(R)
#undef R
};

/* clang-format off */
#define METER_FLAGS(M) \
    M(START, 1u, "start")         /* first record of a stream */ \
    M(FINAL, 2u, "final")         /* the request is over; exactly one a request */ \
    M(ESTIMATED, 4u, "estimated") /* counted from chunks or bounds, not by the engine */ \
    M(ABORTED, 8u, "aborted")     /* the client went away */ \
    M(CUT, 16u, "cut")            /* ended early by the gateway or the engine */
/* clang-format on */

enum meter_flag {
#define M(name, bit, text) METER_##name = (bit),
    METER_FLAGS(M)
#undef M
};

/* Text of a value in one of the tables above, "?" if unknown. */
const char *model_kind_text(uint32_t kind);
const char *replica_state_text(uint32_t state);
/* 0 if there is no such kind. NUL-terminated, in an array of at least KIND_TEXT_CAP. */
uint32_t model_kind_parse(const char *text);

#endif
