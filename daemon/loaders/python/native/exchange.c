/* One request of an ASGI app and its response: the events that usual apps receive and send. Whatever else they do is done by
 * the Python methods of `BaseExchange` on the same attributes.
 */

#include "native.h"

#include <string.h>

static PyObject *key_type, *key_status, *key_headers, *key_body, *key_more, *key_method;
static PyObject *type_start, *type_body, *type_request, *no_bytes, *no_parts;
static PyObject *name_answered, *name_tell;

int exchange_ready(void)
{
    key_type = PyUnicode_InternFromString("type");
    key_status = PyUnicode_InternFromString("status");
    key_headers = PyUnicode_InternFromString("headers");
    key_body = PyUnicode_InternFromString("body");
    key_more = PyUnicode_InternFromString("more_body");
    key_method = PyUnicode_InternFromString("method");
    type_start = PyUnicode_InternFromString("http.response.start");
    type_body = PyUnicode_InternFromString("http.response.body");
    type_request = PyUnicode_InternFromString("http.request");
    name_answered = PyUnicode_InternFromString("answered");
    name_tell = PyUnicode_InternFromString("_tell");
    no_bytes = PyBytes_FromStringAndSize(NULL, 0);
    no_parts = PyTuple_New(0);
    if (!key_type || !key_status || !key_headers || !key_body || !key_more || !key_method || !type_start || !type_body
        || !type_request || !name_answered || !name_tell || !no_bytes || !no_parts)
        return -1;
    return PyType_Ready(&ExchangeType);
}

static int exchange_traverse(Exchange *self, visitproc visit, void *arg)
{
    Py_VISIT(self->scope);
    Py_VISIT(self->session);
    Py_VISIT(self->body);
    Py_VISIT(self->news);
    Py_VISIT(self->headers);
    return 0;
}

static int exchange_clear(Exchange *self)
{
    Py_CLEAR(self->scope);
    Py_CLEAR(self->session);
    Py_CLEAR(self->body);
    Py_CLEAR(self->news);
    Py_CLEAR(self->headers);
    return 0;
}

