/* core/strbuf.h and core/mem.h */
#include <stdlib.h>

#include "core/mem.h"
#include "core/strbuf.h"
#include "tap.h"

static void test_empty(void)
{
    struct strbuf b = STRBUF_INIT;
    is_str(b.data, "", "an empty one is the empty string");
    is_int(b.capacity, 0, "and owns nothing");
    strbuf_append(&b, NULL, 0);
    is_int(b.capacity, 0, "appending nothing allocates nothing");
    strbuf_reset(&b);
    char *detached = strbuf_detach(&b);
    is_str(detached, "", "detached, it is heap memory");
    free(detached);
    strbuf_release(&b);
    strbuf_release(&b);
    is_str(b.data, "", "released twice, it is empty");
}

static void test_append(void)
{
    struct strbuf b;
    strbuf_init(&b);
    strbuf_append(&b, "a\0b", 3);
    strbuf_append_char(&b, '!');
    strbuf_append_str(&b, "xyz");
    strbuf_printf(&b, "%d%s", 42, "?");
    ok(b.len == 10 && memcmp(b.data, "a\0b!xyz42?", 11) == 0,
       "bytes, characters, strings and formats follow each other");
    strbuf_reset(&b);
    size_t capacity = b.capacity;
    is_str(b.data, "", "reset empties");
    ok(capacity >= 10, "but keeps the memory");
    strbuf_printf(&b, "%s", "");
    is_int(b.len, 0, "an empty format appends nothing");
    strbuf_release(&b);
}

/* Around each size at which it grows, by each way of appending. */
static void test_growth(void)
{
    for (size_t size = 0; size < 300; size++) {
        struct strbuf bytes = STRBUF_INIT, formatted = STRBUF_INIT;
        char *text = mem_alloc(size + 1);
        memset(text, 'x', size);
        text[size] = '\0';
        for (size_t i = 0; i < size; i++)
            strbuf_append_char(&bytes, 'x');
        strbuf_printf(&formatted, "%s", text);
        if (strcmp(bytes.data, text) != 0 || strcmp(formatted.data, text) != 0 || formatted.len != size)
            ok(false, "%zu bytes", size);
        strbuf_release(&bytes);
        strbuf_release(&formatted);
        free(text);
    }
    ok(true, "grows byte by byte and by formats of each size");
}

static void test_error(void)
{
    struct strbuf b = STRBUF_INIT;
    ok(!strbuf_error(NULL, "%s", "nobody wants it"), "NULL takes no reason");
    ok(!strbuf_error(&b, "cannot open '%s'", "x"), "always false");
    is_str(b.data, "cannot open 'x'", "the reason");
    strbuf_release(&b);
}

static void test_mem(void)
{
    char *text = mem_printf("%s-%d", "a", 7);
    is_str(text, "a-7", "mem_printf");
    mem_wipe(text, 3);
    ok(memcmp(text, "\0\0\0", 4) == 0, "mem_wipe");
    free(text);
    text = mem_strndup("abcdef", 3);
    is_str(text, "abc", "mem_strndup cuts");
    free(text);
    unsigned char *zeros = mem_zalloc(64);
    bool zero = true;
    for (int i = 0; i < 64; i++)
        zero = zero && !zeros[i];
    ok(zero, "mem_zalloc is zeroed");
    free(zeros);
    void *none = mem_alloc(0);
    ok(none != NULL, "no bytes are not NULL");
    free(none);
}

int main(void)
{
    test_empty();
    test_append();
    test_growth();
    test_error();
    test_mem();
    return tap_done();
}
