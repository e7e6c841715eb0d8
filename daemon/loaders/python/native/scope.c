/* ASGI's scope of a request, built from its environment block.
 *
 * Names of headers, and headers that have the same value as in the last request, are tuples and bytes, which cannot change:
 * they are used again. A kept header is used only if name and value were compared and are equal.
 */

#include "native.h"

#include <string.h>

#define HEADERS 64

typedef struct {
    /* The variable's name, and the header's. */
    PyObject *variable;
    PyObject *name;
    /* (name, value); NULL where the value is not kept. */
    PyObject *pair;
    int changes;
} Header;

struct Scopes {
    PyObject *template;
    PyObject *asgi;
    PyObject *extensions;
    PyObject *state;
    Header headers[HEADERS];
};

enum {
    KEY_ASGI, KEY_VERSION, KEY_SCHEME, KEY_PATH, KEY_RAW_PATH, KEY_QUERY, KEY_ROOT_PATH, KEY_HEADERS, KEY_CLIENT, KEY_SERVER,
    KEY_STATE, KEY_EXTENSIONS, KEY_METHOD, KEYS
};
static const char *const KEY_NAMES[KEYS] = {
    "asgi", "http_version", "scheme", "path", "raw_path", "query_string", "root_path", "headers", "client", "server", "state",
    "extensions", "method",
};
static PyObject *keys[KEYS];
static PyObject *text_https, *text_http, *text_10, *text_11, *text_2, *text_3, *text_get;

int scope_ready(void)
{
    for (int at = 0; at < KEYS; at++)
        if ((keys[at] = PyUnicode_InternFromString(KEY_NAMES[at])) == NULL)
            return -1;
    text_https = PyUnicode_InternFromString("https");
    text_http = PyUnicode_InternFromString("http");
    text_10 = PyUnicode_InternFromString("1.0");
    text_11 = PyUnicode_InternFromString("1.1");
    text_2 = PyUnicode_InternFromString("2");
    text_3 = PyUnicode_InternFromString("3");
    text_get = PyUnicode_InternFromString("GET");
    return text_https && text_http && text_10 && text_11 && text_2 && text_3 && text_get ? 0 : -1;
}

Scopes *scopes_new(PyObject *template, PyObject *asgi, PyObject *extensions, PyObject *state)
{
    Scopes *self = PyMem_Calloc(1, sizeof *self);
    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    Py_INCREF(template);
    Py_INCREF(asgi);
    Py_INCREF(extensions);
    Py_INCREF(state);
    *self = (Scopes){.template = template, .asgi = asgi, .extensions = extensions, .state = state};
    return self;
}

static void header_clear(Header *header)
{
    Py_CLEAR(header->variable);
    Py_CLEAR(header->name);
    Py_CLEAR(header->pair);
    header->changes = 0;
}

void scopes_free(Scopes *self)
{
    if (self == NULL)
        return;
    for (int at = 0; at < HEADERS; at++)
        header_clear(&self->headers[at]);
    Py_XDECREF(self->template);
    Py_XDECREF(self->asgi);
    Py_XDECREF(self->extensions);
    Py_XDECREF(self->state);
    PyMem_Free(self);
}

int scopes_traverse(Scopes *self, visitproc visit, void *arg)
{
    if (self == NULL)
        return 0;
    Py_VISIT(self->template);
    Py_VISIT(self->asgi);
    Py_VISIT(self->extensions);
    Py_VISIT(self->state);
    return 0;
}

static int span_is(const Span *span, const char *name, size_t length)
{
    return (size_t)span->name_length == length && memcmp(span->name, name, length) == 0;
}

#define IS(span, name) span_is(span, name, sizeof(name) - 1)

static int bytes_are(PyObject *bytes, const char *data, Py_ssize_t length)
{
    return PyBytes_GET_SIZE(bytes) == length && memcmp(PyBytes_AS_STRING(bytes), data, (size_t)length) == 0;
}

/* `HTTP_X_NAME` as `x-name`. */
static PyObject *lower_name(const char *name, Py_ssize_t length)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, length);
    if (bytes == NULL)
        return NULL;
    char *to = PyBytes_AS_STRING(bytes);
    for (Py_ssize_t at = 0; at < length; at++) {
        char byte = name[at];
        to[at] = byte == '_' ? '-' : (byte >= 'A' && byte <= 'Z') ? (char)(byte + 32) : byte;
    }
    return bytes;
}

static PyObject *pair_of(PyObject *name, const Span *span)
{
    PyObject *value = PyBytes_FromStringAndSize(span->value, span->value_length);
    PyObject *pair = value ? PyTuple_Pack(2, name, value) : NULL;
    Py_XDECREF(value);
    return pair;
}

