/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of a rule file: words, quoted texts, operators, brackets. For rule_text.c only.
 *
 * A token says where it is and whether it stands in column 1, where a rule begins; that is all that lines mean.
 * Nothing is copied: a token points into the text, and a quoted one still has its escapes.
 */
#ifndef BUSBAR_CORE_RULE_TOKEN_H
#define BUSBAR_CORE_RULE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rule_token_kind {
    TOKEN_WORD,   /* [A-Za-z0-9] and then also . _ : / + - */
    TOKEN_STRING, /* its inside */
    TOKEN_OP,     /* = != < <= > >= */
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_END,
    TOKEN_OPEN_STRING, /* a string that its line does not end */
    TOKEN_BAD,         /* a character that begins nothing */
};

struct rule_token {
    enum rule_token_kind kind;
    bool first; /* in column 1 */
    uint32_t line, column;
    const char *text;
    size_t len;
};

struct rule_lexer {
    const char *text;
    size_t len, at;
    uint32_t line, column; /* of `at` */
};

void rule_lexer_init(struct rule_lexer *lexer, const char *text, size_t len);
struct rule_token rule_lexer_next(struct rule_lexer *lexer);
/* Moves to the first byte that is a control character (tab, carriage return and newline are none) or not UTF-8; false
 * when there is none. */
bool rule_lexer_find_bad(struct rule_lexer *lexer);
/* Copies a string's inside without its escapes, NUL-terminated. False when it does not fit. */
bool rule_token_copy(const struct rule_token *token, char *dst, size_t cap, uint32_t *len);

#endif
