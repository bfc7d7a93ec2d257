/* What the library does, and what it says to wrong calls. Usage: checks RUN */
#include "check.h"

#ifdef __linux__
#include <poll.h>
#endif

static void versions(void)
{
    char text[8];
    CHECK(zb_abi_version() >> 16 == ZB_ABI_VERSION >> 16);
    CHECK(zb_abi_version() >= ZB_ABI_VERSION);
    CHECK(strncmp(zb_version(), "2.", 2) == 0);
    CHECK(strcmp(zb_status_name(ZB_FULL), "ZB_FULL") == 0);
    CHECK(strcmp(zb_status_name(12345), "unknown") == 0);
    /* An old library says so to a new header. */
    zb_options *options = NULL;
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_INVALID_ARGUMENT, zb_options_set(options, 999, 1));
    CHECK(zb_last_error(NULL, 0) > 20);
    CHECK(zb_last_error(text, sizeof text) > 20 && strlen(text) == 7);
    GIVES(ZB_OK, zb_options_free(options));
}

static void stream(const char *run)
{
    const char *name = own_name("stream", run);
    zb_options *options = NULL;
    zb_reader *reader = NULL, *second = NULL;
    zb_writer *writer = NULL, *other = NULL;
    zb_frame *frame = NULL, *gone = NULL;
    uint64_t sequence = 0, value = 0, skipped = 0;
    size_t size = 0;
    void *data = NULL;
    char metadata[16];
    zb_part parts[3] = {{"from ", 5}, {NULL, 0}, {"parts", 5}};

    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_RING_SIZE, 4096));
    GIVES(ZB_OK, zb_options_set(options, ZB_METADATA_SIZE, 64));
    GIVES(ZB_NOT_FOUND, zb_writer_connect(name, NULL, &writer));
    CHECK(writer == NULL);
    GIVES(ZB_OK, zb_reader_create(name, options, &reader));
    GIVES(ZB_READER_CONNECTED, zb_reader_create(name, options, &second));
    GIVES(ZB_TIMEOUT, zb_reader_read(reader, 0, &frame));
    GIVES(ZB_TIMEOUT, zb_reader_wait_for_writer(reader, 1000000));
    GIVES(ZB_PEER_GONE, zb_reader_has_writer(reader));
    GIVES(ZB_NONE, zb_reader_metadata(reader, metadata, sizeof metadata, &size));
    /* An option that is none of a writer. */
    GIVES(ZB_INVALID_ARGUMENT, zb_writer_connect(name, options, &writer));
    GIVES(ZB_OK, zb_writer_connect(name, NULL, &writer));
    GIVES(ZB_WRITER_CONNECTED, zb_writer_connect(name, NULL, &other));
    GIVES(ZB_OK, zb_reader_has_writer(reader));
    GIVES(ZB_OK, zb_writer_has_reader(writer));

    GIVES(ZB_OK, zb_writer_set_metadata(writer, "caps", 4));
    GIVES(ZB_METADATA_WRITTEN, zb_writer_set_metadata(writer, "caps", 4));
    GIVES(ZB_OK, zb_reader_metadata(reader, NULL, 0, &size));
    CHECK(size == 4);
    GIVES(ZB_OK, zb_reader_metadata(reader, metadata, 2, &size));
    CHECK(size == 4 && memcmp(metadata, "ca", 2) == 0);

    GIVES(ZB_OK, zb_writer_write(writer, "copied", 6, &sequence));
    CHECK(sequence == 1);
    GIVES(ZB_OK, zb_writer_write_parts(writer, parts, 3, NULL));
    GIVES(ZB_OK, zb_writer_loan(writer, 100, &data));
    memcpy(data, "in place", 8);
    GIVES(ZB_INVALID_COMMIT, zb_writer_commit(writer, 101, &sequence));
    GIVES(ZB_OK, zb_writer_commit(writer, 8, &sequence));
    CHECK(sequence == 3);
    GIVES(ZB_INVALID_COMMIT, zb_writer_commit(writer, 8, &sequence));
    GIVES(ZB_NONE, zb_writer_abort(writer));
    GIVES(ZB_OK, zb_writer_loan(writer, 100, &data));
    GIVES(ZB_OK, zb_writer_abort(writer));
    GIVES(ZB_OK, zb_writer_next_sequence(writer, &sequence));
    CHECK(sequence == 4);
    GIVES(ZB_EMPTY_FRAME, zb_writer_write(writer, "", 0, NULL));
    GIVES(ZB_FRAME_TOO_LARGE, zb_writer_loan(writer, 4096, &data));
    GIVES(ZB_FRAME_TOO_LARGE, zb_writer_loan(writer, SIZE_MAX, &data));
    CHECK(data == NULL);

    const char *expected[] = {"copied", "from parts", "in place"};
    for (int number = 0; number < 3; number++) {
        GIVES(ZB_OK, zb_reader_read(reader, -1, &frame));
        CHECK(zb_frame_size(frame) == strlen(expected[number]));
        CHECK(memcmp(zb_frame_data(frame), expected[number], zb_frame_size(frame)) == 0);
        CHECK(zb_frame_sequence(frame) == (uint64_t)number + 1);
        GIVES(ZB_OK, zb_frame_get(frame, &data, &size, NULL));
        CHECK(data == zb_frame_data(frame) && size == zb_frame_size(frame));
        GIVES(ZB_OK, zb_frame_release(frame));
        GIVES(ZB_INVALID_HANDLE, zb_frame_release(frame));
        CHECK(zb_frame_data(frame) == NULL && zb_frame_size(frame) == 0);
    }

    static char large[2000];
    GIVES(ZB_OK, zb_writer_try_write(writer, large, sizeof large, NULL));
    GIVES(ZB_OK, zb_writer_try_write(writer, large, sizeof large, NULL));
    GIVES(ZB_FULL, zb_writer_try_write(writer, large, sizeof large, NULL));
    GIVES(ZB_OK, zb_writer_set_write_timeout(writer, 1000000));
    GIVES(ZB_FULL, zb_writer_write(writer, large, sizeof large, NULL));
    GIVES(ZB_OK, zb_reader_latest(reader, SECOND, &frame, &skipped));
    CHECK(skipped == 1 && zb_frame_sequence(frame) == 5);
    GIVES(ZB_OK, zb_writer_stat(writer, ZB_STAT_FRAMES, &value));
    CHECK(value == 5);
    GIVES(ZB_OK, zb_reader_stat(reader, ZB_STAT_LOST, &value));
    CHECK(value == 1);
    GIVES(ZB_OK, zb_reader_stat(reader, ZB_STAT_CAPACITY, &value));
    CHECK(value == 4096);
    GIVES(ZB_OK, zb_reader_stat(reader, ZB_STAT_USED_PPM, &value));
    CHECK(value > 0 && value <= 1000000);
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_stat(reader, 99, &value));

    GIVES(ZB_OK, zb_reader_interrupt(reader));
    GIVES(ZB_CLOSED, zb_reader_wait_for_writer(reader, SECOND));
    GIVES(ZB_OK, zb_reader_resume(reader));
    GIVES(ZB_OK, zb_writer_interrupt(writer));
    GIVES(ZB_CLOSED, zb_writer_write(writer, "x", 1, NULL));
    GIVES(ZB_OK, zb_writer_resume(writer));

    GIVES(ZB_OK, zb_writer_close(writer));
    GIVES(ZB_INVALID_HANDLE, zb_writer_close(writer));
    GIVES(ZB_PEER_GONE, zb_reader_read(reader, SECOND, &gone));
    GIVES(ZB_OK, zb_reader_close(reader));
    GIVES(ZB_INVALID_HANDLE, zb_reader_close(reader));
    /* A frame outlives its reader. */
    CHECK(zb_frame_size(frame) == sizeof large && *(char *)zb_frame_data(frame) == 0);
    GIVES(ZB_OK, zb_frame_release(frame));
    GIVES(ZB_OK, zb_options_free(options));
}

