/*
 * Drives db/pool.h for t/12_db_pool.t, which starts and breaks databases around it. One command a line on stdin, one
 * event a line on stdout:
 *
 *   submit ID STATEMENT DEADLINE_MS [i:NUMBER|t:TEXT|x:LENGTH|n:]…   → done ID ok VALUE | done ID failed SQLSTATE
 * MESSAGE | done ID unavailable MESSAGE | done ID unknown MESSAGE forget STATEMENT [parameters] (no callback) cancel ID
 * → cancelled ID load ID STATEMENT COUNT CONCURRENCY DEADLINE_MS                  → loaded ID ok=N wrong=N failed=N
 * unavailable=N unknown=N us=T stats                                                            → stats connected=N …
 *   quit                                                             → what was left is answered, then: bye
 *
 * "violation" is printed when a callback breaks the contract. The statements are this program's own: its db_statements
 * keeps those of sql/ from being linked.
 */
#include "db/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/log.h"
#include "core/mem.h"
#include "db/types.h"

#define TASKS 4096
#define WORDS 16

const struct db_statement_info db_statements[STMT_COUNT] = {
    {"read", "SELECT $1::bigint", DB_LANE_READ},
    {"read_row", "SELECT id FROM item WHERE id = $1::bigint", DB_LANE_READ},
    {"read_sleep", "SELECT $1::bigint FROM pg_sleep($2::bigint / 1000.0)", DB_LANE_READ},
    {"read_pid", "SELECT pg_backend_pid()", DB_LANE_READ},
    {"read_divide", "SELECT 1 / $1::bigint", DB_LANE_READ},
    {"read_broken", "SELECT no_such_column FROM item WHERE id = $1::bigint", DB_LANE_READ},
    {"read_shape", "SELECT * FROM shape", DB_LANE_READ},
    {"read_text", "SELECT repeat('x', $1::bigint::int)", DB_LANE_READ},
    {"work", "SELECT $1::bigint", DB_LANE_WORK},
    {"work_insert", "INSERT INTO item (id) VALUES ($1::bigint) RETURNING id", DB_LANE_WORK},
    {"work_sleep", "SELECT $1::bigint FROM pg_sleep($2::bigint / 1000.0)", DB_LANE_WORK},
    {"work_pid", "SELECT pg_backend_pid()", DB_LANE_WORK},
    {"work_deferred", "INSERT INTO deferred (id) VALUES ($1::bigint) RETURNING id", DB_LANE_WORK},
    {"work_fail", "SELECT fail_times($1::text, $2::text, $3::bigint)", DB_LANE_WORK},
    {"work_lock", "SELECT $1::bigint FROM (SELECT pg_advisory_xact_lock($1::bigint) OFFSET 0) AS l", DB_LANE_WORK},
    {"work_length", "SELECT octet_length($1::text)", DB_LANE_WORK},
    {"work_null", "SELECT ($1::bigint IS NULL)", DB_LANE_WORK},
    {"work_echo", "SELECT $1::text", DB_LANE_WORK},
};

/* One `submit`. */
static struct task {
    char id[32];
    struct db_query *query;
    bool used, cancelled;
} tasks[TASKS];

/* One `load`: a closed loop of statements whose answer must be their own number. */
struct load {
    char id[32];
    enum db_statement statement;
    uint64_t count, sent, done, deadline, started;
    uint64_t outcomes[4], wrong;
};
struct load_call {
    struct load *load;
    uint64_t number;
};

static struct db_pool *pool;
static bool submitting, quitting;

static void load_next(struct load *load);

static struct db_query *submit(enum db_statement statement, struct db_params *params, uint64_t ms, db_done_cb cb,
                               void *arg)
{
    submitting = true;
    struct db_query *q = db_pool_submit(pool, statement, params, clock_mono_ms() + ms, cb, arg);
    submitting = false;
    if (params->count != 0)
        puts("violation: the parameters were not taken over");
    return q;
}

static void print_value(const struct db_result *r)
{
    if (db_result_rows(r) == 0 || db_result_null(r, 0, 0)) {
        fputs(db_result_rows(r) == 0 ? "no row" : "NULL", stdout);
        return;
    }
    size_t len = 0;
    switch (PQftype(r->pg, 0)) {
    case DB_TYPE_TEXT: {
        const char *text = db_result_text(r, 0, 0, &len);
        printf("%zu:%.40s", len, text);
        break;
    }
    case DB_TYPE_BOOL:
        fputs(db_result_bool(r, 0, 0) ? "true" : "false", stdout);
        break;
    default:
        printf("%" PRId64, db_result_int(r, 0, 0));
    }
}

