/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/checked.h"

#define RAW_CAP ((size_t)1 << 17)
#define TEXT_CAP ((size_t)4 * CSV_LINE_MAX)
#define NOT_WANTED UINT8_MAX
#define SHOWN_MAX 40 /* bytes of a bad field that a complaint repeats */
#define PATH_SHOWN_MAX 300

struct csv {
    char *path;
    int fd;
    ZSTD_DCtx *zstd; /* NULL: the file is plain */
    bool frame_open;
    uint8_t *raw;
    ZSTD_inBuffer in;
    char *text;
    size_t start, end; /* of text: not given out yet */
    uint64_t total;
    bool eof, stopped;
    uint32_t line;
    uint32_t nfields; /* of the first line */
    bool line_kept;   /* the first line is a row */
    struct csv_field fields[CSV_FIELDS_MAX];
    uint8_t wanted[CSV_FIELDS_MAX]; /* by field: the column, or NOT_WANTED */
    struct buf complaints;
    uint32_t ncomplaints;
    int rc;
    struct err err;
};

/* ---- bytes ---- */

static int stop(struct csv *csv, int code, const char *words)
{
    csv->stopped = true;
    csv->rc = code;
    return err_set(&csv->err, code, "%.*s: %s", PATH_SHOWN_MAX, csv->path, words);
}

void csv_fail(struct csv *csv, int code, const char *words)
{
    if (!csv->stopped)
        stop(csv, code, words);
}

