/* Rack's environment, made of a request's environment block. */

#include <ruby.h>
#include <ruby/encoding.h>

#include "flying_passenger_native.h"

/* Names that most requests have: looked up here instead of in Ruby's table of all strings. */
static const char *const KNOWN_NAMES[] = {
    "CONTENT_LENGTH", "CONTENT_TYPE", "DOCUMENT_ROOT", "GATEWAY_INTERFACE", "HTTPS", "HTTP_ACCEPT",
    "HTTP_ACCEPT_CHARSET", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE", "HTTP_AUTHORIZATION", "HTTP_CACHE_CONTROL",
    "HTTP_CONNECTION", "HTTP_COOKIE", "HTTP_DNT", "HTTP_FORWARDED", "HTTP_HOST", "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_NONE_MATCH", "HTTP_ORIGIN", "HTTP_PRAGMA", "HTTP_RANGE", "HTTP_REFERER", "HTTP_SEC_CH_UA",
    "HTTP_SEC_CH_UA_MOBILE", "HTTP_SEC_CH_UA_PLATFORM", "HTTP_SEC_FETCH_DEST", "HTTP_SEC_FETCH_MODE",
    "HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_USER", "HTTP_TE", "HTTP_UPGRADE_INSECURE_REQUESTS", "HTTP_USER_AGENT",
    "HTTP_VIA", "HTTP_X_CSRF_TOKEN", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP", "HTTP_X_REQUESTED_WITH", "HTTP_X_REQUEST_ID", "HTTP_X_REQUEST_START",
    "PASSENGER_APP_ENV", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_USER", "REQUEST_METHOD",
    "REQUEST_SCHEME", "REQUEST_URI", "SCRIPT_NAME", "SERVER_ADDR", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
};

/* A power of two, several times the number of names, so that a search ends soon. */
#define SLOTS 256

struct name {
    const char *text;
    size_t length;
    VALUE string;
};

static struct name names[SLOTS];
static VALUE http_version, https_scheme, url_scheme, response_finished, after_reply;
static VALUE server_protocol, https;

/* A string that Ruby keeps once: a frozen one with these bytes. */
static VALUE interned_as(rb_encoding *encoding, const char *text, size_t length)
{
#if RUBY_API_VERSION_CODE >= 30000
    return rb_enc_interned_str(text, (long)length, encoding);
#else
    return rb_str_freeze(rb_enc_str_new(text, (long)length, encoding));
#endif
}

/* A name of the block. */
static VALUE interned(const char *text, size_t length)
{
    return interned_as(rb_ascii8bit_encoding(), text, length);
}

/* A string that is never collected. */
static VALUE permanent(VALUE string)
{
    rb_gc_register_mark_object(string);
    return string;
}

/* A string as a literal in the Ruby code is. */
static VALUE literal(const char *text)
{
    return permanent(interned_as(rb_utf8_encoding(), text, strlen(text)));
}

/* Names differ in their length and in a few of their bytes; a collision costs one comparison. */
static size_t slot_of(const char *text, size_t length)
{
    size_t hash = length * 31 + (unsigned char)text[length / 2];
    hash = hash * 31 + (unsigned char)text[length - 1];
    hash = hash * 31 + (unsigned char)text[length * 3 / 4];
    hash = hash * 31 + (unsigned char)text[0];
    return (hash ^ hash >> 8) % SLOTS;
}

static VALUE name_of(const char *text, size_t length)
{
    if (length == 0) return interned(text, 0);
    for (size_t slot = slot_of(text, length); names[slot].text != NULL; slot = (slot + 1) % SLOTS) {
        if (names[slot].length == length && memcmp(names[slot].text, text, length) == 0) return names[slot].string;
    }
    return interned(text, length);
}

static bool is_https(const char *value, size_t length)
{
    return (length == 1 && value[0] == '1') || (length == 2 && memcmp(value, "on", 2) == 0) ||
           (length == 3 && memcmp(value, "yes", 3) == 0);
}

struct pairs {
    VALUE at[2 * MAX_PAIRS];
    long count;
};

static void add(struct pairs *pairs, VALUE key, VALUE value)
{
    pairs->at[pairs->count++] = key;
    pairs->at[pairs->count++] = value;
}

/* The strings of `block`, which are separated by NUL, or false if there are too many or a value is missing. */
static bool split(struct pairs *pairs, const char *block, size_t length, long most, VALUE *protocol, bool *secure)
{
    const char *end = block + length;
    const char *at = block;
    while (length > 0) {
        const char *key_end = memchr(at, 0, (size_t)(end - at));
        if (key_end == NULL || pairs->count >= most) return false;
        const char *value = key_end + 1;
        const char *value_end = memchr(value, 0, (size_t)(end - value));
        bool last = value_end == NULL;
        if (last) value_end = end;
        size_t value_length = (size_t)(value_end - value);
        VALUE key = name_of(at, (size_t)(key_end - at));
        add(pairs, key, rb_str_new(value, (long)value_length));
        if (key == server_protocol) *protocol = pairs->at[pairs->count - 1];
        if (key == https) *secure = is_https(value, value_length);
        if (last) break;
        at = value_end + 1;
    }
    return true;
}

/* The environment: what the block has, then `constants`, names and values in turn, then what differs by request.
 * nil if the Ruby code has to handle the block. `block` must not be memory that Ruby may move. */
VALUE fp_environment(const char *block, size_t length, VALUE constants)
{
    Check_Type(constants, T_ARRAY);
    long others = RARRAY_LEN(constants);
    if (others % 2 != 0 || others > MAX_PAIRS) return Qnil;

    struct pairs pairs;
    pairs.count = 0;
    VALUE protocol = Qnil;
    bool secure = false;
    if (!split(&pairs, block, length, 2 * MAX_PAIRS - others - 8, &protocol, &secure)) return Qnil;

    for (long at = 0; at < others; at += 2) add(&pairs, RARRAY_AREF(constants, at), RARRAY_AREF(constants, at + 1));
    /* Rack 3: it must equal SERVER_PROTOCOL. */
    add(&pairs, http_version, protocol);
    if (secure) add(&pairs, url_scheme, https_scheme);
    add(&pairs, response_finished, rb_ary_new());
    add(&pairs, after_reply, rb_ary_new());

    VALUE env = rb_hash_new();
    rb_hash_bulk_insert(pairs.count, pairs.at, env);
    RB_GC_GUARD(constants);
    return env;
}

void fp_init_environment(void)
{
    for (size_t at = 0; at < sizeof KNOWN_NAMES / sizeof *KNOWN_NAMES; at++) {
        size_t length = strlen(KNOWN_NAMES[at]);
        size_t slot = slot_of(KNOWN_NAMES[at], length);
        while (names[slot].text != NULL) slot = (slot + 1) % SLOTS;
        names[slot] = (struct name){ KNOWN_NAMES[at], length, permanent(interned(KNOWN_NAMES[at], length)) };
    }
    server_protocol = name_of("SERVER_PROTOCOL", 15);
    https = name_of("HTTPS", 5);
    http_version = literal("HTTP_VERSION");
    https_scheme = literal("https");
    url_scheme = literal("rack.url_scheme");
    response_finished = literal("rack.response_finished");
    after_reply = literal("rack.after_reply");
}
