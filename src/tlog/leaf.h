/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a leaf of busbar's log says, version 1. Pure.
 *
 *   {"v":1,"event":N,"time":MS,"kind":"meter","code":0,"entry":C,"decision":C,"facts":D}
 *
 * in just this form, without blanks or a line end. N numbers the journal's events; MS is the event's time, Unix ms; code
 * is 0 or why it was refused. What is private is there as commitments: with 32 bytes of salt that belong to the leaf and
 * that only the hub has,
 *
 *   C(label, bytes) = SHA-256(SHA-256(salt || label) || label || 0x00 || bytes)     labels: entry, decision, fact/NAME
 *   D               = SHA-256 of the commitments of all facts, one after the other
 *
 * so that a fact can be opened by its own salt, and the others stay closed. entry is the journal's entry
 * (runtime/journal.h), decision what it led to (runtime/logbook.h). Facts are what a tenant's receipt tells, lines
 * "NAME VALUE"; a leaf without them has "facts":"".
 */
#ifndef BUSBAR_TLOG_LEAF_H
#define BUSBAR_TLOG_LEAF_H

#include <stdbool.h>

#include "tlog/merkle.h"

#define LEAF_SALT_LEN 32
#define LEAF_KIND_CAP 32
#define LEAF_TEXT_CAP 384
#define LEAF_LABEL_MAX 64
#define LEAF_VALUE_MAX 4096 /* of what is committed to */
#define LEAF_FACTS_MAX 32

struct leaf {
    uint64_t event;
    int64_t time_ms;
    int32_t code;
    char kind[LEAF_KIND_CAP];
    struct merkle_hash entry, decision, facts;
    bool has_facts;
};

/* Returns the length; there is a NUL after it. */
size_t leaf_text(char dst[LEAF_TEXT_CAP], const struct leaf *leaf);
/* ERR_INVALID: leaf_text would not write this. */
int leaf_parse(struct leaf *out, const char *text, size_t len);

/* The salt of one label. */
void leaf_salt(merkle_hash_fn *hash, struct merkle_hash *out, const uint8_t salt[LEAF_SALT_LEN],
               const char *label, size_t label_len);
/* C, by that salt. At most LEAF_LABEL_MAX and LEAF_VALUE_MAX bytes; asserted. */
void leaf_commit(merkle_hash_fn *hash, struct merkle_hash *out, const struct merkle_hash *label_salt,
                 const char *label, size_t label_len, const void *bytes, size_t len);

/* A line of facts. */
struct leaf_fact {
    const char *name, *value;
    size_t name_len, value_len;
};
/* The line at *at, and advances; false at the end, or where there is none. */
bool leaf_fact_next(const char *facts, size_t len, size_t *at, struct leaf_fact *out);
/* The label, fact/NAME; returns its length. */
size_t leaf_fact_label(char dst[LEAF_LABEL_MAX], const struct leaf_fact *fact);
/* D of all facts; at most LEAF_FACTS_MAX are looked at. */
void leaf_facts(merkle_hash_fn *hash, struct merkle_hash *out, const uint8_t salt[LEAF_SALT_LEN],
                const char *facts, size_t len);

#endif
