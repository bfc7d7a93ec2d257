/* One end of one measurement, in C. */
#define _POSIX_C_SOURCE 200809L
#include <zerobuffer.h>

typedef struct receiver {
    zb_reader *reader;
    zb_frame *frame;
} receiver;

typedef struct sender {
    zb_writer *writer;
} sender;

#include "drive.h"

static void check(zb_status status)
{
    char text[512];
    if (status == ZB_OK)
        return;
    zb_last_error(text, sizeof text);
    fail(text);
}

static void open_receiver(receiver *end, const char *name, const task *task)
{
    zb_options *options = NULL;
    check(zb_options_new(&options));
    check(zb_options_set(options, ZB_RING_SIZE, (int64_t)((task->bytes + 16) * task->depth)));
    check(zb_options_set(options, ZB_METADATA_SIZE, 0));
    check(zb_reader_create(name, options, &end->reader));
    check(zb_options_free(options));
}

static const unsigned char *receive_frame(receiver *end)
{
    void *data = NULL;
    check(zb_reader_read_get(end->reader, -1, &end->frame, &data, NULL, NULL));
    return (const unsigned char *)data;
}

static void release_frame(receiver *end) { check(zb_frame_release(end->frame)); }

static void close_receiver(receiver *end) { check(zb_reader_close(end->reader)); }

static void open_sender(sender *end, const char *name, const task *task)
{
    zb_options *options = NULL;
    (void)task;
    check(zb_options_new(&options));
    check(zb_options_set(options, ZB_CONNECT_TIMEOUT, INT64_C(20000000000)));
    check(zb_writer_connect(name, options, &end->writer));
    check(zb_options_free(options));
}

static void send_copy(sender *end, const void *data, size_t size)
{
    check(zb_writer_write(end->writer, data, size, NULL));
}

static void *begin_loan(sender *end, size_t size)
{
    void *data = NULL;
    check(zb_writer_loan(end->writer, size, &data));
    return data;
}

static void commit_loan(sender *end, size_t size) { check(zb_writer_commit(end->writer, size, NULL)); }

static void close_sender(sender *end) { check(zb_writer_close(end->writer)); }

int main(int count, char **words) { return drive(count, words); }
