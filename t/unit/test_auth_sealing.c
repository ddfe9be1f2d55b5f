/* auth/sealing.h: what is sealed comes back with the same key and name alone; the key file */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/sealing.h"
#include "core/mem.h"
#include "tap.h"

static char directory[] = "/tmp/test_sealing.XXXXXX";

static char *path_of(const char *name)
{
    return mem_printf("%s/%s", directory, name);
}

static void forget_key(void)
{
    char *path = path_of("secret.key");
    unlink(path);
    free(path);
}

static struct sealing *open_sealing(void)
{
    struct sealing *s = NULL;
    struct strbuf error = STRBUF_INIT;
    if (!sealing_open(&s, directory, &error))
        ok(false, "cannot open: %s", error.data);
    strbuf_release(&error);
    return s;
}

static char *seal(const struct sealing *s, const char *name, const char *text)
{
    struct strbuf out = STRBUF_INIT;
    if (!sealing_seal(s, name, text, &out, NULL))
        ok(false, "cannot seal");
    return strbuf_detach(&out);
}

/* The text, or NULL and the reason in error. */
static char *unseal(const struct sealing *s, const char *name, const char *sealed, struct strbuf *error)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_reset(error);
    bool opened = sealing_unseal(s, name, sealed, &out, error);
    if (!opened && out.len)
        ok(false, "something came out");
    char *text = strbuf_detach(&out);
    if (!opened) {
        free(text);
        text = NULL;
    }
    return text;
}

static void test_texts(void)
{
    struct sealing *s = open_sealing();
    char *longest = mem_zalloc(SEALING_TEXT_MAX + 2);
    memset(longest, 'x', SEALING_TEXT_MAX);
    const char *const texts[] = {"", "a", "geheim", "пароль", "line\nfeed", longest};
    struct strbuf error = STRBUF_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char *sealed = seal(s, "smtp_password", texts[i]), *again = seal(s, "smtp_password", texts[i]);
        ok(strncmp(sealed, "v1:", 3) == 0 && strcmp(sealed, again) != 0, "sealed %zu, each time otherwise", i);
        ok(i < 2 || !strstr(sealed, texts[i]), "… not to be read");
        char *text = unseal(s, "smtp_password", sealed, &error);
        is_str(text, texts[i], "… and back %s", error.data);
        free(text);
        free(sealed);
        free(again);
    }
    longest[SEALING_TEXT_MAX] = 'x';
    struct strbuf out = STRBUF_INIT;
    ok(!sealing_seal(s, "smtp_password", longest, &out, &error) && !out.len, "a longer text is refused: %s",
       error.data);
    strbuf_release(&error);
    free(longest);
    sealing_free(&s);
}

/* Every single byte of the text in the database matters. */
static void test_tampering(void)
{
    struct sealing *s = open_sealing();
    struct strbuf error = STRBUF_INIT;
    char *sealed = seal(s, "smtp_password", "geheim");
    unsigned accepted = 0;
    for (size_t i = 0; sealed[i]; i++) {
        char was = sealed[i];
        sealed[i] = was == 'B' ? 'C' : 'B';
        char *text = unseal(s, "smtp_password", sealed, &error);
        accepted += text != NULL || !error.len;
        free(text);
        sealed[i] = was;
    }
    is_int(accepted, 0, "no changed text is accepted");
    for (size_t len = strlen(sealed); len-- > 0;) {
        char *cut = mem_strndup(sealed, len), *text = unseal(s, "smtp_password", cut, &error);
        accepted += text != NULL;
        free(text);
        free(cut);
    }
    is_int(accepted, 0, "nor a shortened one");
    char *longer = mem_printf("%sAAAA", sealed), *text = unseal(s, "smtp_password", longer, &error);
    ok(!text, "nor a longer one");
    text = unseal(s, "other_setting", sealed, &error);
    ok(!text, "nor one of another setting: %s", error.data);
    free(longer);
    free(sealed);
    strbuf_release(&error);
    sealing_free(&s);
}

