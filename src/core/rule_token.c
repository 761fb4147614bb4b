/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rule_token.h"

#include <string.h>

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
    return is_word_start(c) || c == '.' || c == '_' || c == ':' || c == '/' || c == '+' || c == '-';
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

void rule_lexer_init(struct rule_lexer *lexer, const char *text, size_t len)
{
    *lexer = (struct rule_lexer){.text = len ? text : "", .len = len, .line = 1, .column = 1};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        lexer->at = 3; /* editors put a byte order mark there, which nobody sees */
}

static char peek(const struct rule_lexer *lexer)
{
    return lexer->at < lexer->len ? lexer->text[lexer->at] : 0;
}

static void step(struct rule_lexer *lexer)
{
    char c = lexer->text[lexer->at++];
    if (c == '\n') {
        lexer->line++;
        lexer->column = 1;
    } else if (!is_continuation(peek(lexer))) {
        lexer->column++;
    }
}

static void skip_blanks(struct rule_lexer *lexer)
{
    bool comment = false;
    for (; lexer->at < lexer->len; step(lexer)) {
        char c = peek(lexer);
        comment = c == '\n' ? false : comment || c == '#';
        if (!comment && c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return;
    }
}

static void take_string(struct rule_lexer *lexer, struct rule_token *token)
{
    step(lexer);
    token->kind = TOKEN_OPEN_STRING;
    token->text = lexer->text + lexer->at;
    for (; lexer->at < lexer->len && peek(lexer) != '\n'; step(lexer)) {
        if (peek(lexer) == '"') {
            token->kind = TOKEN_STRING;
            break;
        }
        if (peek(lexer) == '\\' && lexer->at + 1 < lexer->len &&
            (lexer->text[lexer->at + 1] == '"' || lexer->text[lexer->at + 1] == '\\'))
            step(lexer);
    }
    token->len = (size_t)(lexer->text + lexer->at - token->text);
    if (token->kind == TOKEN_STRING)
        step(lexer);
}

static void take_sign(struct rule_lexer *lexer, struct rule_token *token)
{
    static const struct {
        char sign;
        enum rule_token_kind kind;
    } signs[] = {{'[', TOKEN_OPEN}, {']', TOKEN_CLOSE}, {',', TOKEN_COMMA},
                 {'=', TOKEN_OP},   {'<', TOKEN_OP},    {'>', TOKEN_OP}};
    char c = peek(lexer);
    bool may_equal = c == '<' || c == '>' || c == '!';
    token->kind = TOKEN_BAD;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (signs[i].sign == c)
            token->kind = signs[i].kind;
    }
    do
        step(lexer);
    while (is_continuation(peek(lexer)));
    if (may_equal && peek(lexer) == '=') {
        token->kind = TOKEN_OP;
        step(lexer);
    }
    token->len = (size_t)(lexer->text + lexer->at - token->text);
}

struct rule_token rule_lexer_next(struct rule_lexer *lexer)
{
    skip_blanks(lexer);
    struct rule_token token = {.kind = TOKEN_END,
                               .first = lexer->column == 1,
                               .line = lexer->line,
                               .column = lexer->column,
                               .text = lexer->text + lexer->at};
    char c = peek(lexer);
    if (lexer->at == lexer->len)
        return token;
    if (c == '"') {
        take_string(lexer, &token);
    } else if (is_word_start(c)) {
        token.kind = TOKEN_WORD;
        while (is_word(peek(lexer)))
            step(lexer);
        token.len = (size_t)(lexer->text + lexer->at - token.text);
    } else {
        take_sign(lexer, &token);
    }
    return token;
}

/* Bytes of the UTF-8 sequence (RFC 3629) at `p`, 0 if it is none. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char low, high, second_low, second_high;
        size_t len;
    } forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
                 {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                 {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    if (*p < 0x80)
        return 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (*p < forms[i].low || *p > forms[i].high || left < forms[i].len)
            continue;
        if (p[1] < forms[i].second_low || p[1] > forms[i].second_high)
            return 0;
        for (size_t k = 2; k < forms[i].len; k++) {
            if (!is_continuation((char)p[k]))
                return 0;
        }
        return forms[i].len;
    }
    return 0;
}

bool rule_lexer_find_bad(struct rule_lexer *lexer)
{
    while (lexer->at < lexer->len) {
        unsigned char c = (unsigned char)peek(lexer);
        size_t n = utf8_len((const unsigned char *)lexer->text + lexer->at, lexer->len - lexer->at);
        if (n == 0 || c == 0x7f || (c < 0x20 && c != '\t' && c != '\n' && c != '\r'))
            return true;
        for (; n > 0; n--)
            step(lexer);
    }
    return false;
}

bool rule_token_copy(const struct rule_token *token, char *dst, size_t cap, uint32_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < token->len; i++) {
        bool escape = token->kind == TOKEN_STRING && token->text[i] == '\\' && i + 1 < token->len &&
                      (token->text[i + 1] == '"' || token->text[i + 1] == '\\');
        if (escape)
            i++;
        if (n + 1 >= cap)
            return false;
        dst[n++] = token->text[i];
    }
    memset(dst + n, 0, cap - n);
    *len = (uint32_t)n;
    return true;
}
