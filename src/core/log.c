/*
 * log: formats lines and writes them to the target that the master opened. In every process; children inherit the
 * descriptor over fork. The state is global on purpose: there is one log, and everybody may write to it, threads too.
 */
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/utf8.h"

/* One write(2) of at most PIPE_BUF bytes to a pipe is atomic; O_APPEND makes those to a file so. */
#define LOG_LINE_SIZE PIPE_BUF
#define LOG_BUFFER_SIZE 65536
#define LOG_IDENT "verstak-sync-server"

enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG, LOG_TARGET_FILE };

static struct {
    pthread_mutex_t lock;
    enum log_target target;
    char *path; /* of a file */
    int fd;
    enum log_level least;
    char process[48];
    unsigned long lost;   /* lines that the target did not take */
    struct strbuf buffer; /* whole lines of log_buffered() */
} log_state = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .fd = STDERR_FILENO,
    .least = LOG_LEVEL_INFO,
    .process = "main",
    .buffer = STRBUF_INIT,
};

static const struct {
    const char *name;
    int priority; /* of syslog(3) */
} log_levels[] = {
    [LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
    [LOG_LEVEL_INFO] = {"info", LOG_INFO},
    [LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
    [LOG_LEVEL_ERROR] = {"error", LOG_ERR},
};

/*
 * syslog(3) keeps a descriptor that nobody else knows: a child that closes what it did not inherit by name would later
 * write its log into whatever got that number. So the datagram socket is ours.
 */
static int log_open_syslog(struct strbuf *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        strbuf_error(error, "cannot connect to syslog at '%s': %s", address.sun_path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static int log_open_target(enum log_target target, const char *path, struct strbuf *error)
{
    if (target == LOG_TARGET_STDERR)
        return STDERR_FILENO;
    if (target == LOG_TARGET_SYSLOG)
        return log_open_syslog(error);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        strbuf_error(error, "cannot open log file '%s': %s", path, strerror(errno));
    return fd;
}

static void log_write_all(void);

bool log_open(const char *target, enum log_level least, struct strbuf *error)
{
    enum log_target kind = strcmp(target, "stderr") == 0   ? LOG_TARGET_STDERR
                           : strcmp(target, "syslog") == 0 ? LOG_TARGET_SYSLOG
                                                           : LOG_TARGET_FILE;
    int fd = log_open_target(kind, target, error);
    if (fd < 0)
        return false;
    pthread_mutex_lock(&log_state.lock);
    log_write_all();
    if (log_state.target != LOG_TARGET_STDERR)
        close(log_state.fd);
    free(log_state.path);
    log_state.path = kind == LOG_TARGET_FILE ? mem_strdup(target) : NULL;
    log_state.target = kind;
    log_state.fd = fd;
    log_state.least = least;
    pthread_mutex_unlock(&log_state.lock);
    return true;
}

bool log_reopen(struct strbuf *error)
{
    if (log_state.target == LOG_TARGET_STDERR)
        return true;
    int fd = log_open_target(log_state.target, log_state.path, error);
    if (fd < 0)
        return false;
    pthread_mutex_lock(&log_state.lock);
    log_write_all();
    bool moved = dup3(fd, log_state.fd, O_CLOEXEC) >= 0;
    pthread_mutex_unlock(&log_state.lock);
    close(fd);
    return moved || strbuf_error(error, "cannot move the log's descriptor: %s", strerror(errno));
}

void log_set_process(const char *name)
{
    snprintf(log_state.process, sizeof(log_state.process), "%s", name);
}

int log_fd(void)
{
    return log_state.fd;
}

/* "2026-11-22T10:15:00.123Z level process[pid]: ", or what RFC 3164 asks for when syslog adds the rest. */
static size_t log_head(char *line, enum log_level level)
{
    struct timespec now;
    char seconds[CLOCK_RFC3339_SIZE];
    clock_gettime(CLOCK_REALTIME, &now);
    if (log_state.target == LOG_TARGET_SYSLOG) {
        struct tm tm;
        localtime_r(&now.tv_sec, &tm);
        strftime(seconds, sizeof(seconds), "%b %e %H:%M:%S", &tm);
        return (size_t)snprintf(line, LOG_LINE_SIZE,
                                "<%d>%s " LOG_IDENT "[%d]: %s: ", LOG_DAEMON | log_levels[level].priority, seconds,
                                (int)getpid(), log_state.process);
    }
    clock_rfc3339(now.tv_sec, seconds);
    return (size_t)snprintf(line, LOG_LINE_SIZE, "%.19s.%03dZ %s %s[%d]: ", seconds, (int)(now.tv_nsec / 1000000),
                            log_levels[level].name, log_state.process, (int)getpid());
}

/* A control character (C0, DEL, and C1, which some terminals obey too) or a byte that is no UTF-8. */
static bool log_must_escape(const char *s, size_t size)
{
    unsigned char c = (unsigned char)s[0], next = size > 1 ? (unsigned char)s[1] : 0;
    return !size || c < 0x20 || c == 0x7f || (c == 0xc2 && next < 0xa0);
}

/*
 * Appends the message to the line, escaped, and a line feed; cuts it with "..." where it does not fit. A newline that
 * an attacker smuggles into a message must not begin a line of its own.
 */
static size_t log_escape(char *line, size_t at, const char *message, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const size_t last = LOG_LINE_SIZE - 4; /* room for "...\n" */
    for (size_t i = 0; i < len;) {
        size_t size = utf8_sequence(message + i, len - i);
        bool escape = log_must_escape(message + i, size);
        if (at + (escape ? 4 : size) > last) {
            memcpy(line + at, "...", 3);
            at += 3;
            break;
        }
        if (escape) {
            unsigned char c = (unsigned char)message[i++];
            memcpy(line + at, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
            at += 4;
        } else {
            memcpy(line + at, message + i, size);
            at += size;
            i += size;
        }
    }
    line[at++] = '\n';
    return at;
}

static size_t log_format(char *line, enum log_level level, const char *format, va_list args) PRINTF_LIKE(3, 0);

/* Writes a whole line of at most LOG_LINE_SIZE bytes to `line` and returns its length. */
static size_t log_format(char *line, enum log_level level, const char *format, va_list args)
{
    char message[LOG_LINE_SIZE];
    int len = vsnprintf(message, sizeof(message), format, args);
    size_t kept = len < 0 ? 0 : (size_t)len < sizeof(message) ? (size_t)len : sizeof(message) - 1;
    return log_escape(line, log_head(line, level), message, kept);
}

/* Would a write wait for a reader? A pipe or socket that was given to us as stderr is not set to O_NONBLOCK: that would
 * be so for everybody who shares it. Two processes may find the same last room; the later one waits then. */
static bool log_would_wait(void)
{
    struct pollfd target = {.fd = log_state.fd, .events = POLLOUT};
    return poll(&target, 1, 0) == 0;
}

/* Whole lines. A syslogd that was restarted has a new socket: connects once more, keeping the descriptor's number. */
static bool log_write(const char *lines, size_t len)
{
    if (log_state.target != LOG_TARGET_SYSLOG) {
        ssize_t n;
        if (log_would_wait())
            return false;
        do
            n = write(log_state.fd, lines, len);
        while (n < 0 && errno == EINTR);
        return n == (ssize_t)len;
    }
    if (send(log_state.fd, lines, len - 1, MSG_NOSIGNAL) >= 0)
        return true;
    int fd = errno == EAGAIN ? -1 : log_open_syslog(NULL);
    if (fd < 0)
        return false;
    bool sent = dup3(fd, log_state.fd, O_CLOEXEC) >= 0 && send(log_state.fd, lines, len - 1, MSG_NOSIGNAL) >= 0;
    close(fd);
    return sent;
}

/* Says how many lines were lost before the next one goes out. */
static void log_write_counted(const char *lines, size_t len, unsigned long count)
{
    if (log_state.lost) {
        char line[LOG_LINE_SIZE], message[64];
        int size = snprintf(message, sizeof(message), "%lu log lines were lost here", log_state.lost);
        if (log_write(line, log_escape(line, log_head(line, LOG_LEVEL_WARNING), message, (size_t)size)))
            log_state.lost = 0;
    }
    if (log_state.lost || !log_write(lines, len))
        log_state.lost += count;
}

/* The end of the part of the buffer that begins at `at` and goes out in one write: lines whole, a datagram only one. */
static size_t log_part_end(const struct strbuf *b, size_t at, unsigned long *lines_r)
{
    size_t end = at;
    *lines_r = 0;
    while (end < b->len) {
        const char *feed = memchr(b->data + end, '\n', b->len - end);
        size_t next = (size_t)(feed + 1 - b->data);
        if (*lines_r && (next - at > PIPE_BUF || log_state.target == LOG_TARGET_SYSLOG))
            break;
        end = next;
        (*lines_r)++;
    }
    return end;
}

/* Writes what log_buffered() collected. The caller holds the lock. */
static void log_write_all(void)
{
    struct strbuf *b = &log_state.buffer;
    unsigned long lines;
    for (size_t at = 0, end; at < b->len; at = end) {
        end = log_part_end(b, at, &lines);
        log_write_counted(b->data + at, end - at, lines);
    }
    strbuf_reset(b);
}

static void log_line(enum log_level level, const char *format, va_list args) PRINTF_LIKE(2, 0);

static void log_line(enum log_level level, const char *format, va_list args)
{
    char line[LOG_LINE_SIZE];
    int error = errno;
    if (level < log_state.least)
        return;
    size_t len = log_format(line, level, format, args);
    pthread_mutex_lock(&log_state.lock);
    log_write_all(); /* lines stay in order */
    log_write_counted(line, len, 1);
    pthread_mutex_unlock(&log_state.lock);
    errno = error;
}

#define LOG_FUNCTION(function, level)      \
    void function(const char *format, ...) \
    {                                      \
        va_list args;                      \
        va_start(args, format);            \
        log_line(level, format, args);     \
        va_end(args);                      \
    }

LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)

void log_buffered(const char *format, ...)
{
    char line[LOG_LINE_SIZE];
    if (LOG_LEVEL_INFO < log_state.least)
        return;
    va_list args;
    va_start(args, format);
    size_t len = log_format(line, LOG_LEVEL_INFO, format, args);
    va_end(args);
    pthread_mutex_lock(&log_state.lock);
    if (log_state.buffer.len + len > LOG_BUFFER_SIZE)
        log_write_all();
    strbuf_append(&log_state.buffer, line, len);
    pthread_mutex_unlock(&log_state.lock);
}

void log_flush(void)
{
    pthread_mutex_lock(&log_state.lock);
    log_write_all();
    pthread_mutex_unlock(&log_state.lock);
}