static void print_result(const struct db_result *r)
{
    switch (r->outcome) {
    case DB_OK:
        fputs("ok ", stdout);
        print_value(r);
        break;
    case DB_FAILED:
        printf("failed %s %s", r->sqlstate, r->message);
        break;
    case DB_UNAVAILABLE:
        printf("unavailable %s", r->message);
        break;
    case DB_UNKNOWN:
        printf("unknown %s", r->message);
        break;
    }
    putchar('\n');
}

static void task_done(void *arg, const struct db_result *r)
{
    struct task *t = arg;
    if (submitting || t->cancelled || !t->used)
        printf("violation: callback of %s %s\n", t->id, submitting ? "within submit" : "after its end");
    printf("done %s ", t->id);
    print_result(r);
    t->used = false;
    t->query = NULL;
}

static void load_done(void *arg, const struct db_result *r)
{
    struct load_call *call = arg;
    struct load *load = call->load;
    if (submitting)
        puts("violation: callback within submit");
    load->outcomes[r->outcome]++;
    if (r->outcome == DB_OK && (db_result_rows(r) != 1 || db_result_int(r, 0, 0) != (int64_t)call->number))
        load->wrong++;
    free(call);
    if (++load->done == load->count) {
        printf("loaded %s ok=%" PRIu64 " wrong=%" PRIu64 " failed=%" PRIu64 " unavailable=%" PRIu64 " unknown=%" PRIu64
               " us=%" PRIu64 "\n",
               load->id, load->outcomes[DB_OK], load->wrong, load->outcomes[DB_FAILED], load->outcomes[DB_UNAVAILABLE],
               load->outcomes[DB_UNKNOWN], clock_mono_us() - load->started);
        free(load);
    } else {
        load_next(load);
    }
}

static void load_next(struct load *load)
{
    if (load->sent == load->count)
        return;
    struct load_call *call = mem_zalloc(sizeof(*call));
    struct db_params params;
    call->load = load;
    call->number = ++load->sent;
    db_params_init(&params);
    db_params_int8(&params, (int64_t)call->number);
    submit(load->statement, &params, load->deadline, load_done, call);
}

static enum db_statement statement_named(const char *name)
{
    for (int i = 0; i < STMT_COUNT && db_statements[i].name != NULL; i++)
        if (strcmp(db_statements[i].name, name) == 0)
            return (enum db_statement)i;
    fprintf(stderr, "no statement '%s'\n", name);
    exit(2);
}

static void add_param(struct db_params *p, const char *word)
{
    const char *value = word + 2;
    if (word[0] == 'i') {
        db_params_int8(p, strtoll(value, NULL, 10));
    } else if (word[0] == 't') {
        db_params_str(p, value);
    } else if (word[0] == 'n') {
        db_params_null(p);
    } else {
        size_t len = strtoull(value, NULL, 10);
        char *text = mem_alloc(len + 1);
        memset(text, 'x', len);
        db_params_text(p, text, len);
        free(text);
    }
}

static void command_submit(char **words, int count)
{
    struct db_params params;
    size_t i = 0;
    while (i < TASKS && (tasks[i].used || tasks[i].cancelled))
        i++;
    if (i == TASKS) {
        fputs("too many tasks\n", stderr);
        exit(2);
    }
    struct task *t = &tasks[i];
    *t = (struct task){.used = true};
    snprintf(t->id, sizeof(t->id), "%s", words[1]);
    db_params_init(&params);
    for (int k = 4; k < count; k++)
        add_param(&params, words[k]);
    t->query = submit(statement_named(words[2]), &params, strtoull(words[3], NULL, 10), task_done, t);
}

static void command_forget(char **words, int count)
{
    struct db_params params;
    db_params_init(&params);
    for (int k = 2; k < count; k++)
        add_param(&params, words[k]);
    submit(statement_named(words[1]), &params, 5000, NULL, NULL);
}

static void command_cancel(const char *id)
{
    for (size_t i = 0; i < TASKS; i++) {
        if (!tasks[i].used || strcmp(tasks[i].id, id) != 0)
            continue;
        db_pool_cancel(&tasks[i].query);
        tasks[i].used = false;
        tasks[i].cancelled = true; /* the slot stays taken: a late callback would show */
        printf("cancelled %s%s\n", id, tasks[i].query == NULL ? "" : " but the handle stands");
        return;
    }
    printf("no task %s\n", id);
}

static void command_load(char **words)
{
    struct load *load = mem_zalloc(sizeof(*load));
    snprintf(load->id, sizeof(load->id), "%s", words[1]);
    load->statement = statement_named(words[2]);
    load->count = strtoull(words[3], NULL, 10);
    load->deadline = strtoull(words[5], NULL, 10);
    load->started = clock_mono_us();
    /* `load` is freed with its last answer, which never comes before submit returns */
    for (uint64_t i = strtoull(words[4], NULL, 10); i > 0; i--)
        load_next(load);
}

