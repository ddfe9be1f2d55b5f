/* The greeting page: no script, no style, nothing from elsewhere. Served by api/root.c. */
#include "web/greeting.h"

const char greeting_page[] = "<!DOCTYPE html>\n"
                             "<html lang=\"en\">\n"
                             "<head>\n"
                             "<meta charset=\"utf-8\">\n"
                             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                             "<title>Verstak Sync Server</title>\n"
                             "</head>\n"
                             "<body>\n"
                             "<h1>Verstak Sync Server</h1>\n"
                             "<p>This server synchronises Verstak vaults. To use it, enter this address in the\n"
                             "synchronisation settings of Verstak on your device.</p>\n"
                             "</body>\n"
                             "</html>\n";
const size_t greeting_page_size = sizeof(greeting_page) - 1;
