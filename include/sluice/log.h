/*
 * log - one line on stderr for each event: time, level, name, key=value.
 *
 * A name is fixed ("batch.admitted"); values never hold a prompt, an answer or
 * a key.  In what %s brings, quotes, backslashes and control bytes are escaped,
 * and where it stands without quotes and needs them, it gets them.  A line is
 * cut at 4 KiB, a value at 2.  Of conversions there are %s, %.300s, %d, %ld,
 * %lld and %zu.
 */
#ifndef SLUICE_LOG_H
#define SLUICE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_init(const char *program, enum log_level most);
void log_at(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

#endif
