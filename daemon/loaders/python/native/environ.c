/* Environment blocks of requests, and WSGI's `environ` built from them.
 *
 * Most requests have the variables of an earlier one, and many of their values: a shape is a dictionary with the variables of
 * a request, which is copied for the next request with the same names; a value is set in the copy unless it was compared
 * with the one in the shape and is equal. What a shape holds is therefore never seen by a request that did not send it.
 */

#include "native.h"

#include <string.h>

#define SHAPES 16

typedef struct {
    PyObject *name;
    /* The value in the shape's dictionary; NULL where it is not kept. */
    PyObject *value;
    int changes;
} Slot;

typedef struct {
    uint64_t hash;
    /* NULL where the names were seen only once. */
    PyObject *environ;
    Py_ssize_t count;
    Slot *slots;
} Shape;

struct Environments {
    /* What every environment contains beside the request's variables. */
    PyObject *template;
    int encoded_path;
    Shape shapes[SHAPES];
};

/* Names as the app's own constants have them, so that a lookup compares pointers. */
static PyObject *known_names;
static PyObject *text_path, *text_method, *text_https, *text_scheme, *text_scheme_key;

static const char *const KNOWN[] = {
    "REQUEST_URI", "PATH_INFO", "SCRIPT_NAME", "QUERY_STRING", "REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT",
    "SERVER_SOFTWARE", "SERVER_PROTOCOL", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_USER", "HTTPS", "CONTENT_LENGTH",
    "CONTENT_TYPE", "HTTP_HOST", "HTTP_USER_AGENT", "HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE",
    "HTTP_AUTHORIZATION", "HTTP_CACHE_CONTROL", "HTTP_CONNECTION", "HTTP_COOKIE", "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_NONE_MATCH", "HTTP_ORIGIN", "HTTP_RANGE", "HTTP_REFERER", "HTTP_UPGRADE", "HTTP_X_CSRFTOKEN",
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REQUESTED_WITH",
    "HTTP_X_REQUEST_ID", "HTTP_X_REQUEST_START",
};

int environ_ready(void)
{
    known_names = PyDict_New();
    if (known_names == NULL)
        return -1;
    for (size_t at = 0; at < sizeof KNOWN / sizeof *KNOWN; at++) {
        PyObject *name = PyUnicode_InternFromString(KNOWN[at]);
        if (name == NULL || PyDict_SetItem(known_names, name, name) < 0)
            return -1;
        Py_DECREF(name);
    }
    text_path = PyUnicode_InternFromString("PATH_INFO");
    text_method = PyUnicode_InternFromString("REQUEST_METHOD");
    text_https = PyUnicode_InternFromString("HTTPS");
    text_scheme_key = PyUnicode_InternFromString("wsgi.url_scheme");
    text_scheme = PyUnicode_InternFromString("https");
    return text_path && text_method && text_https && text_scheme_key && text_scheme ? 0 : -1;
}

static void shape_clear(Shape *shape)
{
    for (Py_ssize_t at = 0; at < shape->count; at++) {
        Py_XDECREF(shape->slots[at].name);
        Py_XDECREF(shape->slots[at].value);
    }
    PyMem_Free(shape->slots);
    shape->slots = NULL;
    shape->count = 0;
    Py_CLEAR(shape->environ);
}

Environments *environments_new(PyObject *template, int encoded_path)
{
    Environments *self = PyMem_Calloc(1, sizeof *self);
    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    Py_INCREF(template);
    self->template = template;
    self->encoded_path = encoded_path;
    return self;
}

void environments_free(Environments *self)
{
    if (self == NULL)
        return;
    for (int at = 0; at < SHAPES; at++)
        shape_clear(&self->shapes[at]);
    Py_XDECREF(self->template);
    PyMem_Free(self);
}

