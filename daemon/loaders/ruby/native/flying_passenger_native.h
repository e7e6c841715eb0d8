/* What the files of the native support for Ruby share. Nothing of it is visible outside the object. */
#ifndef FLYING_PASSENGER_NATIVE_H
#define FLYING_PASSENGER_NATIVE_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <ruby.h>

/* Bytes of a request that are received at once; longer ones are left to the Ruby code. */
#define RECEIVE_SIZE (32 * 1024)
#define REQUEST_HEADER 16
#define FRAME_HEADER 8
/* Variables of one request; a request with more is left to the Ruby code. */
#define MAX_PAIRS 256
/* Bytes of the frames' headers and the response's head, and of small parts of the body behind them. */
#define HEAD_SIZE (16 * 1024)
/* Parts of a body; a body with more is left to the Ruby code. */
#define MAX_PARTS 32

/* A response as frames: the first part is `head`, the others are parts of the body. */
struct fp_response {
    struct iovec parts[1 + MAX_PARTS];
    size_t count;
    size_t total;
    size_t head_length;
    /* Whether a header is unusual. */
    bool failed;
    unsigned char head[HEAD_SIZE];
};

/* environment.c */
void fp_init_environment(void);
VALUE fp_environment(const char *block, size_t length, VALUE constants);

/* response.c */
void fp_init_response(void);
int fp_descriptor(VALUE socket);
bool fp_encode(struct fp_response *response, VALUE status, VALUE headers, VALUE body);
VALUE fp_unsent(const struct fp_response *response, size_t sent, VALUE body);

#endif
