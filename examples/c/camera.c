/* Writes pictures for display.c, each filled in place. Usage: camera NAME [PICTURES] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zerobuffer.h>

enum { WIDTH = 640, HEIGHT = 480 };

static int failed(const char *what, zb_status status)
{
    char text[512] = "";
    zb_last_error(text, sizeof text);
    fprintf(stderr, "%s: %s: %s\n", what, zb_status_name(status), text);
    return 1;
}

int main(int count, char **words)
{
    if (count < 2) {
        fprintf(stderr, "usage: camera NAME [PICTURES]\n");
        return 2;
    }
    int pictures = count > 2 ? atoi(words[2]) : 100;
    zb_options *options = NULL;
    zb_writer *writer = NULL;
    zb_status status = zb_options_new(&options);
    if (status == ZB_OK)
        status = zb_options_set(options, ZB_CONNECT_TIMEOUT, INT64_C(10000000000));
    if (status == ZB_OK)
        status = zb_writer_connect(words[1], options, &writer);
    zb_options_free(options);
    if (status != ZB_OK)
        return failed("connect", status);
    status = zb_writer_set_metadata(writer, "gray 640x480", 12);
    for (int number = 0; status == ZB_OK && number < pictures; number++) {
        void *picture = NULL;
        status = zb_writer_loan(writer, WIDTH * HEIGHT, &picture);
        if (status != ZB_OK)
            break;
        memset(picture, number & 0xff, WIDTH * HEIGHT);
        status = zb_writer_commit(writer, WIDTH * HEIGHT, NULL);
    }
    int code = status == ZB_OK ? 0 : failed("write", status);
    zb_writer_close(writer);
    return code;
}