static void test_foreign_key(void)
{
    struct sealing *s = open_sealing();
    struct strbuf error = STRBUF_INIT;
    char *sealed = seal(s, "smtp_password", "geheim");
    sealing_free(&s);
    forget_key();
    s = open_sealing();
    char *text = unseal(s, "smtp_password", sealed, &error);
    ok(!text, "another key opens nothing");
    ok(strstr(error.data, "copy secret.key from the host"), "… and says what to do: %s", error.data);
    text = unseal(s, "smtp_password", "geheim", &error);
    ok(!text && error.len, "what was never sealed: %s", error.data);
    free(sealed);
    strbuf_release(&error);
    sealing_free(&s);
}

static void test_file(void)
{
    struct stat st;
    struct sealing *s;
    struct strbuf error = STRBUF_INIT;
    char *path = path_of("secret.key");
    forget_key();
    mode_t old = umask(0777);
    s = open_sealing();
    umask(old);
    sealing_free(&s);
    ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_size == 32,
       "32 bytes, mode 0600, whatever the umask");
    char *listing = mem_printf("[ \"$(ls -A %s)\" = secret.key ]", directory);
    ok(system(listing) == 0, "nothing is left beside it");
    free(listing);
    chmod(path, 0640);
    ok(!sealing_open(&s, directory, &error) && !s && strstr(error.data, "mode 0600"), "others may read it: %s",
       error.data);
    chmod(path, 0600);
    strbuf_reset(&error);
    ok(truncate(path, 31) == 0 && !sealing_open(&s, directory, &error) && strstr(error.data, "is no key"),
       "too short: %s", error.data);
    ok(truncate(path, 33) == 0 && !sealing_open(&s, directory, NULL), "too long");
    unlink(path);
    strbuf_reset(&error);
    ok(symlink("/dev/zero", path) == 0 && !sealing_open(&s, directory, &error) && error.len, "a link: %s", error.data);
    unlink(path);
    ok(mkdir(path, 0700) == 0 && !sealing_open(&s, directory, NULL), "a directory");
    rmdir(path);
    strbuf_reset(&error);
    ok(!sealing_open(&s, "/nonexistent", &error) && strstr(error.data, "/nonexistent"), "no data directory: %s",
       error.data);
    strbuf_release(&error);
    free(path);
}

/* Processes that begin at the same moment, when there is no key: all have the same afterwards. */
static void test_race(void)
{
    enum { ROUNDS = 20, PROCESSES = 4 };
    unsigned wrong = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int start[2], answers[2];
        forget_key();
        if (pipe(start) || pipe(answers))
            return (void)ok(false, "pipes");
        for (int i = 0; i < PROCESSES; i++) {
            if (fork() != 0)
                continue;
            char byte;
            struct sealing *s = NULL;
            close(start[1]);
            (void)!read(start[0], &byte, 1); /* all wait for the end of the pipe */
            bool opened = sealing_open(&s, directory, NULL);
            char *sealed = opened ? seal(s, "n", "text") : mem_strdup("failed");
            (void)!write(answers[1], sealed, 11); /* "v1:" and the key's id */
            _exit(0);
        }
        close(start[0]);
        close(start[1]);
        close(answers[1]);
        char ids[PROCESSES][12] = {""};
        for (int i = 0; i < PROCESSES; i++)
            (void)!read(answers[0], ids[i], 11);
        for (int i = 0; i < PROCESSES; i++)
            wrong += strncmp(ids[i], "v1:", 3) != 0 || strcmp(ids[i], ids[0]) != 0;
        close(answers[0]);
        while (wait(NULL) > 0)
            ;
    }
    is_int(wrong, 0, "%d rounds of %d processes that make the key at once", ROUNDS, PROCESSES);
}

int main(void)
{
    if (!mkdtemp(directory))
        return 1;
    test_texts();
    test_tampering();
    test_foreign_key();
    test_file();
    test_race();
    forget_key();
    rmdir(directory);
    return tap_done();
}