/* The header of a variable, whose name without a prefix begins at `skip`. */
static PyObject *header_of(Scopes *self, const Span *span, Py_ssize_t skip)
{
    Header *kept = &self->headers[block_hash(span->name, span->name_length) >> 58];
    if (kept->variable == NULL || !bytes_are(kept->variable, span->name, span->name_length)) {
        PyObject *variable = PyBytes_FromStringAndSize(span->name, span->name_length);
        PyObject *name = variable ? lower_name(span->name + skip, span->name_length - skip) : NULL;
        if (name == NULL) {
            Py_XDECREF(variable);
            return NULL;
        }
        header_clear(kept);
        kept->variable = variable;
        kept->name = name;
        kept->changes = block_is_secret(span->name, span->name_length) ? MAX_CHANGES : 0;
    }
    if (kept->pair != NULL && bytes_are(PyTuple_GET_ITEM(kept->pair, 1), span->value, span->value_length)) {
        Py_INCREF(kept->pair);
        return kept->pair;
    }
    PyObject *pair = pair_of(kept->name, span);
    if (pair != NULL && kept->changes < MAX_CHANGES && span->value_length <= MAX_KEPT) {
        PyObject *next = ++kept->changes < MAX_CHANGES ? pair : NULL;
        Py_XINCREF(next);
        Py_XSETREF(kept->pair, next);
    }
    return pair;
}

typedef struct {
    const Span *uri, *https, *query, *base, *address, *port, *server, *server_port, *method, *protocol, *type, *length;
} Variables;

/* Finds the variables that are not headers. 0 if the request is left to Python. */
static int look(const Span *spans, Py_ssize_t count, Variables *found)
{
    uint64_t seen = 0;
    for (Py_ssize_t at = 0; at < count; at++) {
        const Span *span = &spans[at];
        uint64_t bit = UINT64_C(1) << (block_hash(span->name, span->name_length) >> 58);
        if (seen & bit)
            /* Perhaps a name that comes twice, of which the last value is to be used. */
            for (Py_ssize_t before = 0; before < at; before++)
                if (span_is(&spans[before], span->name, (size_t)span->name_length))
                    return 0;
        seen |= bit;
        if (span->name_length > 5 && memcmp(span->name, "HTTP_", 5) == 0) {
            if (IS(span, "HTTP_UPGRADE"))
                return 0;
        } else if (IS(span, "REQUEST_URI")) {
            found->uri = span;
        } else if (IS(span, "REQUEST_METHOD")) {
            found->method = span;
        } else if (IS(span, "QUERY_STRING")) {
            found->query = span;
        } else if (IS(span, "SCRIPT_NAME")) {
            found->base = span;
        } else if (IS(span, "REMOTE_ADDR")) {
            found->address = span;
        } else if (IS(span, "REMOTE_PORT")) {
            found->port = span;
        } else if (IS(span, "SERVER_NAME")) {
            found->server = span;
        } else if (IS(span, "SERVER_PORT")) {
            found->server_port = span;
        } else if (IS(span, "SERVER_PROTOCOL")) {
            found->protocol = span;
        } else if (IS(span, "HTTPS")) {
            found->https = span;
        } else if (IS(span, "CONTENT_TYPE")) {
            found->type = span;
        } else if (IS(span, "CONTENT_LENGTH")) {
            found->length = span;
        } else if (span->name_length == 5 && memcmp(span->name, "HTTP_", 5) == 0) {
            return 0;
        }
    }
    return 1;
}

static int add_header(Scopes *self, PyObject *list, const Span *span, Py_ssize_t skip)
{
    PyObject *header = header_of(self, span, skip);
    int failed = header == NULL || PyList_Append(list, header) < 0;
    Py_XDECREF(header);
    return failed ? -1 : 0;
}

static PyObject *headers_of(Scopes *self, const Span *spans, Py_ssize_t count, const Variables *found)
{
    PyObject *list = PyList_New(0);
    if (list == NULL)
        return NULL;
    for (Py_ssize_t at = 0; at < count; at++)
        if (spans[at].name_length > 5 && memcmp(spans[at].name, "HTTP_", 5) == 0
            && add_header(self, list, &spans[at], 5) < 0)
            goto failed;
    if (found->type != NULL && add_header(self, list, found->type, 0) < 0)
        goto failed;
    if (found->length != NULL && add_header(self, list, found->length, 0) < 0)
        goto failed;
    return list;
failed:
    Py_DECREF(list);
    return NULL;
}

static int is_value(const Span *span, const char *value)
{
    return span != NULL && (size_t)span->value_length == strlen(value)
        && memcmp(span->value, value, (size_t)span->value_length) == 0;
}

static PyObject *text_of(const Span *span)
{
    return PyUnicode_DecodeLatin1(span ? span->value : "", span ? span->value_length : 0, NULL);
}

static PyObject *utf8_of(const char *data, Py_ssize_t length)
{
    return PyUnicode_DecodeUTF8(data, length, "replace");
}

static PyObject *bytes_of(const Span *span)
{
    return PyBytes_FromStringAndSize(span ? span->value : "", span ? span->value_length : 0);
}

