/* The page that a browser gets at "/". */
#ifndef WEB_GREETING_H
#define WEB_GREETING_H

#include <stddef.h>

extern const char greeting_page[];
extern const size_t greeting_page_size; /* bytes, without the terminating zero */

#endif
