/* A whole response as frames: an ordinary Hash of headers and an Array of Strings. */

#include <ruby.h>
#include <ruby/io.h>

#include "flying_passenger_native.h"

#define TYPE_HEAD 1
#define TYPE_BODY 2
#define FLAG_END 1
/* The body's frame has 32 bits for its length; more than this is left to the Ruby code. */
#define MAX_BODY (1u << 30)

static ID id_each;

int fp_descriptor(VALUE socket)
{
#if RUBY_API_VERSION_CODE >= 30100
    return rb_io_descriptor(socket);
#else
    rb_io_t *file;
    GetOpenFile(socket, file);
    return file->fd;
#endif
}

static void put_frame(unsigned char *at, uint32_t length, unsigned char type, unsigned char flags)
{
    const unsigned char frame[FRAME_HEADER] = {
        length & 0xff, length >> 8 & 0xff, length >> 16 & 0xff, length >> 24 & 0xff, type, flags, 0, 0,
    };
    memcpy(at, frame, sizeof frame);
}

/* NUL and `text`, or false if it has a character that would end the header, or there is no room. */
static bool put(struct fp_response *response, VALUE text)
{
    const char *bytes = RSTRING_PTR(text);
    size_t length = (size_t)RSTRING_LEN(text);
    /* The frame of the body follows. */
    if (length >= HEAD_SIZE - FRAME_HEADER - 1 - response->head_length) return false;

    unsigned char *to = response->head + response->head_length;
    *to++ = 0;
    for (size_t at = 0; at < length; at++) {
        unsigned char byte = (unsigned char)bytes[at];
        if (byte == 0 || byte == '\r' || byte == '\n') return false;
        to[at] = byte;
    }
    response->head_length += 1 + length;
    return true;
}

static bool is_content_length(VALUE name)
{
    static const char LOWER[] = "content-length";
    if (RSTRING_LEN(name) != sizeof LOWER - 1) return false;
    const char *bytes = RSTRING_PTR(name);
    for (size_t at = 0; at < sizeof LOWER - 1; at++) {
        if ((bytes[at] | 0x20) != LOWER[at]) return false;
    }
    return true;
}

static bool is_number(VALUE text)
{
    const char *bytes = RSTRING_PTR(text);
    long length = RSTRING_LEN(text);
    if (length < 1 || length > 18) return false;
    for (long at = 0; at < length; at++) {
        if (bytes[at] < '0' || bytes[at] > '9') return false;
    }
    return true;
}

static bool put_header(struct fp_response *response, VALUE name, VALUE value)
{
    if (!RB_TYPE_P(value, T_STRING)) return false;
    if (is_content_length(name) && !is_number(value)) return false;
    return put(response, name) && put(response, value);
}

/* One entry of the headers. Calls no method, so that the hash cannot change meanwhile. */
static int take_header(VALUE name, VALUE value, VALUE data)
{
    struct fp_response *response = (struct fp_response *)data;
    response->failed = true;
    if (!RB_TYPE_P(name, T_STRING)) return ST_STOP;
    if (RB_TYPE_P(value, T_ARRAY)) {
        for (long at = 0; at < RARRAY_LEN(value); at++) {
            if (!put_header(response, name, RARRAY_AREF(value, at))) return ST_STOP;
        }
    } else if (!put_header(response, name, value)) {
        return ST_STOP;
    }
    response->failed = false;
    return ST_CONTINUE;
}

/* A status that has a body. */
static bool put_status(struct fp_response *response, VALUE status)
{
    if (!FIXNUM_P(status)) return false;
    long code = FIX2LONG(status);
    if (code < 200 || code > 999 || code == 204 || code == 304) return false;

    unsigned char *to = response->head + FRAME_HEADER;
    to[0] = (unsigned char)('0' + code / 100);
    to[1] = (unsigned char)('0' + code / 10 % 10);
    to[2] = (unsigned char)('0' + code % 10);
    response->head_length = FRAME_HEADER + 3;
    return true;
}

/* The parts of `body`, which are not copied, and their length; false if there are too many or one is not a string. */
static bool take_parts(struct fp_response *response, VALUE body, size_t *length)
{
    long count = RARRAY_LEN(body);
    if (count > MAX_PARTS) return false;

    *length = 0;
    response->count = 1;
    for (long at = 0; at < count; at++) {
        VALUE part = RARRAY_AREF(body, at);
        if (!RB_TYPE_P(part, T_STRING)) return false;
        size_t size = (size_t)RSTRING_LEN(part);
        response->parts[response->count++] = (struct iovec){ RSTRING_PTR(part), size };
        *length += size;
        if (*length > MAX_BODY) return false;
    }
    return true;
}

/* Frames around head and body. One part that fits behind the head is copied there. */
static bool put_body(struct fp_response *response, VALUE body)
{
    size_t length;
    if (!take_parts(response, body, &length)) return false;

    size_t head = response->head_length;
    put_frame(response->head, (uint32_t)(head - FRAME_HEADER), TYPE_HEAD, length == 0 ? FLAG_END : 0);
    if (length > 0) {
        put_frame(response->head + head, (uint32_t)length, TYPE_BODY, FLAG_END);
        head += FRAME_HEADER;
    }
    response->total = head + length;
    if (length == 0 || (response->count == 2 && length <= HEAD_SIZE - head)) {
        if (length > 0) memcpy(response->head + head, response->parts[1].iov_base, length);
        head += length;
        response->count = 1;
    }
    response->parts[0] = (struct iovec){ response->head, head };
    return true;
}

/* Encodes a response. False if it is unusual, or would be refused: the Ruby code handles it. */
bool fp_encode(struct fp_response *response, VALUE status, VALUE headers, VALUE body)
{
    if (!RB_TYPE_P(headers, T_HASH) || !RB_TYPE_P(body, T_ARRAY)) return false;
    /* A body with methods of its own may have to be closed. */
    if (RBASIC_CLASS(body) != rb_cArray) return false;
    if (RBASIC_CLASS(headers) != rb_cHash && !rb_method_basic_definition_p(CLASS_OF(headers), id_each)) return false;
    if (!put_status(response, status)) return false;

    response->failed = false;
    rb_hash_foreach(headers, take_header, (VALUE)response);
    return !response->failed && put_body(response, body);
}

/* What has not been sent, as strings; parts of the body are shared with it, not copied. */
VALUE fp_unsent(const struct fp_response *response, size_t sent, VALUE body)
{
    VALUE rest = rb_ary_new();
    for (size_t at = 0; at < response->count; at++) {
        size_t length = response->parts[at].iov_len;
        if (sent >= length) {
            sent -= length;
            continue;
        }
        VALUE text = at == 0 ? rb_str_new((const char *)response->head + sent, (long)(length - sent))
                             : rb_str_subseq(RARRAY_AREF(body, (long)at - 1), (long)sent, (long)(length - sent));
        rb_ary_push(rest, text);
        sent = 0;
    }
    return rest;
}

void fp_init_response(void)
{
    id_each = rb_intern("each");
}