/* (host, port): the port is the default where there is none, or something else. */
static PyObject *address_of(const Span *host, const Span *port, long fallback)
{
    long number = 0;
    int is_number = port != NULL && port->value_length >= 1 && port->value_length <= 5;
    for (Py_ssize_t at = 0; is_number && at < port->value_length; at++) {
        is_number = port->value[at] >= '0' && port->value[at] <= '9';
        number = number * 10 + (port->value[at] - '0');
    }
    PyObject *name = text_of(host), *value = PyLong_FromLong(is_number ? number : fallback);
    PyObject *pair = name && value ? PyTuple_Pack(2, name, value) : NULL;
    Py_XDECREF(name);
    Py_XDECREF(value);
    return pair;
}

static int digit_of(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* What a path means: percent-decoded, as UTF-8. */
static PyObject *decoded(const char *path, Py_ssize_t length)
{
    if (memchr(path, '%', (size_t)length) == NULL)
        return utf8_of(path, length);
    char *plain = PyMem_Malloc((size_t)length), *to = plain;
    if (plain == NULL)
        return PyErr_NoMemory();
    for (Py_ssize_t at = 0; at < length; at++) {
        int high = path[at] == '%' && length - at > 2 ? digit_of(path[at + 1]) : -1;
        int low = high >= 0 ? digit_of(path[at + 2]) : -1;
        if (low >= 0)
            at += 2;
        *to++ = low >= 0 ? (char)(high * 16 + low) : path[at];
    }
    PyObject *text = utf8_of(plain, to - plain);
    PyMem_Free(plain);
    return text;
}

static PyObject *version_of(const Span *protocol)
{
    PyObject *version = text_11;
    if (is_value(protocol, "HTTP/1.0"))
        version = text_10;
    else if (is_value(protocol, "HTTP/2.0") || is_value(protocol, "HTTP/2"))
        version = text_2;
    else if (is_value(protocol, "HTTP/3.0") || is_value(protocol, "HTTP/3"))
        version = text_3;
    Py_INCREF(version);
    return version;
}

/* A copy of a dictionary of dictionaries. */
static PyObject *copy_extensions(PyObject *extensions)
{
    PyObject *copy = PyDict_Copy(extensions), *name, *unused;
    Py_ssize_t at = 0;
    while (copy != NULL && PyDict_Next(extensions, &at, &name, &unused)) {
        PyObject *empty = PyDict_New();
        if (empty == NULL || PyDict_SetItem(copy, name, empty) < 0)
            Py_CLEAR(copy);
        Py_XDECREF(empty);
    }
    return copy;
}

/* Sets a value; steals its reference. */
static int put(PyObject *scope, int key, PyObject *value)
{
    int failed = value == NULL || PyDict_SetItem(scope, keys[key], value) < 0;
    Py_XDECREF(value);
    return failed ? -1 : 0;
}

static PyObject *scheme_of(int secure)
{
    PyObject *scheme = secure ? text_https : text_http;
    Py_INCREF(scheme);
    return scheme;
}

static PyObject *method_of(const Span *span)
{
    if (!is_value(span, "GET"))
        return text_of(span);
    Py_INCREF(text_get);
    return text_get;
}

static int fill(Scopes *self, PyObject *scope, const Span *spans, Py_ssize_t count, const Variables *found)
{
    const char *uri = found->uri ? found->uri->value : "/";
    Py_ssize_t length = found->uri ? found->uri->value_length : 1;
    const char *question = memchr(uri, '?', (size_t)length);
    if (question != NULL)
        length = question - uri;
    int secure = is_value(found->https, "on");
    const Span *base = found->base;
    if (put(scope, KEY_ASGI, PyDict_Copy(self->asgi)) < 0 || put(scope, KEY_VERSION, version_of(found->protocol)) < 0
        || put(scope, KEY_SCHEME, scheme_of(secure)) < 0 || put(scope, KEY_PATH, decoded(uri, length)) < 0
        || put(scope, KEY_RAW_PATH, PyBytes_FromStringAndSize(uri, length)) < 0
        || put(scope, KEY_QUERY, bytes_of(found->query)) < 0
        || put(scope, KEY_ROOT_PATH, utf8_of(base ? base->value : "", base ? base->value_length : 0)) < 0
        || put(scope, KEY_HEADERS, headers_of(self, spans, count, found)) < 0
        || put(scope, KEY_CLIENT, address_of(found->address, found->port, 0)) < 0
        || put(scope, KEY_SERVER, address_of(found->server, found->server_port, secure ? 443 : 80)) < 0
        || put(scope, KEY_STATE, PyDict_Copy(self->state)) < 0
        || put(scope, KEY_EXTENSIONS, copy_extensions(self->extensions)) < 0
        || put(scope, KEY_METHOD, method_of(found->method)) < 0)
        return -1;
    return 0;
}

PyObject *scopes_build(Scopes *self, const char *block, Py_ssize_t length)
{
    Span spans[MAX_VARIABLES];
    Variables found = {0};
    Py_ssize_t count = block_split(block, length, spans);
    if (count < 0 || !look(spans, count, &found))
        return NULL;
    PyObject *scope = PyDict_Copy(self->template);
    if (scope != NULL && fill(self, scope, spans, count, &found) < 0)
        Py_CLEAR(scope);
    return scope;
}