static void drops(const char *run)
{
    const char *name = own_name("drops", run);
    zb_options *options = NULL, *dropping = NULL;
    zb_reader *reader = NULL;
    zb_writer *writer = NULL;
    zb_frame *frames[3];
    static char data[1000];
    uint64_t dropped = 0;
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_RING_SIZE, 2112));
    GIVES(ZB_OK, zb_options_new(&dropping));
    GIVES(ZB_OK, zb_options_set(dropping, ZB_FULL_RING, ZB_FULL_DROP));
    GIVES(ZB_OK, zb_reader_create(name, options, &reader));
    GIVES(ZB_OK, zb_writer_connect(name, dropping, &writer));
    GIVES(ZB_OK, zb_writer_write(writer, data, sizeof data, NULL));
    GIVES(ZB_OK, zb_writer_write(writer, data, sizeof data, NULL));
    GIVES(ZB_DROPPED, zb_writer_write(writer, data, sizeof data, NULL));
    GIVES(ZB_OK, zb_writer_stat(writer, ZB_STAT_LOST, &dropped));
    CHECK(dropped == 1);
    /* Held in any order. */
    GIVES(ZB_OK, zb_reader_read(reader, 0, &frames[0]));
    GIVES(ZB_OK, zb_reader_read(reader, 0, &frames[1]));
    GIVES(ZB_OK, zb_frame_release(frames[1]));
    GIVES(ZB_OK, zb_frame_release(frames[0]));
    GIVES(ZB_OK, zb_writer_write(writer, data, sizeof data, NULL));
    GIVES(ZB_OK, zb_writer_close(writer));
    GIVES(ZB_OK, zb_reader_close(reader));
    GIVES(ZB_OK, zb_options_free(options));
    GIVES(ZB_OK, zb_options_free(dropping));
}

/* zb_reader_next gives each frame back when the next one is asked for. */
static void one_after_the_other(const char *run)
{
    const char *name = own_name("next", run);
    zb_reader *reader = NULL;
    zb_writer *writer = NULL;
    zb_options *options = NULL;
    zb_frame *frame = NULL, *held = NULL;
    static unsigned char sent[3000];
    void *data = NULL;
    size_t size = 0;
    uint64_t sequence = 0;
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_RING_SIZE, 4096));
    GIVES(ZB_OK, zb_reader_create(name, options, &reader));
    GIVES(ZB_OK, zb_writer_connect(name, NULL, &writer));
    GIVES(ZB_TIMEOUT, zb_reader_next(reader, 0, &frame, &data, &size, &sequence));
    CHECK(frame == NULL);
    /* The ring has room for one of them: each call returns the space of the one before. */
    for (unsigned number = 1; number <= 100; number++) {
        memset(sent, (int)number, sizeof sent);
        GIVES(ZB_OK, zb_writer_write(writer, sent, sizeof sent, NULL));
        GIVES(ZB_OK, zb_reader_next(reader, 0, &frame, &data, &size, &sequence));
        CHECK(frame != NULL && frame != held && zb_frame_data(frame) == data);
        CHECK(size == sizeof sent && sequence == number && memcmp(data, sent, size) == 0);
        GIVES(held ? ZB_INVALID_HANDLE : ZB_OK, held ? zb_frame_release(held) : ZB_OK);
        GIVES(ZB_FULL, zb_writer_try_write(writer, sent, sizeof sent, NULL));
        held = frame;
        /* Nothing more is there. */
        GIVES(ZB_TIMEOUT, zb_reader_next(reader, 0, &frame, NULL, NULL, NULL));
        CHECK(frame == NULL);
        GIVES(ZB_INVALID_HANDLE, zb_frame_release(held));
    }
    /* What is no frame is told, and nothing is read. */
    GIVES(ZB_OK, zb_writer_write(writer, sent, sizeof sent, NULL));
    frame = held;
    GIVES(ZB_INVALID_HANDLE, zb_reader_next(reader, 0, &frame, NULL, NULL, NULL));
    CHECK(frame == NULL);
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_next(reader, 0, NULL, NULL, NULL, NULL));
    GIVES(ZB_OK, zb_reader_next(reader, 0, &frame, NULL, NULL, NULL));
    /* A reader that is closed gives its frame back all the same. */
    GIVES(ZB_OK, zb_writer_close(writer));
    GIVES(ZB_OK, zb_reader_close(reader));
    held = frame;
    GIVES(ZB_INVALID_HANDLE, zb_reader_next(reader, 0, &frame, NULL, NULL, NULL));
    GIVES(ZB_INVALID_HANDLE, zb_frame_release(held));
    GIVES(ZB_OK, zb_options_free(options));
}

