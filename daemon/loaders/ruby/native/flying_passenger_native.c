/* Native support for the Ruby loader: the environment of a request and the response to it, for the usual cases.
 *
 * Three functions. Each returns without any effect when a case is unusual; the loader's Ruby code handles that case.
 * No function keeps state between two calls, except for the strings that Init creates; buffers are on the stack.
 * The formats are those of docs/APP-PROTOCOL.md, "Session protocol". */

#include <ruby.h>
#include <ruby/thread.h>

#include "flying_passenger_native.h"

static VALUE lost_error;

struct wait {
    struct pollfd poll;
    bool interrupted;
};

static void *wait_without_gvl(void *data)
{
    struct wait *wait = data;
    wait->interrupted = poll(&wait->poll, 1, -1) < 0 && errno == EINTR;
    return NULL;
}

/* Waits until the socket is readable. A poll, because a blocked recv is also woken when the peer takes what this
 * process has sent before. */
static void wait_readable(int fd)
{
    struct wait wait = { { fd, POLLIN, 0 }, false };
    do {
        /* Runs signal handlers and may raise; nothing has been received then. */
        rb_thread_call_without_gvl(wait_without_gvl, &wait, RUBY_UBF_IO, NULL);
    } while (wait.interrupted);
}

static uint32_t read_u32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* receive(socket, constants): waits for the next request. Returns its environment if it has no body and was received as
 * a whole, nil at the end of the connection, or else the bytes that were received. */
static VALUE native_receive(VALUE self, VALUE socket, VALUE constants)
{
    unsigned char buffer[RECEIVE_SIZE];
    (void)self;
    int fd = fp_descriptor(socket);
    ssize_t received;
    do {
        wait_readable(fd);
        received = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    } while (received < 0 && (errno == EAGAIN || errno == EINTR));
    if (received <= 0) return Qnil;

    size_t length = (size_t)received;
    if (length >= REQUEST_HEADER && buffer[4] == 0 && read_u32(buffer) == length - REQUEST_HEADER) {
        VALUE env = fp_environment((const char *)buffer + REQUEST_HEADER, length - REQUEST_HEADER, constants);
        if (!NIL_P(env)) return env;
    }
    return rb_str_new((const char *)buffer, received);
}

/* environment(block, constants): the environment of a request with a body, or nil. */
static VALUE native_environment(VALUE self, VALUE block, VALUE constants)
{
    (void)self;
    Check_Type(block, T_STRING);
    VALUE env = fp_environment(RSTRING_PTR(block), (size_t)RSTRING_LEN(block), constants);
    RB_GC_GUARD(block);
    return env;
}

/* respond(socket, status, headers, body): sends a whole response. Returns nil if the case is unusual and nothing was
 * sent, true if everything was, or an array of strings that are still to be sent, because the socket is full. */
static VALUE native_respond(VALUE self, VALUE socket, VALUE status, VALUE headers, VALUE body)
{
    struct fp_response response;
    (void)self;
    if (!fp_encode(&response, status, headers, body)) return Qnil;

    struct msghdr message = { 0 };
    message.msg_iov = response.parts;
    message.msg_iovlen = response.count;
    ssize_t sent;
    do {
        sent = sendmsg(fp_descriptor(socket), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        if (errno != EAGAIN) rb_raise(lost_error, "%s", strerror(errno));
        sent = 0;
    }
    VALUE rest = (size_t)sent == response.total ? Qtrue : fp_unsent(&response, (size_t)sent, body);
    RB_GC_GUARD(headers);
    RB_GC_GUARD(body);
    return rest;
}

/* Called when the object is loaded, after connection.rb. */
__attribute__((visibility("default"))) void Init_flying_passenger_native(void)
{
    VALUE outer = rb_define_module("FlyingPassenger");
    VALUE connection = rb_const_get(outer, rb_intern("Connection"));
    lost_error = rb_const_get(connection, rb_intern("Lost"));
    rb_gc_register_mark_object(lost_error);
    fp_init_environment();
    fp_init_response();
    VALUE native = rb_define_module_under(outer, "Native");
    rb_define_module_function(native, "receive", native_receive, 2);
    rb_define_module_function(native, "environment", native_environment, 2);
    rb_define_module_function(native, "respond", native_respond, 4);
}
