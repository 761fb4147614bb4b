/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/net/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASE_MAX ((size_t)4 << 20)

static const struct {
    char letter;
    const char *text;
} names[] = {
    {'P', "POST /v1/chat/completions HTTP/1.1\r\n"},
    {'H', "Host: g\r\n"},
    {'A', "Authorization: Bearer KEY\r\nContent-Type: application/json\r\n"},
    {'M', "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer KEY\r\n"
          "Content-Type: application/json\r\n"},
    {'L', "Content-Length: 7\r\n"},
    {'C', "Transfer-Encoding: chunked\r\n"},
    {'E', "\r\n"},
    {'B', "{\"x\":1}"},
    {'D', "7\r\n{\"x\":1}\r\n0\r\n\r\n"},
    {'S', "GET /v1/models HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer KEY\r\n\r\n"},
    {'r', "\r"},
    {'n', "\n"},
    {'t', "\t"},
    {'\\', "\\"},
};

static void bad(const char *what, const char *where)
{
    (void)fprintf(stderr, "corpus: %s: %.60s\n", what, where);
    abort();
}

static void expand(struct buf *out, const char *text, size_t len);

/* `\{N:text}`; returns what follows. */
static const char *expand_repeat(struct buf *out, const char *at, const char *end)
{
    char *text;
    unsigned long n = strtoul(at, &text, 10);
    const char *close = memchr(at, '}', (size_t)(end - at));
    if (*text != ':' || !close)
        bad("a repetition is N:text}", at);
    struct buf once;
    buf_init(&once, CASE_MAX);
    expand(&once, text + 1, (size_t)(close - text - 1));
    while (n-- > 0)
        buf_add(out, once.data, once.len);
    buf_fini(&once);
    return close + 1;
}

static const char *expand_escape(struct buf *out, const char *at, const char *end)
{
    char c = *at++;
    if (c == '0') {
        buf_add_char(out, 0);
        return at;
    }
    if (c == '{')
        return expand_repeat(out, at, end);
    if (c == 'x') {
        char hex[3] = {at[0], at[1], 0};
        buf_add_char(out, (char)strtoul(hex, NULL, 16));
        return at + 2;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].letter == c) {
            buf_add_text(out, names[i].text);
            return at;
        }
    }
    bad("unknown escape", at - 2);
    return NULL;
}

static void expand(struct buf *out, const char *text, size_t len)
{
    const char *end = text + len;
    while (text < end) {
        if (*text == '\\')
            text = expand_escape(out, text + 1, end);
        else
            buf_add_char(out, *text++);
    }
}

static void take_line(struct corpus *corpus, const char *line, size_t len)
{
    if (len == 0 || line[0] == '#')
        return;
    if (len > 2 && line[0] == ' ' && line[1] == ' ') {
        if (corpus->n == 0)
            bad("bytes before a name", line);
        expand(&corpus->cases[corpus->n - 1].bytes, line + 2, len - 2);
        return;
    }
    if (corpus->n == CORPUS_CASES_MAX)
        bad("too many cases", line);
    struct corpus_case *c = &corpus->cases[corpus->n++];
    buf_init(&c->bytes, CASE_MAX);
    if (sscanf(line, "%63s %63s %159[^\n]", c->name, c->outcomes, c->why) != 3)
        bad("expected: name outcomes why", line);
}

struct corpus *corpus_read(const char *path)
{
    FILE *file = fopen(path, "re");
    struct corpus *corpus = calloc(1, sizeof *corpus);
    if (!file || !corpus)
        bad("cannot read", path);
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, file)) > 0) {
        if (line[len - 1] == '\n')
            line[--len] = 0;
        take_line(corpus, line, (size_t)len);
    }
    free(line);
    (void)fclose(file);
    for (size_t i = 0; i < corpus->n; i++) {
        if (corpus->cases[i].bytes.failed || corpus->cases[i].bytes.len == 0)
            bad("no bytes, or too many", corpus->cases[i].name);
    }
    if (corpus->n == 0)
        bad("no cases", path);
    return corpus;
}

void corpus_free(struct corpus *corpus)
{
    for (size_t i = 0; i < corpus->n; i++)
        buf_fini(&corpus->cases[i].bytes);
    free(corpus);
}

static bool matches(const char *want, size_t len, const char *got, size_t got_len)
{
    if (len == 3 && memcmp(want, "4xx", 3) == 0)
        return got_len == 3 && got[0] == '4';
    return len == got_len && memcmp(want, got, len) == 0;
}

bool corpus_allows(const struct corpus_case *c, const char *got)
{
    const char *want = c->outcomes;
    for (;;) {
        size_t want_len = strcspn(want, ",");
        size_t got_len = strcspn(got, ",");
        bool any = false;
        for (size_t at = 0; at <= want_len && !any;) {
            size_t n = strcspn(want + at, "|,");
            any = matches(want + at, n, got, got_len);
            at += n + 1;
        }
        if (!any || (want[want_len] == 0) != (got[got_len] == 0))
            return false;
        if (want[want_len] == 0)
            return true;
        want += want_len + 1;
        got += got_len + 1;
    }
}
