/* core/config_admin.c: --admin-user's edit of config.yml */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/config.h"
#include "core/mem.h"
#include "tap.h"

#define SALT "$2b$04$abcdefghijklmnopqrstuu"
#define OLD SALT "kgAkTNo0pgwTpCpHjZzyaVMqOEmRJPe"
#define NEW SALT "NEWkTNo0pgwTpCpHjZzyaVMqOEmRJPe"

static char directory[] = "/tmp/test_admin.XXXXXX";
static char path[64];

/* username is "eve"; `after` NULL: refused, and the file stays. */
static const struct {
    const char *name, *before, *after;
} edits[] = {
    {"an empty file", "", "admin:\n  - username: \"eve\"\n    password_hash: " NEW "\n"},
    {"a file without admin", "# mine\nlog:\n  level: debug # loud\n",
     "# mine\nlog:\n  level: debug # loud\nadmin:\n  - username: \"eve\"\n    password_hash: " NEW "\n"},
    {"a last line without its end", "log:\n  level: debug",
     "log:\n  level: debug\nadmin:\n  - username: \"eve\"\n    password_hash: " NEW "\n"},
    {"her entry", "admin:\n  # me\n  - username: eve\n    password_hash: " OLD " # x\nlog:\n  level: debug\n",
     "admin:\n  # me\n  - username: eve\n    password_hash: " NEW " # x\nlog:\n  level: debug\n"},
    {"her entry in quotes, hash first", "admin:\n- password_hash: \"" OLD "\"\n  username: 'eve'\n",
     "admin:\n- password_hash: " NEW "\n  username: 'eve'\n"},
    {"her entry between others behind other alphabets",
     "# \xc3\xa4\xe4\xb8\x96\xf0\x9f\x8c\x8d\nadmin:\n  - username: \xc3\xa4\n    password_hash: " OLD
     "\n  - username: eve\n    password_hash: " OLD "\n  - username: z\n    password_hash: " OLD "\n",
     "# \xc3\xa4\xe4\xb8\x96\xf0\x9f\x8c\x8d\nadmin:\n  - username: \xc3\xa4\n    password_hash: " OLD
     "\n  - username: eve\n    password_hash: " NEW "\n  - username: z\n    password_hash: " OLD "\n"},
    {"another's entry", "admin:\n  - username: bob\n    password_hash: " OLD "  # b\n\n# the log\nlog:\n",
     "admin:\n  - username: bob\n    password_hash: " OLD "  # b\n  - username: \"eve\"\n    password_hash: " NEW
     "\n\n# the log\nlog:\n"},
    {"a list that is not indented", "admin:\n- username: bob\n  password_hash: " OLD "\nlog:\n",
     "admin:\n- username: bob\n  password_hash: " OLD "\n- username: \"eve\"\n  password_hash: " NEW "\nlog:\n"},
    {"an entry in braces", "admin:\n   - {username: bob, password_hash: " OLD "}\n",
     "admin:\n   - {username: bob, password_hash: " OLD "}\n   - username: \"eve\"\n     password_hash: " NEW "\n"},
    {"a list in brackets", "admin: [{username: bob, password_hash: " OLD "}] # one\n",
     "admin: [{username: bob, password_hash: " OLD "}, {username: \"eve\", password_hash: " NEW "}] # one\n"},
    {"her entry in brackets",
     "admin: [{username: bob, password_hash: " OLD "}, {username: eve, password_hash: '" OLD "'}]\nlog:\n",
     "admin: [{username: bob, password_hash: " OLD "}, {username: eve, password_hash: " NEW "}]\nlog:\n"},
    {"admin without entries", "admin: # nobody\nlog:\n  level: debug\n",
     "admin: # nobody\n  - username: \"eve\"\n    password_hash: " NEW "\nlog:\n  level: debug\n"},
    {"admin at the end of the file",
     "log:\nadmin:", "log:\nadmin:\n  - username: \"eve\"\n    password_hash: " NEW "\n"},
    {"an empty list", "admin: [] # nobody\nlog:\n",
     "admin: [{username: \"eve\", password_hash: " NEW "}] # nobody\nlog:\n"},
    {"null", "admin: ~\n", "admin: [{username: \"eve\", password_hash: " NEW "}]\n"},
    {"lines that end in CR LF",
     "log:\r\n  level: debug\r\nadmin:\r\n  - username: eve\r\n    password_hash: " OLD "\r\n",
     "log:\r\n  level: debug\r\nadmin:\r\n  - username: eve\r\n    password_hash: " NEW "\r\n"},
    {"a byte order mark",
     "\xef\xbb\xbf"
     "admin:\n  - username: eve\n    password_hash: " OLD "\n",
     "\xef\xbb\xbf"
     "admin:\n  - username: eve\n    password_hash: " NEW "\n"},
    {"a key of another section that is called admin", "attempts:\n  admin: 10\n",
     "attempts:\n  admin: 10\nadmin:\n  - username: \"eve\"\n    password_hash: " NEW "\n"},
    {"a value that is called admin",
     "server:\n  user: admin\nadmin:\n  - username: admin\n    password_hash: " OLD "\n",
     "server:\n  user: admin\nadmin:\n  - username: admin\n    password_hash: " OLD
     "\n  - username: \"eve\"\n    password_hash: " NEW "\n"},
    {"a hash over several lines", "admin:\n  - username: eve\n    password_hash: >-\n      " OLD "\nlog:\n", NULL},
    {"everything in braces", "{log: {level: debug}}\n", NULL},
    {"an end of the document", "log:\n  level: debug\n...\n", NULL},
    {"a file with an error", "log:\n  lefel: debug\n", NULL},
};