int environments_traverse(Environments *self, visitproc visit, void *arg)
{
    if (self == NULL)
        return 0;
    Py_VISIT(self->template);
    for (int at = 0; at < SHAPES; at++)
        Py_VISIT(self->shapes[at].environ);
    return 0;
}

static uint64_t hash_names(const Span *spans, Py_ssize_t count)
{
    uint64_t hash = (uint64_t)count;
    for (Py_ssize_t at = 0; at < count; at++)
        hash = (hash ^ block_hash(spans[at].name, spans[at].name_length)) * UINT64_C(0x9E3779B97F4A7C15);
    return hash;
}

static int equals(PyObject *text, const char *bytes, Py_ssize_t length)
{
    /* Made by PyUnicode_DecodeLatin1: one byte for each character. */
    return PyUnicode_GET_LENGTH(text) == length && memcmp(PyUnicode_1BYTE_DATA(text), bytes, (size_t)length) == 0;
}

static int is_shape_of(const Shape *shape, const Span *spans, Py_ssize_t count)
{
    if (shape->count != count)
        return 0;
    for (Py_ssize_t at = 0; at < count; at++)
        if (!equals(shape->slots[at].name, spans[at].name, spans[at].name_length))
            return 0;
    return 1;
}

static PyObject *name_of(const char *name, Py_ssize_t length)
{
    PyObject *text = PyUnicode_DecodeLatin1(name, length, NULL);
    if (text == NULL)
        return NULL;
    PyObject *known = PyDict_GetItemWithError(known_names, text);
    if (known == NULL)
        return PyErr_Occurred() ? (Py_DECREF(text), NULL) : text;
    Py_INCREF(known);
    Py_DECREF(text);
    return known;
}

/* The dictionary of a request whose names have no shape. */
static PyObject *build(PyObject *template, const char *block, Py_ssize_t length)
{
    PyObject *environ = PyDict_New();
    if (environ == NULL)
        return NULL;
    const char *at = block, *end = block + length;
    while (at < end) {
        const char *name_end = memchr(at, 0, (size_t)(end - at));
        if (name_end == NULL)
            break;
        const char *value = name_end + 1;
        const char *value_end = value < end ? memchr(value, 0, (size_t)(end - value)) : NULL;
        if (value_end == NULL)
            value_end = end;
        PyObject *name = name_of(at, name_end - at);
        PyObject *text = name ? PyUnicode_DecodeLatin1(value, value_end - value, NULL) : NULL;
        int failed = text == NULL || PyDict_SetItem(environ, name, text) < 0;
        Py_XDECREF(name);
        Py_XDECREF(text);
        if (failed)
            goto failed;
        at = value_end + 1;
    }
    if (PyDict_Update(environ, template) < 0)
        goto failed;
    return environ;
failed:
    Py_DECREF(environ);
    return NULL;
}

/* Makes a shape of the environment, which was built from these variables. */
static int shape_make(Shape *shape, PyObject *template, PyObject *environ, const Span *spans, Py_ssize_t count)
{
    Slot *slots = PyMem_Calloc((size_t)(count ? count : 1), sizeof *slots);
    PyObject *copy = slots ? PyDict_Copy(environ) : NULL;
    if (copy == NULL) {
        PyMem_Free(slots);
        PyErr_Clear();
        return 0;
    }
    shape_clear(shape);
    shape->slots = slots;
    shape->environ = copy;
    for (Py_ssize_t at = 0; at < count; at++) {
        Slot *slot = &slots[at];
        slot->name = name_of(spans[at].name, spans[at].name_length);
        if (slot->name == NULL)
            goto failed;
        shape->count = at + 1;
        /* A name that the template has, or that comes twice, would need an order: such requests get no shape. */
        int taken = PyDict_Contains(template, slot->name);
        for (Py_ssize_t before = 0; before < at && !taken; before++)
            taken = equals(slots[before].name, spans[at].name, spans[at].name_length);
        if (taken || PyDict_SetItem(copy, slot->name, Py_None) < 0)
            goto failed;
        if (block_is_secret(spans[at].name, spans[at].name_length))
            slot->changes = MAX_CHANGES;
    }
    return 0;
failed:
    PyErr_Clear();
    shape_clear(shape);
    return 0;
}

