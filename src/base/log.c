/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

static int log_fd = STDERR_FILENO;
static enum log_level log_min = LOG_INFO;
static bool log_json;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(int fd, enum log_level level, bool json)
{
    log_fd = fd;
    log_min = level;
    log_json = json;
}

/* Replaces the secret of anything that has the shape of a key, "bb_<id>_<secret>...", by stars. */
static void mask_keys(char *text)
{
    for (char *p = text; (p = strstr(p, "bb_")) != NULL; p += 3) {
        char *secret = strchr(p + 3, '_');
        if (!secret || secret - p > 24)
            continue;
        for (secret++; (*secret >= '0' && *secret <= '9') || (*secret >= 'A' && *secret <= 'Z') ||
                       (*secret >= 'a' && *secret <= 'z') || *secret == '_';
             secret++)
            *secret = '*';
    }
}

/* Turns `key=value key="value"` into JSON members; a value without quotes that is a plain number stays a number. */
static void add_json_fields(struct buf *line, const char *fields)
{
    const char *p = fields;
    while (*p) {
        while (*p == ' ')
            p++;
        const char *eq = strchr(p, '=');
        if (!eq)
            break;
        buf_add_char(line, ',');
        buf_add_json(line, p, (size_t)(eq - p));
        buf_add_char(line, ':');
        const char *value = eq + 1;
        size_t len;
        if (*value == '"') {
            const char *end = strchr(++value, '"');
            len = end ? (size_t)(end - value) : strlen(value);
            buf_add_json(line, value, len);
            p = end ? end + 1 : value + len;
            continue;
        }
        len = strcspn(value, " ");
        bool number =
            len > 0 && len < 16 && strspn(value, "0123456789") == len && (len == 1 || value[0] != '0');
        if (number)
            buf_add(line, value, len);
        else
            buf_add_json(line, value, len);
        p = value + len;
    }
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    if (level < log_min)
        return;
    char fields[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(fields, sizeof fields, fmt, ap);
    va_end(ap);
    mask_keys(fields);
    for (char *p = fields; *p; p++) {
        if ((unsigned char)*p < 0x20)
            *p = ' ';
    }
    char time[25];
    clock_format(time, clock_wall_ms());
    struct buf line;
    buf_init(&line, 8192);
    if (log_json) {
        buf_addf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", time, level_names[level],
                 event);
        add_json_fields(&line, fields);
        buf_add_text(&line, "}\n");
    } else {
        buf_addf(&line, "%s %-5s %s %s\n", time, level_names[level], event, fields);
    }
    /* One write a line keeps lines of several threads apart; a full log disk must not stop the service. */
    ssize_t ignored = write(log_fd, line.data, line.len);
    (void)ignored;
    buf_fini(&line);
}
