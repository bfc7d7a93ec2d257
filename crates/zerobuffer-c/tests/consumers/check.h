/* What the test programs have in common. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zerobuffer.h>

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            char text_[512] = "";                                                           \
            zb_last_error(text_, sizeof text_);                                             \
            fprintf(stderr, "%s:%d: %s\n  last error: %s\n", __FILE__, __LINE__, #condition, text_); \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

/* The call gives this status. */
#define GIVES(status, call)                                                                 \
    do {                                                                                    \
        int32_t got_ = (int32_t)(call);                                                     \
        if (got_ != (int32_t)(status)) {                                                    \
            char text_[512] = "";                                                           \
            zb_last_error(text_, sizeof text_);                                             \
            fprintf(stderr, "%s:%d: %s is %s instead of %s\n  last error: %s\n", __FILE__, __LINE__, #call, \
                    zb_status_name(got_), zb_status_name((int32_t)(status)), text_);        \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

#define SECOND INT64_C(1000000000)

/* A buffer's name that no other run has. */
static inline const char *own_name(const char *what, const char *run)
{
    static char name[8][128];
    static unsigned next;
    char *place = name[next++ % 8];
    const char *mark = getenv("ZEROBUFFER_TEST_MARK");
    snprintf(place, sizeof name[0], "%szbc-%s-%s", mark ? mark : "", what, run);
    return place;
}

/* What byte `at` of frame `sequence` is. */
static inline unsigned char pattern(uint64_t sequence, size_t at)
{
    return (unsigned char)(sequence * 131 + at);
}

static inline void fill(void *data, size_t size, uint64_t sequence)
{
    unsigned char *bytes = (unsigned char *)data;
    for (size_t at = 0; at < size; at++)
        bytes[at] = pattern(sequence, at);
}

static inline int is_right(const void *data, size_t size, uint64_t sequence)
{
    const unsigned char *bytes = (const unsigned char *)data;
    for (size_t at = 0; at < size; at++)
        if (bytes[at] != pattern(sequence, at))
            return 0;
    return 1;
}

#endif