/* The value of one variable, into the environment and, if it is to be kept, into the shape. */
static int set_value(Shape *shape, Slot *slot, PyObject *environ, const Span *span)
{
    PyObject *text = PyUnicode_DecodeLatin1(span->value, span->value_length, NULL);
    if (text == NULL)
        return -1;
    int failed = PyDict_SetItem(environ, slot->name, text) < 0;
    if (!failed && slot->changes < MAX_CHANGES && span->value_length <= MAX_KEPT) {
        if (++slot->changes == MAX_CHANGES) {
            Py_CLEAR(slot->value);
            failed = PyDict_SetItem(shape->environ, slot->name, Py_None) < 0;
        } else if (!(failed = PyDict_SetItem(shape->environ, slot->name, text) < 0)) {
            Py_INCREF(text);
            Py_XSETREF(slot->value, text);
        }
    }
    Py_DECREF(text);
    return failed ? -1 : 0;
}

static PyObject *from_shape(Shape *shape, const Span *spans)
{
    PyObject *environ = PyDict_Copy(shape->environ);
    if (environ == NULL)
        return NULL;
    for (Py_ssize_t at = 0; at < shape->count; at++) {
        Slot *slot = &shape->slots[at];
        if (slot->value != NULL && equals(slot->value, spans[at].value, spans[at].value_length))
            continue;
        if (set_value(shape, slot, environ, &spans[at]) < 0) {
            Py_DECREF(environ);
            return NULL;
        }
    }
    return environ;
}

static PyObject *variables(Environments *self, const char *block, Py_ssize_t length)
{
    Span spans[MAX_VARIABLES];
    Py_ssize_t count = block_split(block, length, spans);
    if (count < 0)
        return build(self->template, block, length);
    uint64_t hash = hash_names(spans, count);
    Shape *shape = &self->shapes[hash >> 60];
    if (shape->environ != NULL && shape->hash == hash && is_shape_of(shape, spans, count))
        return from_shape(shape, spans);
    PyObject *environ = build(self->template, block, length);
    if (environ == NULL)
        return NULL;
    if (shape->hash == hash)
        shape_make(shape, self->template, environ, spans, count);
    shape->hash = hash;
    return environ;
}

/* What depends on values: the scheme and the decoded path. */
static int finish(Environments *self, PyObject *environ, PyObject **method)
{
    PyObject *https = PyDict_GetItemWithError(environ, text_https);
    if (https != NULL) {
        int is_on = PySet_Contains(python.https, https);
        if (is_on < 0 || (is_on && PyDict_SetItem(environ, text_scheme_key, text_scheme) < 0))
            return -1;
    } else if (PyErr_Occurred()) {
        return -1;
    }
    PyObject *path = PyDict_GetItemWithError(environ, text_path);
    if (path == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetObject(PyExc_KeyError, text_path);
        return -1;
    }
    if (!self->encoded_path && PyUnicode_GET_LENGTH(path) > 1
        && memchr(PyUnicode_1BYTE_DATA(path), '%', (size_t)PyUnicode_GET_LENGTH(path)) != NULL) {
        PyObject *none = PyObject_CallFunctionObjArgs(python.decode_path, environ, NULL);
        if (none == NULL)
            return -1;
        Py_DECREF(none);
    }
    *method = PyDict_GetItemWithError(environ, text_method);
    if (*method == NULL && !PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, text_method);
    return *method == NULL ? -1 : 0;
}

PyObject *environments_build(Environments *self, const char *block, Py_ssize_t length, PyObject **method)
{
    PyObject *environ = variables(self, block, length);
    if (environ != NULL && finish(self, environ, method) < 0)
        Py_CLEAR(environ);
    return environ;
}