static char *slurp(const char *file)
{
    struct strbuf b = STRBUF_INIT;
    char chunk[4096];
    FILE *f = fopen(file, "r");
    for (size_t n; f && (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
        strbuf_append(&b, chunk, n);
    if (f)
        fclose(f);
    return strbuf_detach(&b);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        ok(false, "cannot write %s", path);
}

static void test_edits(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
        struct strbuf error = STRBUF_INIT;
        write_file(edits[i].before);
        bool done = config_write_admin(path, "eve", NEW, &error);
        char *text = slurp(path);
        ok(done == !!edits[i].after, "%s %s", edits[i].name, error.data);
        is_str(text, edits[i].after ? edits[i].after : edits[i].before, "… the file");
        free(text);
        strbuf_release(&error);
    }
}

static unsigned count_files(void)
{
    unsigned count = 0;
    DIR *d = opendir(directory);
    for (const struct dirent *e; d && (e = readdir(d));)
        count += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return count;
}

static void test_file(void)
{
    struct strbuf error = STRBUF_INIT;
    struct stat st = {0};
    unlink(path);
    ok(config_write_admin(path, "eve \"the\\\" \xc3\xa4", NEW, &error), "a file that is not there %s", error.data);
    stat(path, &st);
    is_int(st.st_mode & 07777, 0640, "others do not read it");
    is_int(count_files(), 1, "nothing else is left behind");
    struct config_flags flags = {.data = directory};
    struct config *c = config_load(&flags, &error);
    is_str(c ? c->admins[0].username : error.data, "eve \"the\\\" \xc3\xa4", "a name with quotes comes back");
    config_free(&c);

    char *link_path = mem_printf("%s/link", directory);
    if (symlink("config.yml", link_path) < 0)
        ok(false, "cannot make a link");
    ok(config_write_admin(link_path, "eve", NEW, NULL), "through a symbolic link");
    lstat(link_path, &st);
    ok(S_ISLNK(st.st_mode), "which stays one");
    unlink(link_path);
    free(link_path);

    chmod(path, 0666);
    ino_t before = st.st_ino;
    ok(config_write_admin(path, "eve", OLD, NULL), "again");
    stat(path, &st);
    is_int(st.st_mode & 07777, 0640, "the mode is set");
    ok(st.st_ino != before, "the file is another one: readers see the old or the new");

    ok(!config_write_admin("/nonexistent/config.yml", "eve", NEW, &error), "a directory that is not there");
    is_str(error.data, "cannot open directory '/nonexistent': No such file or directory", "is named");
    strbuf_reset(&error);
    ok(!config_write_admin(path, "eve\n", NEW, &error) && error.len, "a name with a line feed: %s", error.data);
    strbuf_reset(&error);
    ok(!config_write_admin(path, "eve", "geheim", &error) && !strstr(error.data, "geheim"), "no hash: %s", error.data);
    strbuf_release(&error);
}

/* Root writes for the user that the server drops to. */
static void test_owner(void)
{
    struct stat st = {0};
    if (geteuid() != 0 || chown(directory, 12345, 12346) < 0)
        return;
    unlink(path);
    ok(config_write_admin(path, "eve", NEW, NULL), "root writes a new file");
    stat(path, &st);
    ok(st.st_uid == 12345 && st.st_gid == 12346, "which gets the directory's owner");
    if (chown(path, 12, 13) < 0)
        ok(false, "chown");
    ok(config_write_admin(path, "eve", NEW, NULL), "and one that is there");
    stat(path, &st);
    ok(st.st_uid == 12 && st.st_gid == 13, "which keeps its own");
}

/* Two servers' commands at once: no entry is lost. */
static void test_together(void)
{
    enum { WRITERS = 8, ROUNDS = 5 };
    unlink(path);
    for (int w = 0; w < WRITERS; w++) {
        if (fork() != 0)
            continue;
        bool all = true;
        for (int i = 0; i < ROUNDS; i++) {
            char name[32];
            snprintf(name, sizeof(name), "w%d-%d", w, i);
            all = config_write_admin(path, name, NEW, NULL) && all;
        }
        _exit(all ? 0 : 1);
    }
    int status, failures = 0;
    while (wait(&status) > 0 || errno == EINTR)
        failures += status != 0;
    is_int(failures, 0, "all writers wrote");
    struct config_flags flags = {.data = directory};
    struct config *c = config_load(&flags, NULL);
    is_int(c ? c->admin_count : 0, WRITERS * ROUNDS, "and all entries are there");
    config_free(&c);
}

int main(void)
{
    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/config.yml", directory);
    test_edits();
    test_file();
    test_together();
    test_owner();
    unlink(path);
    rmdir(directory);
    return tap_done();
}