/* zb_reader_read_get, and frames that are held while others come and go. */
static void in_one_call(const char *run)
{
    enum { HELD = 20 };
    const char *name = own_name("one-call", run);
    zb_reader *reader = NULL;
    zb_writer *writer = NULL;
    zb_frame *frames[HELD], *none = (zb_frame *)name;
    void *data = NULL;
    size_t size = 0;
    uint64_t sequence = 0;
    GIVES(ZB_OK, zb_reader_create(name, NULL, &reader));
    GIVES(ZB_OK, zb_writer_connect(name, NULL, &writer));
    GIVES(ZB_TIMEOUT, zb_reader_read_get(reader, 0, &none, &data, &size, &sequence));
    CHECK(none == NULL && data == NULL && size == 0);
    for (unsigned number = 0; number < HELD; number++) {
        GIVES(ZB_OK, zb_writer_write(writer, &number, sizeof number, NULL));
        GIVES(ZB_OK, zb_reader_read_get(reader, -1, &frames[number], &data, &size, &sequence));
        CHECK(data == zb_frame_data(frames[number]) && size == sizeof number);
        CHECK(sequence == number + 1 && memcmp(data, &number, size) == 0);
    }
    for (unsigned number = 0; number < HELD; number += 2)
        GIVES(ZB_OK, zb_frame_release(frames[number]));
    for (unsigned round = 0; round < 100; round++) {
        zb_frame *frame = NULL;
        GIVES(ZB_OK, zb_writer_write(writer, "x", 1, NULL));
        GIVES(ZB_OK, zb_reader_read_get(reader, 0, &frame, NULL, NULL, NULL));
        GIVES(ZB_OK, zb_frame_release(frame));
        GIVES(ZB_INVALID_HANDLE, zb_frame_release(frame));
    }
    for (unsigned number = 0; number < HELD; number++) {
        int held = number % 2;
        CHECK(zb_frame_sequence(frames[number]) == (held ? number + 1 : 0));
        CHECK(!held || memcmp(zb_frame_data(frames[number]), &number, sizeof number) == 0);
        GIVES(held ? ZB_OK : ZB_INVALID_HANDLE, zb_frame_release(frames[number]));
    }
    GIVES(ZB_OK, zb_writer_close(writer));
    GIVES(ZB_PEER_GONE, zb_reader_read_get(reader, 0, &none, NULL, NULL, NULL));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_read_get(reader, 0, NULL, &data, &size, &sequence));
    GIVES(ZB_OK, zb_reader_close(reader));
}

static void newest(const char *run)
{
    const char *name = own_name("newest", run);
    zb_options *options = NULL;
    zb_newest *newest = NULL;
    zb_writer *writer = NULL;
    zb_frame *held = NULL, *frame = NULL;
    static unsigned char data[1000];
    uint64_t skipped = 0, all = 0;
    size_t size = 0;
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_RING_SIZE, 4096));
    GIVES(ZB_OK, zb_newest_create(name, options, &newest));
    GIVES(ZB_TIMEOUT, zb_newest_read(newest, 0, &held, NULL));
    GIVES(ZB_PEER_GONE, zb_newest_has_writer(newest));
    GIVES(ZB_NONE, zb_newest_metadata(newest, NULL, 0, &size));
    GIVES(ZB_OK, zb_writer_connect(name, NULL, &writer));
    GIVES(ZB_OK, zb_newest_has_writer(newest));
    GIVES(ZB_OK, zb_writer_write(writer, "first", 5, NULL));
    GIVES(ZB_OK, zb_newest_read(newest, 20 * SECOND, &held, &skipped));
    CHECK(skipped == 0 && zb_frame_size(held) == 5);
    GIVES(ZB_OK, zb_frame_release(held));
    /* Many times the ring, and nobody releases anything. */
    for (unsigned number = 0; number < 100; number++) {
        data[0] = (unsigned char)number;
        GIVES(ZB_OK, zb_writer_write(writer, data, sizeof data, NULL));
    }
    while (zb_frame_sequence(frame) != 101) {
        if (frame)
            GIVES(ZB_OK, zb_frame_release(frame));
        GIVES(ZB_OK, zb_newest_read(newest, 20 * SECOND, &frame, &skipped));
        all += 1 + skipped;
    }
    CHECK(all == 100 && *(unsigned char *)zb_frame_data(frame) == 99);
    GIVES(ZB_OK, zb_newest_stat(newest, ZB_STAT_CAPACITY, &skipped));
    CHECK(skipped >= 4096);
    GIVES(ZB_NONE, zb_newest_stat(newest, ZB_STAT_METADATA_CAPACITY, &skipped));
    GIVES(ZB_FRAME_TOO_LARGE, zb_writer_write(writer, data, 5000, NULL));
    GIVES(ZB_OK, zb_newest_interrupt(newest));
    GIVES(ZB_CLOSED, zb_newest_read(newest, -1, &held, NULL));
    GIVES(ZB_OK, zb_newest_close(newest));
    GIVES(ZB_INVALID_HANDLE, zb_newest_close(newest));
    /* It is a copy of its own. */
    CHECK(zb_frame_size(frame) == sizeof data);
    GIVES(ZB_OK, zb_frame_release(frame));
    GIVES(ZB_OK, zb_writer_close(writer));
    GIVES(ZB_OK, zb_options_free(options));
}

#ifdef __linux__
static int is_readable(int descriptor, int ms)
{
    struct pollfd asked = {descriptor, POLLIN, 0};
    return poll(&asked, 1, ms) == 1;
}

