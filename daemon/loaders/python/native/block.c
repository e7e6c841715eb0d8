/* Environment blocks of requests: `name NUL value NUL name NUL value …`. */

#include "native.h"

#include <string.h>

Py_ssize_t block_split(const char *block, Py_ssize_t length, Span spans[MAX_VARIABLES])
{
    const char *at = block, *end = block + length;
    Py_ssize_t count = 0;
    while (at < end) {
        const char *name_end = memchr(at, 0, (size_t)(end - at));
        if (name_end == NULL)
            break;
        if (count == MAX_VARIABLES)
            return -1;
        const char *value = name_end + 1;
        const char *value_end = value < end ? memchr(value, 0, (size_t)(end - value)) : NULL;
        if (value_end == NULL)
            value_end = end;
        spans[count++] = (Span){at, value, name_end - at, value_end - value};
        at = value_end + 1;
    }
    return count;
}

uint64_t block_hash(const char *name, Py_ssize_t length)
{
    uint64_t first = 0, last = 0;
    size_t some = length < 8 ? (size_t)length : 8;
    memcpy(&first, name, some);
    memcpy(&last, name + length - some, some);
    uint64_t hash = (first ^ (last << 1) ^ (uint64_t)length) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

int block_is_secret(const char *name, Py_ssize_t length)
{
    static const char *const SECRET[] = {"HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_PROXY_AUTHORIZATION"};
    for (size_t at = 0; at < sizeof SECRET / sizeof *SECRET; at++)
        if (strlen(SECRET[at]) == (size_t)length && memcmp(name, SECRET[at], (size_t)length) == 0)
            return 1;
    return 0;
}