/* More bytes of the file into the empty `raw`. False at its end, or when that failed. */
static bool raw_fill(struct csv *csv)
{
    ssize_t n;
    do {
        n = read(csv->fd, csv->raw, RAW_CAP);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        stop(csv, ERR_IO, strerror(errno));
    csv->in = (ZSTD_inBuffer){.src = csv->raw, .size = n > 0 ? (size_t)n : 0};
    return n > 0;
}

/* Moves or decompresses into the free end of the text. False when that failed. */
static bool text_take(struct csv *csv)
{
    if (!csv->zstd) {
        size_t n = csv->in.size - csv->in.pos;
        if (n > TEXT_CAP - csv->end)
            n = TEXT_CAP - csv->end;
        memcpy(csv->text + csv->end, csv->raw + csv->in.pos, n);
        csv->in.pos += n;
        csv->end += n;
        return true;
    }
    ZSTD_outBuffer out = {.dst = csv->text, .size = TEXT_CAP, .pos = csv->end};
    size_t rc = ZSTD_decompressStream(csv->zstd, &out, &csv->in);
    csv->end = out.pos;
    csv->frame_open = rc != 0;
    if (ZSTD_isError(rc))
        stop(csv, ERR_CORRUPT, ZSTD_getErrorName(rc));
    return !ZSTD_isError(rc);
}

/* At least one more byte of text, or eof. */
static void text_fill(struct csv *csv)
{
    memmove(csv->text, csv->text + csv->start, csv->end - csv->start);
    csv->end -= csv->start;
    csv->start = 0;
    size_t before = csv->end;
    while (!csv->stopped && !csv->eof && csv->end == before) {
        /* A frame may hold text back that did not fit, after all its bytes were taken. */
        bool more = csv->in.pos < csv->in.size || csv->frame_open;
        if (more && (!text_take(csv) || csv->end > before))
            break;
        if (csv->in.pos < csv->in.size || raw_fill(csv))
            continue;
        csv->eof = true;
        if (csv->frame_open && !csv->stopped)
            stop(csv, ERR_CORRUPT, "the compressed data ends too early");
    }
    csv->total += csv->end - before;
    if (csv->total > CSV_BYTES_MAX)
        csv_fail(csv, ERR_TOO_LARGE, "the file is too large");
}

/* The next line without its end. False at the end of the text. */
static bool line_take(struct csv *csv, struct csv_field *line)
{
    size_t searched = 0;
    for (;;) {
        if (csv->stopped)
            return false;
        char *from = csv->text + csv->start;
        size_t len = csv->end - csv->start;
        const char *end = memchr(from + searched, '\n', len - searched);
        if (!end && !csv->eof && len < CSV_LINE_MAX) {
            searched = len;
            text_fill(csv);
            continue;
        }
        if (!end && len == 0)
            return false;
        csv->line++;
        size_t used = end ? (size_t)(end - from) : len;
        if (used >= CSV_LINE_MAX) {
            csv_complain(csv, "the line is longer than %u bytes", CSV_LINE_MAX - 1);
            csv->stopped = true;
            return false;
        }
        csv->start += used + (end ? 1 : 0);
        if (used > 0 && from[used - 1] == '\r')
            used--;
        *line = (struct csv_field){from, (uint32_t)used};
        return true;
    }
}

/* ---- lines ---- */

void csv_complain(struct csv *csv, const char *fmt, ...)
{
    char words[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    if (csv->ncomplaints++ == 0) {
        csv->rc = ERR_INVALID;
        err_set(&csv->err, ERR_INVALID, "%.*s:%u: %s", PATH_SHOWN_MAX, csv->path, csv->line, words);
    }
    buf_addf(&csv->complaints, "%.*s:%u: %s\n", PATH_SHOWN_MAX, csv->path, csv->line, words);
    if (csv->ncomplaints < CSV_COMPLAINTS_MAX)
        return;
    csv->stopped = true;
    buf_addf(&csv->complaints, "%.*s: so many lines are bad that the rest was not read\n", PATH_SHOWN_MAX,
             csv->path);
}

/* Cuts the line at its commas; returns how many fields, or 0 with a complaint. */
static uint32_t line_split(struct csv *csv, struct csv_field line)
{
    uint32_t n = 0;
    uint32_t from = 0;
    if (line.len == 0) {
        csv_complain(csv, "the line is empty");
        return 0;
    }
    for (uint32_t i = 0; i <= line.len; i++) {
        unsigned char c = i < line.len ? (unsigned char)line.at[i] : ',';
        if (c == '"' || c < ' ') {
            csv_complain(csv, "there is a %s at byte %u",
                         c == '"' ? "quote (quoted fields are not read)" : "control character", i + 1);
            return 0;
        }
        if (c != ',')
            continue;
        if (n == CSV_FIELDS_MAX) {
            csv_complain(csv, "there are more than %u fields", CSV_FIELDS_MAX);
            return 0;
        }
        csv->fields[n++] = (struct csv_field){line.at + from, i - from};
        from = i + 1;
    }
    return n;
}

static bool looks_like_number(struct csv_field f)
{
    uint32_t digits = 0;
    for (uint32_t i = 0; i < f.len; i++) {
        if (f.at[i] >= '0' && f.at[i] <= '9')
            digits++;
        else if (f.at[i] != '.' && !(f.at[i] == '-' && i == 0))
            return false;
    }
    return digits > 0;
}

/* The field of the header with the first of these names; CSV_FIELDS_MAX if none has. */
static uint32_t column_find(struct csv *csv, const char *names)
{
    while (*names) {
        size_t len = strcspn(names, "|");
        uint32_t found = CSV_FIELDS_MAX;
        for (uint32_t i = 0; i < csv->nfields; i++) {
            if (csv->fields[i].len != len || memcmp(csv->fields[i].at, names, len) != 0)
                continue;
            if (found != CSV_FIELDS_MAX)
                csv_complain(csv, "there are two columns %.*s", (int)len, names);
            found = i;
        }
        if (found != CSV_FIELDS_MAX)
            return found;
        names += len;
        names += *names == '|';
    }
    return CSV_FIELDS_MAX;
}

bool csv_header(struct csv *csv, const struct csv_column *columns, uint32_t n, uint32_t plain)
{
    struct csv_field line;
    memset(csv->wanted, NOT_WANTED, sizeof csv->wanted);
    if (!line_take(csv, &line)) {
        csv_fail(csv, ERR_INVALID, "the file is empty");
        return false;
    }
    if (line.len >= 3 && memcmp(line.at, "\xef\xbb\xbf", 3) == 0)
        line = (struct csv_field){line.at + 3, line.len - 3};
    csv->nfields = line_split(csv, line);
    for (uint32_t i = 0; i < csv->nfields && plain > 0; i++)
        csv->line_kept |= looks_like_number(csv->fields[i]);
    if (csv->line_kept && csv->nfields < plain)
        csv_complain(csv, "%u fields in a file without a header, which has at least %u", csv->nfields, plain);
    for (uint32_t c = 0; c < n && csv->ncomplaints == 0; c++) {
        uint32_t i = c;
        if (!csv->line_kept)
            i = column_find(csv, columns[c].names);
        else if (c >= plain)
            i = CSV_FIELDS_MAX;
        if (i != CSV_FIELDS_MAX)
            csv->wanted[i] = (uint8_t)c;
        else if (!columns[c].optional)
            csv_complain(csv, "there is no column %s", columns[c].names);
    }
    /* Without its columns every line would be bad for the same reason. */
    csv->stopped |= csv->ncomplaints > 0;
    return !csv->stopped;
}

bool csv_next(struct csv *csv, struct csv_field field[CSV_COLUMNS_MAX])
{
    for (;;) {
        struct csv_field line;
        if (!csv->line_kept) {
            if (!line_take(csv, &line))
                return false;
            uint32_t n = line_split(csv, line);
            if (n != 0 && n != csv->nfields)
                csv_complain(csv, "%u fields where the first line has %u", n, csv->nfields);
            if (n != csv->nfields)
                continue;
        }
        csv->line_kept = false;
        memset(field, 0, CSV_COLUMNS_MAX * sizeof *field);
        for (uint32_t i = 0; i < csv->nfields; i++) {
            if (csv->wanted[i] != NOT_WANTED)
                field[csv->wanted[i]] = csv->fields[i];
        }
        return true;
    }
}

/* ---- fields ---- */

static void complain_field(struct csv *csv, struct csv_field field, const char *what, const char *words)
{
    char shown[SHOWN_MAX + 1];
    uint32_t n = field.len < SHOWN_MAX ? field.len : SHOWN_MAX;
    for (uint32_t i = 0; i < n; i++)
        shown[i] = field.at[i] >= ' ' && field.at[i] <= '~' ? field.at[i] : '?';
    shown[n] = 0;
    csv_complain(csv, "%s: \"%s\" %s", what, shown, words);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What is wrong with a number in the field, NULL if nothing. */
static const char *number_parse(struct csv_field field, unsigned digits, bool only_whole, uint64_t max,
                                uint64_t *out)
{
    uint64_t v = 0;
    uint32_t i = 0;
    unsigned scale = 0;
    bool up = false;
    bool fits = true;
    bool whole = true;
    for (; i < field.len && is_digit(field.at[i]); i++)
        fits = fits && !__builtin_mul_overflow(v, 10u, &v) && u64_add(v, (uint64_t)(field.at[i] - '0'), &v);
    bool good = i > 0;
    if (i < field.len && field.at[i] == '.') {
        uint32_t point = i++;
        for (; i < field.len && is_digit(field.at[i]); i++) {
            uint64_t digit = (uint64_t)(field.at[i] - '0');
            whole = whole && digit == 0;
            if (scale < digits)
                fits = fits && !__builtin_mul_overflow(v, 10u, &v) && u64_add(v, digit, &v);
            else if (scale == digits)
                up = digit >= 5;
            scale += scale <= digits;
        }
        good = good && i > point + 1;
    }
    for (; scale < digits; scale++)
        fits = fits && !__builtin_mul_overflow(v, 10u, &v);
    if (!good || i < field.len)
        return field.len > 0 && field.at[0] == '-' ? "is not a number >= 0" : "is not a number";
    if (only_whole && !whole)
        return "is not a whole number";
    if (!fits || !u64_add(v, up, &v) || v > max)
        return "is too large";
    *out = v;
    return NULL;
}

bool csv_number(struct csv *csv, struct csv_field field, const char *what, unsigned digits, uint64_t max,
                uint64_t *out)
{
    const char *wrong = number_parse(field, digits, false, max, out);
    if (wrong)
        complain_field(csv, field, what, wrong);
    return wrong == NULL;
}

bool csv_whole(struct csv *csv, struct csv_field field, const char *what, uint64_t max, uint64_t *out)
{
    const char *wrong = number_parse(field, 0, true, max, out);
    if (wrong)
        complain_field(csv, field, what, wrong);
    return wrong == NULL;
}

bool csv_name(struct csv *csv, struct csv_field field, const char *what, char *dst, uint32_t cap)
{
    const char *wrong = NULL;
    if (field.len == 0)
        wrong = "is empty";
    else if (field.len >= cap)
        wrong = "is too long";
    for (uint32_t i = 0; i < field.len && !wrong; i++) {
        if (field.at[i] <= ' ' || field.at[i] > '~')
            wrong = "has characters that are not printable ASCII";
    }
    if (wrong) {
        complain_field(csv, field, what, wrong);
        return false;
    }
    memcpy(dst, field.at, field.len);
    dst[field.len] = 0;
    return true;
}

/* ---- open and close ---- */

static const uint8_t zstd_magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

static void zstd_start(struct csv *csv)
{
    if (!raw_fill(csv) || csv->in.size < sizeof zstd_magic ||
        memcmp(csv->raw, zstd_magic, sizeof zstd_magic) != 0)
        return;
    csv->zstd = ZSTD_createDCtx();
    if (!csv->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(csv->zstd, ZSTD_d_windowLogMax, CSV_WINDOW_LOG)))
        stop(csv, ERR_NO_MEMORY, "out of memory");
}

int csv_open(struct csv **out, const char *path, struct err *err)
{
    *out = NULL;
    struct csv *csv = calloc(1, sizeof *csv);
    if (!csv)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    buf_init(&csv->complaints, (CSV_COMPLAINTS_MAX + 1) * (size_t)1024);
    csv->path = strdup(path);
    csv->raw = malloc(RAW_CAP);
    csv->text = malloc(TEXT_CAP);
    csv->fd = -1;
    if (!csv->path || !csv->raw || !csv->text) {
        csv->rc = err_set(&csv->err, ERR_NO_MEMORY, "out of memory");
        return csv_close(csv, NULL, err);
    }
    csv->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (csv->fd < 0)
        stop(csv, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, strerror(errno));
    else
        zstd_start(csv);
    if (csv->rc != 0)
        return csv_close(csv, NULL, err);
    *out = csv;
    return 0;
}

int csv_close(struct csv *csv, char **complaints, struct err *err)
{
    if (complaints)
        *complaints = csv->ncomplaints ? buf_take(&csv->complaints) : NULL;
    int rc = csv->rc;
    if (rc == ERR_INVALID && csv->ncomplaints > 1)
        err_set(err, rc, "%s (and %u more)", csv->err.msg, csv->ncomplaints - 1);
    else if (rc != 0)
        err_set(err, rc, "%s", csv->err.msg);
    if (csv->fd >= 0)
        close(csv->fd);
    ZSTD_freeDCtx(csv->zstd);
    buf_fini(&csv->complaints);
    free(csv->text);
    free(csv->raw);
    free(csv->path);
    free(csv);
    return rc;
}