static void command_stats(void)
{
    struct db_pool_stats s;
    db_pool_get_stats(pool, &s);
    printf("stats up=%d connected=%u connecting=%u waiting=%u running=%u refused=%" PRIu64 " reconnects=%" PRIu64
           " unknown=%" PRIu64 "\n",
           db_pool_connected(pool), s.connected, s.connecting, s.waiting, s.running, s.refused, s.reconnects,
           s.unknown);
}

static void command(char *line)
{
    char *words[WORDS], *rest = NULL;
    int count = 0;
    for (char *w = strtok_r(line, " ", &rest); w != NULL && count < WORDS; w = strtok_r(NULL, " ", &rest))
        words[count++] = w;
    if (count >= 4 && strcmp(words[0], "submit") == 0)
        command_submit(words, count);
    else if (count >= 2 && strcmp(words[0], "forget") == 0)
        command_forget(words, count);
    else if (count == 2 && strcmp(words[0], "cancel") == 0)
        command_cancel(words[1]);
    else if (count == 6 && strcmp(words[0], "load") == 0)
        command_load(words);
    else if (count == 1 && strcmp(words[0], "stats") == 0)
        command_stats();
    else if (count == 1 && strcmp(words[0], "quit") == 0)
        quitting = true;
    else
        printf("bad command of %d words\n", count);
}

/* All lines that are there; the rest waits for more. */
static void on_stdin(h2o_socket_t *sock, const char *failure)
{
    static char buffer[65536];
    static size_t len;
    (void)failure;
    ssize_t got = read(h2o_socket_get_fd(sock), buffer + len, sizeof(buffer) - 1 - len);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        quitting = true;
        return;
    }
    len += (size_t)got;
    char *line = buffer, *end;
    while ((end = memchr(line, '\n', len - (size_t)(line - buffer))) != NULL) {
        *end = '\0';
        command(line);
        line = end + 1;
    }
    len -= (size_t)(line - buffer);
    memmove(buffer, line, len);
}

static bool settings(struct config *config, int argc, char **argv)
{
    *config = (struct config){
        .database_prepared_statements = true,
        .database_read_connections = 1,
        .database_work_connections = 4,
        .database_queue = 1024,
        .database_statement_timeout = 20000,
        .database_connect_timeout = 5000,
    };
    for (int i = 2; i < argc; i++) {
        long long v;
        if (sscanf(argv[i], "prepared=%lld", &v) == 1)
            config->database_prepared_statements = v != 0;
        else if (sscanf(argv[i], "read=%lld", &v) == 1)
            config->database_read_connections = v;
        else if (sscanf(argv[i], "work=%lld", &v) == 1)
            config->database_work_connections = v;
        else if (sscanf(argv[i], "queue=%lld", &v) == 1)
            config->database_queue = v;
        else if (sscanf(argv[i], "statement_timeout=%lld", &v) == 1)
            config->database_statement_timeout = v;
        else if (sscanf(argv[i], "connect_timeout=%lld", &v) == 1)
            config->database_connect_timeout = v;
        else
            return false;
    }
    return true;
}

static int run(const struct config *config, const char *conninfo)
{
    struct strbuf error = STRBUF_INIT;
    h2o_loop_t *loop = h2o_evloop_create();
    pool = db_pool_new(loop, config, conninfo, &error);
    if (pool == NULL) {
        fprintf(stderr, "%s\n", error.data);
        return 2;
    }
    h2o_socket_t *in = h2o_evloop_socket_create(loop, fcntl(0, F_DUPFD_CLOEXEC, 0), H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(in, on_stdin);
    while (!quitting)
        if (h2o_evloop_run(loop, 60000) != 0 && errno != EINTR)
            return 3;
    db_pool_free(&pool);
    h2o_socket_close(in);
    h2o_evloop_run(loop, 0); /* lets it free what was closed */
    h2o_evloop_destroy(loop);
    puts("bye");
    return 0;
}

int main(int argc, char **argv)
{
    struct config config;
    struct strbuf error = STRBUF_INIT;
    const char *file = getenv("TEST_DB_POOL_LOG");
    enum log_level least = getenv("TEST_DB_POOL_QUIET") == NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    if (argc < 2) {
        puts("1..0 # SKIP driven by t/12_db_pool.t");
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    if (!settings(&config, argc, argv) || !log_open(file == NULL ? "stderr" : file, least, &error)) {
        fprintf(stderr,
                "usage: test_db_pool CONNINFO [prepared=0|1 read=N work=N queue=N statement_timeout=MS "
                "connect_timeout=MS]%s\n",
                error.data);
        return 2;
    }
    return run(&config, argv[1]);
}