static void exchange_dealloc(Exchange *self)
{
    PyObject_GC_UnTrack(self);
    exchange_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

Exchange *exchange_new(PyTypeObject *type, Session *session, PyObject *scope)
{
    PyObject *method = PyDict_GetItemWithError(scope, key_method);
    if (method == NULL)
        return NULL;
    Exchange *self = (Exchange *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(scope);
    self->scope = scope;
    Py_INCREF(session);
    self->session = (PyObject *)session;
    Py_INCREF(no_parts);
    self->body = no_parts;
    self->body_complete = 1;
    self->to_head_request = PyUnicode_CompareWithASCIIString(method, "HEAD") == 0;
    return self;
}

/* ASGI's receive: the event of a request without a body; None for whatever else is to be received. */
static PyObject *receive_usual(Exchange *self, PyObject *unused)
{
    (void)unused;
    int is_first = self->body == no_parts && self->body_complete && !self->body_told;
    if (self->gone || self->complete || !is_first)
        Py_RETURN_NONE;
    PyObject *message = PyDict_New();
    if (message == NULL || PyDict_SetItem(message, key_type, type_request) < 0
        || PyDict_SetItem(message, key_body, no_bytes) < 0 || PyDict_SetItem(message, key_more, Py_False) < 0) {
        Py_XDECREF(message);
        return NULL;
    }
    self->body_told = 1;
    return message;
}

static int is_text(PyObject *value, PyObject *text)
{
    return value == text || (value != NULL && PyUnicode_CheckExact(value) && PyUnicode_Compare(value, text) == 0);
}

enum { UNUSUAL = 0, DONE = 1 };

static int start_usual(Exchange *self, PyObject *message)
{
    PyObject *status = PyDict_GetItemWithError(message, key_status);
    PyObject *headers = PyDict_GetItemWithError(message, key_headers);
    if (PyErr_Occurred())
        return -1;
    if (self->status != 0 || status == NULL || !PyLong_CheckExact(status) || (headers != NULL && !PyList_CheckExact(headers)))
        return UNUSUAL;
    int overflow;
    long number = PyLong_AsLongAndOverflow(status, &overflow);
    if (overflow || number < 200 || number > 999)
        return UNUSUAL;
    PyObject *copy = headers ? PyList_GetSlice(headers, 0, PyList_GET_SIZE(headers)) : PyList_New(0);
    if (copy == NULL)
        return -1;
    Py_XSETREF(self->headers, copy);
    self->status = (int)number;
    return DONE;
}

static int append(char **at, const char *end, PyObject *bytes)
{
    Py_ssize_t length = PyBytes_GET_SIZE(bytes);
    if (end - *at < length + 1)
        return 0;
    const char *from = PyBytes_AS_STRING(bytes);
    char *to = *at;
    int odd = 0;
    for (Py_ssize_t number = 0; number < length; number++) {
        char byte = from[number];
        odd |= (byte == '\r') | (byte == '\n') | (byte == 0);
        to[number] = byte;
    }
    to[length] = 0;
    *at = to + length + 1;
    return !odd;
}

/* The two parts of a header, borrowed; 0 if they are something else than bytes. */
static int header_parts(PyObject *header, PyObject **name, PyObject **value)
{
    int in_tuple = PyTuple_CheckExact(header);
    if (!(in_tuple || PyList_CheckExact(header)) || PySequence_Fast_GET_SIZE(header) != 2)
        return 0;
    *name = PySequence_Fast_GET_ITEM(header, 0);
    *value = PySequence_Fast_GET_ITEM(header, 1);
    return PyBytes_CheckExact(*name) && PyBytes_CheckExact(*value);
}

/* The head's bytes at `to`, with the length of the body unless the app announces it; 0 if it is left to Python. */
static Py_ssize_t encode_head(Exchange *self, char *to, Py_ssize_t length)
{
    char *at = to;
    const char *end = to + MAX_HEAD;
    int has_length = 0;
    at += PyOS_snprintf(at, 8, "%d", self->status) + 1;
    for (Py_ssize_t number = 0; number < PyList_GET_SIZE(self->headers); number++) {
        PyObject *name, *value;
        if (!header_parts(PyList_GET_ITEM(self->headers, number), &name, &value))
            return 0;
        Py_ssize_t size = PyBytes_GET_SIZE(name);
        if (size == 17 && PyOS_strnicmp(PyBytes_AS_STRING(name), "transfer-encoding", 17) == 0)
            continue;
        has_length |= size == 14 && PyOS_strnicmp(PyBytes_AS_STRING(name), "content-length", 14) == 0;
        if (!append(&at, end, name) || !append(&at, end, value))
            return 0;
    }
    if (!has_length) {
        if (end - at < 40)
            return 0;
        at += PyOS_snprintf(at, 40, "content-length%c%zd", 0, length) + 1;
    }
    return at - 1 - to;
}

static int end(Exchange *self, Session *session)
{
    PyObject *none;
    self->complete = 1;
    if (!is_none(self->news)) {
        none = PyObject_CallMethodObjArgs((PyObject *)self, name_tell, NULL);
        if (none == NULL)
            return -1;
        Py_DECREF(none);
    }
    if (session->advancing && !session->paused) {
        session->answered = 1;
        return 0;
    }
    none = PyObject_CallMethodObjArgs((PyObject *)session, name_answered, NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* The whole body, behind the head. */
static int body_usual(Exchange *self, PyObject *message, Session *session)
{
    PyObject *body = PyDict_GetItemWithError(message, key_body);
    PyObject *more = PyDict_GetItemWithError(message, key_more);
    if (PyErr_Occurred())
        return -1;
    if (body == NULL)
        body = no_bytes;
    if (self->status == 0 || self->begun || self->to_head_request || self->status == 204 || self->status == 304
        || (more != NULL && more != Py_False) || !PyBytes_CheckExact(body) || PyBytes_GET_SIZE(body) > UINT32_MAX
        || self->headers == NULL || !PyList_CheckExact(self->headers) || self->body != no_parts)
        return UNUSUAL;
    char *at = session->scratch;
    Py_ssize_t size = PyBytes_GET_SIZE(body), length = encode_head(self, at + FRAME_HEADER, size);
    if (length == 0)
        return UNUSUAL;
    store_frame(at, (size_t)length, FRAME_HEAD, size ? 0 : FLAG_END);
    at += FRAME_HEADER + length;
    PyObject *behind = NULL;
    if (size > 0) {
        store_frame(at, (size_t)size, FRAME_BODY, FLAG_END);
        at += FRAME_HEADER;
        if (size > SMALL_BODY) {
            behind = body;
        } else {
            memcpy(at, PyBytes_AS_STRING(body), (size_t)size);
            at += size;
        }
    }
    self->begun = 1;
    Py_INCREF(body);
    int failed = session_write(session, session->scratch, at - session->scratch, behind) < 0 || end(self, session) < 0;
    Py_DECREF(body);
    return failed ? -1 : DONE;
}

/* ASGI's send: True if the event was sent, False if it is left to the Python method. */
static PyObject *send_usual(Exchange *self, PyObject *message)
{
    Session *session = (Session *)self->session;
    if (!PyDict_CheckExact(message) || self->gone || self->complete || session == NULL
        || !PyObject_TypeCheck(self->session, &SessionType) || session->lost)
        Py_RETURN_FALSE;
    PyObject *type = PyDict_GetItemWithError(message, key_type);
    int done = UNUSUAL;
    if (type == NULL && PyErr_Occurred())
        return NULL;
    Py_INCREF(session);
    if (is_text(type, type_start))
        done = start_usual(self, message);
    else if (is_text(type, type_body))
        done = body_usual(self, message, session);
    Py_DECREF(session);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

static PyMethodDef exchange_methods[] = {
    {"receive_usual", (PyCFunction)receive_usual, METH_NOARGS, "The event of a request without a body, or None."},
    {"send_usual", (PyCFunction)send_usual, METH_O, "Sends an event, if it is a usual one."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef exchange_members[] = {
    {"scope", T_OBJECT, offsetof(Exchange, scope), 0, NULL},
    {"_session", T_OBJECT, offsetof(Exchange, session), 0, NULL},
    {"_body", T_OBJECT, offsetof(Exchange, body), 0, NULL},
    {"_news", T_OBJECT, offsetof(Exchange, news), 0, NULL},
    {"_headers", T_OBJECT, offsetof(Exchange, headers), 0, NULL},
    {"_held", T_PYSSIZET, offsetof(Exchange, held), 0, NULL},
    {"_status", T_INT, offsetof(Exchange, status), 0, NULL},
    {"_to_head_request", T_BOOL, offsetof(Exchange, to_head_request), 0, NULL},
    {"_body_complete", T_BOOL, offsetof(Exchange, body_complete), 0, NULL},
    {"_body_told", T_BOOL, offsetof(Exchange, body_told), 0, NULL},
    {"_gone", T_BOOL, offsetof(Exchange, gone), 0, NULL},
    {"_begun", T_BOOL, offsetof(Exchange, begun), 0, NULL},
    {"complete", T_BOOL, offsetof(Exchange, complete), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject ExchangeType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "flying_passenger_native.Exchange",
    .tp_basicsize = sizeof(Exchange),
    .tp_dealloc = (destructor)exchange_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The usual part of a request of an ASGI app.",
    .tp_traverse = (traverseproc)exchange_traverse,
    .tp_clear = (inquiry)exchange_clear,
    .tp_methods = exchange_methods,
    .tp_members = exchange_members,
    .tp_new = PyType_GenericNew,
};
