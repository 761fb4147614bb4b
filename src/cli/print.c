/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "network/problems.h"

#define COLUMNS_MAX 12

static int print_pretty(yyjson_doc *doc)
{
    char *text = doc ? yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL) : NULL;
    if (text)
        puts(text);
    else
        fprintf(stderr, "busbar: out of memory\n");
    int rc = text ? CLI_OK : CLI_FAILED;
    free(text);
    return rc;
}

int print_json_buf(struct buf *json)
{
    char *text = buf_take(json);
    yyjson_doc *doc = text ? yyjson_read(text, strlen(text), 0) : NULL;
    int rc = print_pretty(doc);
    yyjson_doc_free(doc);
    free(text);
    buf_fini(json);
    return rc;
}

void print_problems(const struct problems *problems)
{
    char text[PROBLEM_TEXT_CAP];
    for (uint32_t i = 0; i < problems->n; i++) {
        problem_format(text, &problems->list[i]);
        fprintf(stderr, "busbar: %s\n", text);
    }
    if (problems->dropped)
        fprintf(stderr, "busbar: and %u more\n", problems->dropped);
}

/* The value as one cell of text; lists are joined by commas. The caller frees. */
static char *cell(yyjson_val *value)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    if (yyjson_is_arr(value)) {
        yyjson_arr_iter it = yyjson_arr_iter_with(value);
        yyjson_val *item;
        while ((item = yyjson_arr_iter_next(&it)) != NULL) {
            char *text = cell(item);
            buf_addf(&out, "%s%s", out.len ? "," : "", text ? text : "");
            free(text);
        }
    } else if (yyjson_is_str(value)) {
        buf_add(&out, yyjson_get_str(value), yyjson_get_len(value));
    } else if (!value || yyjson_is_null(value)) {
        buf_add_char(&out, '-');
    } else {
        char *text = yyjson_val_write(value, 0, NULL);
        buf_add_text(&out, text ? text : "");
        free(text);
    }
    if (out.len == 0)
        buf_add_char(&out, '-');
    return buf_take(&out);
}

static void print_rows(char **cells, size_t rows, const struct column *columns, int n)
{
    size_t width[COLUMNS_MAX] = {0};
    for (int c = 0; c < n; c++) {
        width[c] = strlen(columns[c].title);
        for (size_t r = 0; r < rows; r++) {
            size_t len = strlen(cells[r * (size_t)n + (size_t)c]);
            width[c] = len > width[c] ? len : width[c];
        }
    }
    for (int c = 0; c < n; c++)
        printf("%-*s%s", c + 1 < n ? (int)width[c] : 0, columns[c].title, c + 1 < n ? "  " : "\n");
    for (size_t r = 0; r < rows; r++) {
        for (int c = 0; c < n; c++)
            printf("%-*s%s", c + 1 < n ? (int)width[c] : 0, cells[r * (size_t)n + (size_t)c],
                   c + 1 < n ? "  " : "\n");
    }
}

int print_table(const struct cli *cli, yyjson_doc *doc, const struct column *columns, int n)
{
    if (cli->json)
        return print_pretty(doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *data = yyjson_obj_get(root, "data");
    size_t rows = data ? yyjson_arr_size(data) : 1;
    char **cells = calloc(rows * (size_t)n + 1, sizeof *cells);
    if (!cells)
        return CLI_FAILED;
    bool whole = true;
    yyjson_arr_iter it = yyjson_arr_iter_with(data);
    for (size_t r = 0; r < rows; r++) {
        yyjson_val *row = data ? yyjson_arr_iter_next(&it) : root;
        for (int c = 0; c < n; c++) {
            char *text = cell(yyjson_ptr_get(row, columns[c].pointer));
            whole = whole && text;
            cells[r * (size_t)n + (size_t)c] = text;
        }
    }
    if (whole)
        print_rows(cells, rows, columns, n);
    for (size_t i = 0; i < rows * (size_t)n; i++)
        free(cells[i]);
    free(cells);
    const char *next = yyjson_get_str(yyjson_obj_get(root, "next"));
    if (next)
        fprintf(stderr, "more: --cursor %s\n", next);
    return whole ? CLI_OK : CLI_FAILED;
}

int print_object(const struct cli *cli, yyjson_doc *doc, const struct column *fields, int n)
{
    if (cli->json)
        return print_pretty(doc);
    size_t width = 0;
    for (int i = 0; i < n; i++) {
        size_t len = strlen(fields[i].title);
        width = len > width ? len : width;
    }
    for (int i = 0; i < n; i++) {
        char *text = cell(yyjson_ptr_get(yyjson_doc_get_root(doc), fields[i].pointer));
        printf("%-*s  %s\n", (int)width, fields[i].title, text ? text : "");
        free(text);
    }
    return CLI_OK;
}

int print_outcome(int rc, const struct err *err)
{
    if (rc == 0)
        return CLI_OK;
    fprintf(stderr, "busbar: %s\n", err->msg);
    switch (rc) {
    case ERR_INVALID:
        return CLI_USAGE;
    case ERR_NOT_FOUND:
        return CLI_NOT_FOUND;
    case ERR_FORBIDDEN:
    case ERR_UNAUTHENTICATED:
        return CLI_NOT_ALLOWED;
    case ERR_UNAVAILABLE:
    case ERR_UPSTREAM:
    case ERR_TIMEOUT:
        return CLI_UNREACHABLE;
    default:
        return CLI_FAILED;
    }
}