/* An event loop: read all, wait, read all. */
static void events(const char *run)
{
    const char *name = own_name("events", run), *latest = own_name("events-newest", run);
    zb_reader *reader = NULL;
    zb_newest *newest = NULL;
    zb_writer *writer = NULL, *other = NULL;
    zb_frame *frame = NULL;
    zb_options *options = NULL;
    static char data[3000];
    int descriptor = -1, room = -1, again = -1, frames = 0;
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_RING_SIZE, 4096));
    GIVES(ZB_OK, zb_reader_create(name, options, &reader));
    GIVES(ZB_OK, zb_writer_connect(name, NULL, &writer));
    GIVES(ZB_OK, zb_reader_event_fd(reader, &descriptor));
    GIVES(ZB_OK, zb_reader_event_fd(reader, &again));
    CHECK(descriptor >= 0 && descriptor == again);
    GIVES(ZB_OK, zb_writer_event_fd(writer, &room));
    for (int number = 0; number < 50; number++) {
        GIVES(ZB_OK, zb_writer_try_write(writer, data, sizeof data, NULL));
        GIVES(ZB_FULL, zb_writer_try_write(writer, data, sizeof data, NULL));
        while (zb_reader_read(reader, 0, &frame) == ZB_TIMEOUT)
            CHECK(is_readable(descriptor, 20000));
        frames++;
        GIVES(ZB_OK, zb_frame_release(frame));
        GIVES(ZB_TIMEOUT, zb_reader_read(reader, 0, &frame));
        CHECK(is_readable(room, 20000));
    }
    CHECK(frames == 50);
    GIVES(ZB_OK, zb_writer_close(writer));
    zb_status status = ZB_TIMEOUT;
    while ((status = zb_reader_read(reader, 0, &frame)) == ZB_TIMEOUT)
        CHECK(is_readable(descriptor, 20000));
    GIVES(ZB_PEER_GONE, status);
    GIVES(ZB_OK, zb_reader_close(reader));

    GIVES(ZB_OK, zb_newest_create(latest, options, &newest));
    GIVES(ZB_OK, zb_newest_event_fd(newest, &descriptor));
    GIVES(ZB_TIMEOUT, zb_newest_read(newest, 0, &frame, NULL));
    GIVES(ZB_OK, zb_writer_connect(latest, NULL, &other));
    GIVES(ZB_OK, zb_writer_write(other, data, 100, NULL));
    while (zb_newest_read(newest, 0, &frame, NULL) == ZB_TIMEOUT)
        CHECK(is_readable(descriptor, 20000));
    GIVES(ZB_OK, zb_frame_release(frame));
    GIVES(ZB_OK, zb_writer_close(other));
    GIVES(ZB_OK, zb_newest_close(newest));
    GIVES(ZB_OK, zb_options_free(options));
}
#else
static void events(const char *run)
{
    zb_reader *reader = NULL;
    int descriptor = 0;
    GIVES(ZB_OK, zb_reader_create(own_name("events", run), NULL, &reader));
    GIVES(ZB_ERROR, zb_reader_event_fd(reader, &descriptor));
    CHECK(descriptor == -1);
    GIVES(ZB_OK, zb_reader_close(reader));
}
#endif

struct listed {
    int count;
    uint64_t frames, lost;
    const zb_subscriber *kept;
};

static int list_subscriber(void *user, const zb_subscriber *subscriber)
{
    struct listed *listed = (struct listed *)user;
    uint64_t frames = 0, lost = 0, other = 0;
    CHECK(strchr(zb_subscriber_buffer(subscriber), '@') != NULL);
    CHECK(zb_subscriber_problem(subscriber) == NULL);
    GIVES(ZB_OK, zb_subscriber_stat(subscriber, ZB_STAT_FRAMES, &frames));
    GIVES(ZB_OK, zb_subscriber_stat(subscriber, ZB_STAT_LOST, &lost));
    GIVES(ZB_OK, zb_subscriber_stat(subscriber, ZB_STAT_USED_PPM, &other));
    GIVES(ZB_NONE, zb_subscriber_stat(subscriber, ZB_STAT_CAPACITY, &other));
    GIVES(ZB_INVALID_ARGUMENT, zb_subscriber_stat(subscriber, 99, &other));
    listed->count++;
    listed->frames += frames;
    listed->lost += lost;
    listed->kept = subscriber;
    return 0;
}

