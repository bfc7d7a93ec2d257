/* One end of a stream, the other of which is another program.
 *
 * pair recv NAME RING LIVES     reads until so many writers have gone, checks every byte
 * pair send NAME COUNT LARGEST SEED   writes COUNT frames (0: for ever) of random sizes
 * pair serve CHANNEL            answers every request by its bytes, each plus one
 * pair call CHANNEL COUNT LARGEST SEED   asks and checks */
#include "check.h"

static uint64_t state = 1;

static size_t random_size(size_t largest)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return 1 + (size_t)((state >> 33) % largest);
}

static int receive(const char *name, int64_t ring, int lives)
{
    zb_options *options = NULL;
    zb_reader *reader = NULL;
    uint64_t frames = 0, last = 0;
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_RING_SIZE, ring));
    GIVES(ZB_OK, zb_reader_create(name, options, &reader));
    GIVES(ZB_OK, zb_options_free(options));
    puts("ready");
    fflush(stdout);
    while (lives > 0) {
        zb_frame *frame = NULL;
        void *data = NULL;
        size_t size = 0;
        uint64_t sequence = 0;
        zb_status status = zb_reader_read(reader, 20 * SECOND, &frame);
        if (status == ZB_PEER_GONE) {
            printf("gone %llu\n", (unsigned long long)frames);
            fflush(stdout);
            if (--lives > 0) {
                while (zb_reader_wait_for_writer(reader, 20 * SECOND) == ZB_TIMEOUT)
                    ;
            }
            continue;
        }
        GIVES(ZB_OK, status);
        GIVES(ZB_OK, zb_frame_get(frame, &data, &size, &sequence));
        CHECK(sequence == last + 1);
        CHECK(is_right(data, size, sequence));
        GIVES(ZB_OK, zb_frame_release(frame));
        last = sequence;
        frames++;
    }
    GIVES(ZB_OK, zb_reader_close(reader));
    return 0;
}

static int transmit(const char *name, uint64_t count, size_t largest)
{
    zb_options *options = NULL;
    zb_writer *writer = NULL;
    static unsigned char copy[1 << 20];
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_CONNECT_TIMEOUT, 20 * SECOND));
    GIVES(ZB_OK, zb_options_set(options, ZB_WRITE_TIMEOUT, 20 * SECOND));
    GIVES(ZB_OK, zb_writer_connect(name, options, &writer));
    GIVES(ZB_OK, zb_options_free(options));
    for (uint64_t number = 0; count == 0 || number < count; number++) {
        size_t size = random_size(largest);
        uint64_t sequence = 0;
        zb_status status = ZB_OK;
        GIVES(ZB_OK, zb_writer_next_sequence(writer, &sequence));
        if (sequence % 3 == 0) {
            void *data = NULL;
            status = zb_writer_loan(writer, size, &data);
            if (status == ZB_OK) {
                fill(data, size, sequence);
                status = zb_writer_commit(writer, size, NULL);
            }
        } else {
            fill(copy, size, sequence);
            zb_part parts[2] = {{copy, size / 2}, {copy + size / 2, size - size / 2}};
            status = sequence % 3 == 1 ? zb_writer_write(writer, copy, size, NULL)
                                       : zb_writer_write_parts(writer, parts, 2, NULL);
        }
        if (status == ZB_PEER_GONE) {
            printf("gone %llu\n", (unsigned long long)number);
            GIVES(ZB_OK, zb_writer_close(writer));
            return 0;
        }
        GIVES(ZB_OK, status);
    }
    GIVES(ZB_OK, zb_writer_close(writer));
    puts("sent");
    return 0;
}

static int32_t answer(void *user, zb_frame *request, zb_responder *responder)
{
    (void)user;
    (void)responder;
    unsigned char *bytes = (unsigned char *)zb_frame_data(request);
    for (size_t at = 0; at < zb_frame_size(request); at++)
        bytes[at]++;
    return 0;
}

static int serve(const char *channel)
{
    zb_server *server = NULL;
    zb_options *options = NULL;
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_PERSISTENT, 0));
    GIVES(ZB_OK, zb_server_new(channel, options, &server));
    GIVES(ZB_OK, zb_options_free(options));
    GIVES(ZB_OK, zb_server_start_editing(server, answer, NULL));
    puts("ready");
    fflush(stdout);
    GIVES(ZB_OK, zb_server_wait(server, 60 * SECOND));
    GIVES(ZB_OK, zb_server_free(server));
    return 0;
}

static int call(const char *channel, uint64_t count, size_t largest)
{
    zb_client *client = NULL;
    zb_options *options = NULL;
    static unsigned char request[1 << 20];
    GIVES(ZB_OK, zb_options_new(&options));
    GIVES(ZB_OK, zb_options_set(options, ZB_CONNECT_TIMEOUT, 20 * SECOND));
    GIVES(ZB_OK, zb_client_connect(channel, options, &client));
    GIVES(ZB_OK, zb_options_free(options));
    for (uint64_t number = 0; number < count; number++) {
        size_t size = random_size(largest);
        zb_frame *response = NULL;
        fill(request, size, number);
        GIVES(ZB_OK, zb_client_call(client, request, size, 20 * SECOND, &response));
        CHECK(zb_frame_size(response) == size);
        unsigned char *bytes = (unsigned char *)zb_frame_data(response);
        for (size_t at = 0; at < size; at++)
            CHECK(bytes[at] == (unsigned char)(pattern(number, at) + 1));
        GIVES(ZB_OK, zb_frame_release(response));
    }
    GIVES(ZB_OK, zb_client_close(client));
    puts("answered");
    return 0;
}

int main(int count, char **words)
{
    if (count == 5 && strcmp(words[1], "recv") == 0)
        return receive(words[2], atoll(words[3]), atoi(words[4]));
    if (count == 6)
        state = strtoull(words[5], NULL, 10);
    if (count == 6 && strcmp(words[1], "send") == 0)
        return transmit(words[2], strtoull(words[3], NULL, 10), strtoull(words[4], NULL, 10));
    if (count == 3 && strcmp(words[1], "serve") == 0)
        return serve(words[2]);
    if (count == 6 && strcmp(words[1], "call") == 0)
        return call(words[2], strtoull(words[3], NULL, 10), strtoull(words[4], NULL, 10));
    fputs("wrong words\n", stderr);
    return 2;
}
