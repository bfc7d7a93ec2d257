/* ns for one frame, written, read and released by one thread: the least of several runs.
 * Usage: speed NAME SIZE ROUNDS */
#include "check.h"

#include <time.h>

static double now(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int count, char **words)
{
    CHECK(count == 4);
    size_t size = strtoull(words[2], NULL, 10);
    long rounds = atol(words[3]);
    unsigned char *data = (unsigned char *)calloc(size, 1);
    zb_options *options = NULL;
    zb_reader *reader = NULL;
    zb_writer *writer = NULL;
    double best = 1e18;
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_RING_SIZE, (int64_t)(4 * size + 65536)));
    GIVES(ZB_OK, zb_reader_create(words[1], options, &reader));
    GIVES(ZB_OK, zb_writer_connect(words[1], NULL, &writer));
    for (int run = 0; run < 7; run++) {
        double start = now();
        for (long round = 0; round < rounds; round++) {
            zb_frame *frame = NULL;
            GIVES(ZB_OK, zb_writer_write(writer, data, size, NULL));
            GIVES(ZB_OK, zb_reader_read(reader, 0, &frame));
            GIVES(ZB_OK, zb_frame_release(frame));
        }
        double time = (now() - start) / (double)rounds;
        best = time < best ? time : best;
    }
    printf("%.1f\n", best);
    GIVES(ZB_OK, zb_writer_close(writer));
    GIVES(ZB_OK, zb_reader_close(reader));
    GIVES(ZB_OK, zb_options_free(options));
    free(data);
    return 0;
}
