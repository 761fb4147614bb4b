/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log on standard error or a file: one line an event, as text or JSON, from any thread.
 *
 * A line has time, level, an event name and fields in printf form "key=value key=\"quoted value\"". Secrets never
 * enter: whatever looks like an API key (bb_...) is masked before the line leaves, as the last line of defence.
 */
#ifndef BUSBAR_BASE_LOG_H
#define BUSBAR_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Not thread-safe; called once before threads start. `fd` stays the caller's. */
void log_init(int fd, enum log_level level, bool json);
__attribute__((format(printf, 3, 4))) void log_event(enum log_level level, const char *event, const char *fmt,
                                                     ...);

#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)

#endif