/* Two subscribers get all, of which one takes nothing; one is disconnected. */
static void broadcast(const char *run)
{
    const char *name = own_name("broadcast", run);
    zb_options *options = NULL, *small = NULL;
    zb_broadcaster *broadcaster = NULL;
    zb_reader *first = NULL, *second = NULL, *out = NULL, *other = NULL;
    zb_writer *writer = NULL;
    zb_frame *frame = NULL;
    struct listed listed = {0, 0, 0, NULL};
    char text[256], own[256], metadata[8];
    size_t size = 0, sent = 9, missed = 9;
    uint64_t number = 0;
    static unsigned char data[1000];
    const zb_part parts[2] = {{data, 10}, {data + 10, 990}};

    GIVES(ZB_OK, zb_options_new(&small));
    GIVES(ZB_OK, zb_options_set(small, ZB_RING_SIZE, 4096));
    GIVES(ZB_OK, zb_reader_subscribe(name, small, &first));
    GIVES(ZB_OK, zb_reader_subscribe(name, small, &second));
    GIVES(ZB_OK, zb_reader_name(first, own, sizeof own, &size));
    GIVES(ZB_OK, zb_reader_name(second, text, sizeof text, &size));
    CHECK(strlen(text) == size && strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == '@');
    CHECK(strcmp(text, own) != 0);
    GIVES(ZB_OK, zb_reader_name(first, text, 4, &size));
    CHECK(strlen(text) == 3 && size == strlen(own));
    GIVES(ZB_OK, zb_reader_name(first, NULL, 0, &size));
    snprintf(text, sizeof text, "%s@out", name);
    GIVES(ZB_OK, zb_reader_create(text, small, &out));

    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_INVALID_ARGUMENT, zb_options_set(options, ZB_SLOW, -3));
    GIVES(ZB_INVALID_ARGUMENT, zb_options_set(options, ZB_MAX_SUBSCRIBERS, 0));
    GIVES(ZB_INVALID_ARGUMENT, zb_options_slow(options, "out", -3));
    GIVES(ZB_INVALID_ARGUMENT, zb_options_slow(options, NULL, ZB_SLOW_DROP));
    GIVES(ZB_OK, zb_options_slow(options, "ou*", ZB_SLOW_DISCONNECT));
    GIVES(ZB_OK, zb_options_slow(options, "out", ZB_SLOW_DROP));
    GIVES(ZB_INVALID_ARGUMENT, zb_writer_connect(text, options, &writer));
    GIVES(ZB_OK, zb_options_set(options, ZB_SLOW, ZB_SLOW_DROP));
    GIVES(ZB_OK, zb_broadcaster_new(name, options, &broadcaster));
    GIVES(ZB_OK, zb_broadcaster_wait_for_subscribers(broadcaster, 3, 20 * SECOND));
    GIVES(ZB_TIMEOUT, zb_broadcaster_wait_for_subscribers(broadcaster, 4, 0));
    GIVES(ZB_OK, zb_broadcaster_set_metadata(broadcaster, "about", 5));
    GIVES(ZB_EMPTY_FRAME, zb_broadcaster_write(broadcaster, data, 0, &sent, &missed));
    CHECK(sent == 0 && missed == 0);

    for (uint64_t at = 1; at <= 20; at++) {
        fill(data, sizeof data, at);
        if (at % 2)
            GIVES(ZB_OK, zb_broadcaster_write(broadcaster, data, sizeof data, &sent, &missed));
        else
            GIVES(ZB_OK, zb_broadcaster_write_parts(broadcaster, parts, 2, &sent, &missed));
        CHECK(sent >= 1);
        GIVES(ZB_OK, zb_reader_read(first, 20 * SECOND, &frame));
        CHECK(zb_frame_sequence(frame) == at && zb_frame_size(frame) == sizeof data);
        CHECK(is_right(zb_frame_data(frame), zb_frame_size(frame), at));
        GIVES(ZB_OK, zb_frame_release(frame));
    }
    GIVES(ZB_OK, zb_reader_metadata(first, metadata, sizeof metadata, &size));
    CHECK(size == 5 && memcmp(metadata, "about", 5) == 0);
    CHECK(sent == 1 && missed == 1);
    GIVES(ZB_OK, zb_broadcaster_subscribers(broadcaster, list_subscriber, &listed));
    CHECK(listed.count == 2 && listed.frames + listed.lost == 40 && listed.lost > 10);
    CHECK(zb_subscriber_buffer(listed.kept) == NULL && zb_subscriber_problem(NULL) == NULL);
    GIVES(ZB_INVALID_HANDLE, zb_subscriber_stat(listed.kept, ZB_STAT_FRAMES, &number));
    GIVES(ZB_INVALID_ARGUMENT, zb_broadcaster_subscribers(broadcaster, NULL, NULL));
    const struct {
        int32_t key;
        uint64_t value;
    } numbers[] = {
        {ZB_STAT_FRAMES, 20}, {ZB_STAT_BYTES, 20000},       {ZB_STAT_SUBSCRIBERS, 2},
        {ZB_STAT_JOINED, 3},  {ZB_STAT_DISCONNECTED, 1}, {ZB_STAT_LEFT, 0},
    };
    for (size_t at = 0; at < sizeof numbers / sizeof numbers[0]; at++) {
        GIVES(ZB_OK, zb_broadcaster_stat(broadcaster, numbers[at].key, &number));
        CHECK(number == numbers[at].value);
    }
    GIVES(ZB_OK, zb_broadcaster_stat(broadcaster, ZB_STAT_SENT, &number));
    GIVES(ZB_OK, zb_broadcaster_stat(broadcaster, ZB_STAT_LOST, &listed.lost));
    CHECK(number >= 20 && listed.lost > 10);
    GIVES(ZB_INVALID_ARGUMENT, zb_broadcaster_stat(broadcaster, ZB_STAT_CAPACITY, &number));

    /* It has what it got before, and then no writer. */
    zb_status status = ZB_OK;
    while ((status = zb_reader_read(out, 20 * SECOND, &frame)) == ZB_OK)
        GIVES(ZB_OK, zb_frame_release(frame));
    GIVES(ZB_PEER_GONE, status);
    GIVES(ZB_OK, zb_broadcaster_interrupt(broadcaster));
    GIVES(ZB_CLOSED, zb_broadcaster_write(broadcaster, data, 1, NULL, NULL));
    GIVES(ZB_OK, zb_broadcaster_close(broadcaster));
    GIVES(ZB_INVALID_HANDLE, zb_broadcaster_close(broadcaster));
    GIVES(ZB_INVALID_HANDLE, zb_broadcaster_write((zb_broadcaster *)first, data, 1, NULL, NULL));
    GIVES(ZB_PEER_GONE, zb_reader_read(first, 20 * SECOND, &frame));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_subscribe("a/b", NULL, &other));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_subscribe(NULL, NULL, &other));
    GIVES(ZB_INVALID_ARGUMENT, zb_broadcaster_new("", NULL, &broadcaster));
    GIVES(ZB_INVALID_ARGUMENT, zb_broadcaster_new(name, NULL, NULL));
    CHECK(other == NULL && broadcaster == NULL);
    GIVES(ZB_OK, zb_reader_close(first));
    GIVES(ZB_OK, zb_reader_close(second));
    GIVES(ZB_OK, zb_reader_close(out));
    GIVES(ZB_OK, zb_options_free(options));
    GIVES(ZB_OK, zb_options_free(small));
}

