/* Reads the pictures of camera.c without copying them. Usage: display NAME */
#include <stdio.h>
#include <zerobuffer.h>

static int failed(const char *what, zb_status status)
{
    char text[512] = "";
    zb_last_error(text, sizeof text);
    fprintf(stderr, "%s: %s: %s\n", what, zb_status_name(status), text);
    return 1;
}

int main(int count, char **words)
{
    if (count != 2) {
        fprintf(stderr, "usage: display NAME\n");
        return 2;
    }
    zb_options *options = NULL;
    zb_reader *reader = NULL;
    zb_status status = zb_options_new(&options);
    if (status == ZB_OK)
        status = zb_options_set(options, ZB_RING_SIZE, 4 * 1024 * 1024);
    if (status == ZB_OK)
        status = zb_reader_create(words[1], options, &reader);
    zb_options_free(options);
    if (status != ZB_OK)
        return failed("create", status);
    unsigned long pictures = 0, bytes = 0;
    for (;;) {
        zb_frame *frame = NULL;
        status = zb_reader_read(reader, INT64_C(10000000000), &frame);
        if (status == ZB_TIMEOUT)
            continue;
        if (status != ZB_OK)
            break;
        pictures++;
        bytes += zb_frame_size(frame);
        zb_frame_release(frame);
    }
    int code = status == ZB_PEER_GONE ? 0 : failed("read", status);
    printf("%lu pictures, %lu bytes\n", pictures, bytes);
    zb_reader_close(reader);
    return code;
}