static void misuse(void)
{
    int descriptor = -1;
    zb_reader *reader = NULL;
    zb_writer *writer = NULL;
    zb_client *client = NULL;
    zb_server *server = NULL;
    zb_frame *frame = NULL;
    zb_tap *tap = NULL;
    void *data = NULL;
    const void *seen = NULL;
    size_t size = 0;
    uint64_t number = 0;
    long on_the_stack = 0;
    char *on_the_heap = (char *)malloc(64);
    memset(on_the_heap, 0x5a, 64);

    GIVES(ZB_INVALID_ARGUMENT, zb_reader_create(NULL, NULL, &reader));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_create("zbc-misuse", NULL, NULL));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_create("", NULL, &reader));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_create("a/b", NULL, &reader));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_create("\xff\xfe", NULL, &reader));
    GIVES(ZB_INVALID_HANDLE, zb_reader_create("zbc-misuse", (zb_options *)on_the_heap, &reader));
    GIVES(ZB_INVALID_ARGUMENT, zb_writer_connect(NULL, NULL, &writer));
    GIVES(ZB_INVALID_ARGUMENT, zb_client_connect(NULL, NULL, &client));
    GIVES(ZB_INVALID_ARGUMENT, zb_server_new(NULL, NULL, &server));
    GIVES(ZB_NOT_FOUND, zb_client_connect("zbc-misuse", NULL, &client));
    GIVES(ZB_NOT_FOUND, zb_tap_open("zbc-misuse", &tap));

    zb_options *options = NULL;
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_INVALID_ARGUMENT, zb_options_set(options, ZB_RING_SIZE, -1));
    GIVES(ZB_INVALID_ARGUMENT, zb_options_set(options, ZB_WAIT, 3));
    GIVES(ZB_INVALID_ARGUMENT, zb_options_set(options, ZB_MODE, 01777));
    GIVES(ZB_INVALID_ARGUMENT, zb_options_set(options, ZB_OWNER, INT64_C(0x100000000)));
    GIVES(ZB_OK, zb_options_set(options, ZB_RING_SIZE, 0));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_create("zbc-misuse", options, &reader));
    GIVES(ZB_OK, zb_options_set(options, ZB_RING_SIZE, INT64_MAX));
    CHECK(zb_reader_create("zbc-misuse", options, &reader) < 0);
    CHECK(reader == NULL);
    GIVES(ZB_OK, zb_options_free(options));
    GIVES(ZB_INVALID_HANDLE, zb_options_free(options));
    GIVES(ZB_INVALID_HANDLE, zb_options_set(options, ZB_RING_SIZE, 1));
    GIVES(ZB_INVALID_HANDLE, zb_options_free(NULL));

    /* NULL, foreign memory, and numbers that look like a handle. */
    void *wrong[] = {NULL, &on_the_stack, on_the_heap, (void *)(uintptr_t)0x1000000000100000,
                     (void *)(uintptr_t)0x3fffffffffffffff, (void *)UINTPTR_MAX, (void *)(uintptr_t)1};
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        void *handle = wrong[at];
        GIVES(ZB_INVALID_HANDLE, zb_reader_read((zb_reader *)handle, 0, &frame));
        GIVES(ZB_INVALID_HANDLE, zb_reader_read_get((zb_reader *)handle, 0, &frame, &data, &size, &number));
        frame = NULL;
        GIVES(ZB_INVALID_HANDLE, zb_reader_next((zb_reader *)handle, 0, &frame, &data, &size, &number));
        GIVES(ZB_INVALID_HANDLE, zb_reader_event_fd((zb_reader *)handle, &descriptor));
        GIVES(ZB_INVALID_HANDLE, zb_writer_event_fd((zb_writer *)handle, &descriptor));
        GIVES(ZB_INVALID_HANDLE, zb_newest_read((zb_newest *)handle, 0, &frame, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_newest_event_fd((zb_newest *)handle, &descriptor));
        GIVES(ZB_INVALID_HANDLE, zb_newest_has_writer((zb_newest *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_newest_metadata((zb_newest *)handle, NULL, 0, &size));
        GIVES(ZB_INVALID_HANDLE, zb_newest_stat((zb_newest *)handle, 0, &number));
        GIVES(ZB_INVALID_HANDLE, zb_newest_interrupt((zb_newest *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_newest_close((zb_newest *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_reader_latest((zb_reader *)handle, 0, &frame, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_reader_wait_for_writer((zb_reader *)handle, 0));
        GIVES(ZB_INVALID_HANDLE, zb_reader_has_writer((zb_reader *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_reader_metadata((zb_reader *)handle, NULL, 0, &size));
        GIVES(ZB_INVALID_HANDLE, zb_reader_stat((zb_reader *)handle, ZB_STAT_FRAMES, &number));
        GIVES(ZB_INVALID_HANDLE, zb_reader_interrupt((zb_reader *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_reader_resume((zb_reader *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_reader_close((zb_reader *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_writer_write((zb_writer *)handle, "x", 1, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_writer_try_write((zb_writer *)handle, "x", 1, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_writer_write_parts((zb_writer *)handle, NULL, 0, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_writer_loan((zb_writer *)handle, 1, &data));
        GIVES(ZB_INVALID_HANDLE, zb_writer_commit((zb_writer *)handle, 1, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_writer_abort((zb_writer *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_writer_set_metadata((zb_writer *)handle, "x", 1));
        GIVES(ZB_INVALID_HANDLE, zb_writer_set_write_timeout((zb_writer *)handle, 1));
        GIVES(ZB_INVALID_HANDLE, zb_writer_next_sequence((zb_writer *)handle, &number));
        GIVES(ZB_INVALID_HANDLE, zb_writer_has_reader((zb_writer *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_writer_stat((zb_writer *)handle, 0, &number));
        GIVES(ZB_INVALID_HANDLE, zb_writer_interrupt((zb_writer *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_writer_resume((zb_writer *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_writer_close((zb_writer *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_frame_get((zb_frame *)handle, &data, &size, &number));
        GIVES(ZB_INVALID_HANDLE, zb_frame_release((zb_frame *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_client_send((zb_client *)handle, "x", 1, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_client_loan((zb_client *)handle, 1, &data, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_client_commit((zb_client *)handle, 1, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_client_abort((zb_client *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_client_receive((zb_client *)handle, 0, &frame));
        GIVES(ZB_INVALID_HANDLE, zb_client_call((zb_client *)handle, "x", 1, 0, &frame));
        GIVES(ZB_INVALID_HANDLE, zb_client_set_metadata((zb_client *)handle, "x", 1));
        GIVES(ZB_INVALID_HANDLE, zb_client_has_server((zb_client *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_client_stat((zb_client *)handle, 0, 0, &number));
        GIVES(ZB_INVALID_HANDLE, zb_client_close((zb_client *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_server_stop((zb_server *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_server_drain((zb_server *)handle, 0));
        GIVES(ZB_INVALID_HANDLE, zb_server_wait((zb_server *)handle, 0));
        GIVES(ZB_INVALID_HANDLE, zb_server_is_running((zb_server *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_server_free((zb_server *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_responder_write((zb_responder *)handle, "x", 1));
        GIVES(ZB_INVALID_HANDLE, zb_responder_loan((zb_responder *)handle, 1, &data));
        GIVES(ZB_INVALID_HANDLE, zb_responder_commit((zb_responder *)handle, 1));
        GIVES(ZB_INVALID_HANDLE, zb_responder_abort((zb_responder *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_responder_fail((zb_responder *)handle, "k", "m", NULL));
        CHECK(zb_responder_sequence((zb_responder *)handle) == 0);
        CHECK(zb_info_name((zb_info *)handle) == NULL);
        GIVES(ZB_INVALID_HANDLE, zb_info_get((zb_info *)handle, 0, &number));
        GIVES(ZB_INVALID_HANDLE, zb_info_metadata((zb_info *)handle, &seen, &size));
        GIVES(ZB_INVALID_HANDLE, zb_tap_next((zb_tap *)handle, 0, &seen, &size, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_tap_latest((zb_tap *)handle, 0, &seen, &size, NULL));
        GIVES(ZB_INVALID_HANDLE, zb_tap_metadata((zb_tap *)handle, NULL, 0, &size));
        GIVES(ZB_INVALID_HANDLE, zb_tap_state((zb_tap *)handle));
        GIVES(ZB_INVALID_HANDLE, zb_tap_stat((zb_tap *)handle, 0, &number));
        GIVES(ZB_INVALID_HANDLE, zb_tap_close((zb_tap *)handle));
    }
    free(on_the_heap);
}

static void wrong_data(const char *run)
{
    const char *name = own_name("wrong", run);
    zb_reader *reader = NULL;
    zb_writer *writer = NULL;
    zb_frame *frame = NULL;
    zb_part part = {NULL, 5};
    size_t size = 0;
    GIVES(ZB_OK, zb_reader_create(name, NULL, &reader));
    GIVES(ZB_OK, zb_writer_connect(name, NULL, &writer));
    GIVES(ZB_INVALID_ARGUMENT, zb_writer_write(writer, NULL, 5, NULL));
    GIVES(ZB_INVALID_ARGUMENT, zb_writer_write(writer, "x", SIZE_MAX, NULL));
    GIVES(ZB_INVALID_ARGUMENT, zb_writer_write_parts(writer, &part, 1, NULL));
    GIVES(ZB_INVALID_ARGUMENT, zb_writer_write_parts(writer, NULL, 1, NULL));
    GIVES(ZB_INVALID_ARGUMENT, zb_writer_write_parts(writer, &part, SIZE_MAX, NULL));
    GIVES(ZB_EMPTY_FRAME, zb_writer_write(writer, NULL, 0, NULL));
    GIVES(ZB_INVALID_ARGUMENT, zb_writer_loan(writer, 1, NULL));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_read(reader, 0, NULL));
    GIVES(ZB_INVALID_ARGUMENT, zb_reader_metadata(reader, NULL, 5, &size));
    /* A handle of another kind. */
    GIVES(ZB_INVALID_HANDLE, zb_reader_read((zb_reader *)writer, 0, &frame));
    GIVES(ZB_INVALID_HANDLE, zb_frame_release((zb_frame *)reader));
    GIVES(ZB_OK, zb_writer_close(writer));
    GIVES(ZB_INVALID_HANDLE, zb_writer_write(writer, "x", 1, NULL));
    /* A place that is used again has another handle. */
    zb_writer *next = NULL;
    GIVES(ZB_OK, zb_writer_connect(name, NULL, &next));
    CHECK(next != writer);
    GIVES(ZB_INVALID_HANDLE, zb_writer_write(writer, "x", 1, NULL));
    GIVES(ZB_OK, zb_writer_write(next, "x", 1, NULL));
    GIVES(ZB_OK, zb_writer_close(next));
    GIVES(ZB_OK, zb_reader_close(reader));
}

struct counts {
    int errors, clients, requests;
    char text[256];
};

static void on_error(void *user, const char *text)
{
    struct counts *counts = (struct counts *)user;
    counts->errors++;
    snprintf(counts->text, sizeof counts->text, "%s", text);
}

static void on_init(void *user, const void *data, size_t size)
{
    struct counts *counts = (struct counts *)user;
    counts->clients += size == 2 && memcmp(data, "me", 2) == 0;
}

static int32_t answer(void *user, zb_frame *request, zb_responder *responder)
{
    struct counts *counts = (struct counts *)user;
    size_t size = zb_frame_size(request);
    const char *asked = (const char *)zb_frame_data(request);
    void *room = NULL;
    counts->requests++;
    CHECK(zb_responder_sequence(responder) == zb_frame_sequence(request));
    if (asked[0] == 'f')
        return zb_responder_fail(responder, "kind", "message", "detail") == ZB_OK ? 0 : 9;
    if (asked[0] == 'e')
        return 7;
    GIVES(ZB_OK, zb_responder_loan(responder, size, &room));
    for (size_t at = 0; at < size; at++)
        ((char *)room)[at] = asked[size - 1 - at];
    GIVES(ZB_OK, zb_responder_commit(responder, size));
    GIVES(ZB_OK, zb_frame_release(request));
    GIVES(ZB_INVALID_ARGUMENT, zb_responder_loan(responder, SIZE_MAX / 4, &room));
    return 0;
}

static int32_t shout(void *user, zb_frame *request, zb_responder *responder)
{
    (void)user;
    (void)responder;
    char *text = (char *)zb_frame_data(request);
    for (size_t at = 0; at < zb_frame_size(request); at++)
        text[at] = (char)(text[at] - 'a' + 'A');
    return 0;
}

static int holds(zb_frame *frame, const char *text)
{
    int right = zb_frame_size(frame) == strlen(text) && memcmp(zb_frame_data(frame), text, strlen(text)) == 0;
    GIVES(ZB_OK, zb_frame_release(frame));
    return right;
}

static void duplex(const char *run)
{
    const char *channel = own_name("duplex", run);
    struct counts counts = {0, 0, 0, ""};
    zb_server *server = NULL;
    zb_client *client = NULL;
    zb_frame *response = NULL;
    uint64_t sequence = 0, number = 0;
    void *room = NULL;
    char text[256];
    GIVES(ZB_OK, zb_server_new(channel, NULL, &server));
    GIVES(ZB_INVALID_ARGUMENT, zb_server_start(server, NULL, NULL));
    GIVES(ZB_OK, zb_server_on_error(server, on_error, &counts));
    GIVES(ZB_OK, zb_server_on_init(server, on_init, &counts));
    GIVES(ZB_NONE, zb_server_is_running(server));
    GIVES(ZB_OK, zb_server_start(server, answer, &counts));
    GIVES(ZB_IN_USE, zb_server_start(server, answer, &counts));
    GIVES(ZB_BUSY, zb_server_on_error(server, on_error, &counts));
    GIVES(ZB_OK, zb_server_is_running(server));
    GIVES(ZB_OK, zb_client_connect(channel, NULL, &client));
    GIVES(ZB_OK, zb_client_set_metadata(client, "me", 2));
    GIVES(ZB_OK, zb_client_call(client, "abc", 3, 10 * SECOND, &response));
    CHECK(holds(response, "cba"));
    GIVES(ZB_OK, zb_client_has_server(client));
    GIVES(ZB_OK, zb_client_send(client, "xy", 2, &sequence));
    GIVES(ZB_OK, zb_client_receive(client, 10 * SECOND, &response));
    CHECK(zb_frame_sequence(response) == sequence);
    CHECK(holds(response, "yx"));
    GIVES(ZB_OK, zb_client_loan(client, 10, &room, &sequence));
    GIVES(ZB_INVALID_COMMIT, zb_client_send(client, "xy", 2, NULL));
    memcpy(room, "12", 2);
    GIVES(ZB_OK, zb_client_commit(client, 2, &number));
    CHECK(number == sequence);
    GIVES(ZB_OK, zb_client_receive(client, -1, &response));
    CHECK(holds(response, "21"));
    GIVES(ZB_NONE, zb_client_abort(client));
    GIVES(ZB_REMOTE, zb_client_call(client, "f", 1, 10 * SECOND, &response));
    CHECK(response == NULL);
    zb_last_error(text, sizeof text);
    CHECK(strstr(text, "message (kind)") != NULL);
    GIVES(ZB_REMOTE, zb_client_call(client, "e", 1, -1, &response));
    zb_last_error(text, sizeof text);
    CHECK(strstr(text, "the handler returned 7") != NULL);
    GIVES(ZB_TIMEOUT, zb_client_receive(client, 1000000, &response));
    GIVES(ZB_OK, zb_client_stat(client, 1, ZB_STAT_FRAMES, &number));
    CHECK(number == 5);
    GIVES(ZB_OK, zb_server_stop(server));
    GIVES(ZB_PEER_GONE, zb_client_call(client, "abc", 3, 10 * SECOND, &response));
    GIVES(ZB_OK, zb_client_close(client));
    CHECK(counts.clients == 1 && counts.requests == 5 && counts.errors >= 1);

    GIVES(ZB_OK, zb_server_start_editing(server, shout, NULL));
    GIVES(ZB_OK, zb_client_connect(channel, NULL, &client));
    GIVES(ZB_OK, zb_client_call(client, "abc", 3, 10 * SECOND, &response));
    CHECK(holds(response, "ABC"));
    GIVES(ZB_OK, zb_client_close(client));
    GIVES(ZB_OK, zb_server_drain(server, 10 * SECOND));
    GIVES(ZB_OK, zb_server_wait(server, SECOND));
    GIVES(ZB_OK, zb_server_free(server));
    GIVES(ZB_INVALID_HANDLE, zb_server_free(server));
}

struct seen {
    const char *name;
    int found;
    const zb_info *kept;
};

static int32_t see(void *user, const zb_info *info)
{
    struct seen *seen = (struct seen *)user;
    uint64_t alive = 0, ring = 0, defects = 1;
    const void *data = NULL;
    size_t size = 0;
    seen->kept = info;
    if (strcmp(zb_info_name(info), seen->name) != 0)
        return 0;
    GIVES(ZB_OK, zb_info_get(info, ZB_INFO_READER_ALIVE, &alive));
    GIVES(ZB_OK, zb_info_get(info, ZB_INFO_RING_SIZE, &ring));
    GIVES(ZB_OK, zb_info_get(info, ZB_INFO_DEFECTS, &defects));
    GIVES(ZB_OK, zb_info_metadata(info, &data, &size));
    GIVES(ZB_INVALID_ARGUMENT, zb_info_get(info, 99, &ring));
    seen->found = alive == 1 && ring == 1 << 20 && defects == 0 && size == 1;
    return 1;
}

static void observe(const char *run)
{
    const char *name = own_name("observe", run);
    struct seen seen = {name, 0, NULL};
    zb_reader *reader = NULL;
    zb_writer *writer = NULL;
    zb_tap *tap = NULL;
    const void *data = NULL;
    size_t size = 0;
    uint64_t sequence = 0, missed = 1;
    char metadata[8];
    GIVES(ZB_OK, zb_reader_create(name, NULL, &reader));
    GIVES(ZB_OK, zb_writer_connect(name, NULL, &writer));
    GIVES(ZB_OK, zb_writer_set_metadata(writer, "m", 1));
    GIVES(ZB_OK, zb_list(see, &seen));
    CHECK(seen.found);
    seen.found = 0;
    GIVES(ZB_OK, zb_inspect(name, see, &seen));
    CHECK(seen.found);
    /* It is over with its callback. */
    CHECK(zb_info_name(seen.kept) == NULL);
    GIVES(ZB_INVALID_ARGUMENT, zb_list(NULL, NULL));
    GIVES(ZB_NOT_FOUND, zb_inspect("zbc-not-there", see, &seen));

    GIVES(ZB_OK, zb_tap_open(name, &tap));
    GIVES(ZB_TIMEOUT, zb_tap_next(tap, 1000000, &data, &size, &sequence));
    GIVES(ZB_OK, zb_writer_write(writer, "seen", 4, NULL));
    GIVES(ZB_OK, zb_tap_next(tap, 10 * SECOND, &data, &size, &sequence));
    CHECK(size == 4 && sequence == 1 && memcmp(data, "seen", 4) == 0);
    GIVES(ZB_OK, zb_writer_write(writer, "again", 5, NULL));
    GIVES(ZB_OK, zb_tap_latest(tap, -1, &data, &size, NULL));
    CHECK(size == 5);
    GIVES(ZB_OK, zb_tap_metadata(tap, metadata, sizeof metadata, &size));
    CHECK(size == 1 && metadata[0] == 'm');
    GIVES(ZB_OK, zb_tap_stat(tap, ZB_STAT_LOST, &missed));
    CHECK(missed == 0);
    GIVES(ZB_OK, zb_tap_state(tap));
    GIVES(ZB_OK, zb_writer_close(writer));
    GIVES(ZB_NONE, zb_tap_state(tap));
    GIVES(ZB_OK, zb_reader_close(reader));
    GIVES(ZB_PEER_GONE, zb_tap_next(tap, 10 * SECOND, &data, &size, &sequence));
    GIVES(ZB_OK, zb_tap_close(tap));
}

static int lines;
static zb_reader *logging_reader;

static void log_line(void *user, int32_t level, const char *text)
{
    CHECK(user == &lines && level >= ZB_LOG_ERROR && level <= ZB_LOG_INFO && text[0] != 0);
    lines++;
}

static void logging(const char *run)
{
    const char *name = own_name("log", run);
    GIVES(ZB_INVALID_ARGUMENT, zb_set_log(log_line, &lines, 9));
    GIVES(ZB_OK, zb_set_log(log_line, &lines, ZB_LOG_INFO));
    GIVES(ZB_OK, zb_reader_create(name, NULL, &logging_reader));
    GIVES(ZB_OK, zb_reader_close(logging_reader));
    CHECK(lines >= 2);
    GIVES(ZB_OK, zb_set_log(NULL, NULL, ZB_LOG_OFF));
}

int main(int count, char **words)
{
    const char *run = count > 1 ? words[1] : "0";
    versions();
    stream(run);
    drops(run);
    in_one_call(run);
    one_after_the_other(run);
    newest(run);
    events(run);
    broadcast(run);
    misuse();
    wrong_data(run);
    duplex(run);
    observe(run);
    logging(run);
    puts("checks: all right");
    return 0;
}
