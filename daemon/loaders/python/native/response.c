/* `start_response` and the sending of an ordinary response. Its Python class is `BaseResponse`, whose methods do the rest on
 * the same attributes.
 */

#include "native.h"

#include <string.h>

static PyObject *name_start_response, *name_send, *name_write, *name_write_frames, *name_content_length;
/* Functions of `BaseResponse`, looked up when they are first needed. */
static PyObject *base_start_response, *base_write, *base_write_frames;

int response_ready(void)
{
    name_start_response = PyUnicode_InternFromString("start_response");
    name_send = PyUnicode_InternFromString("send");
    name_write = PyUnicode_InternFromString("_write");
    name_write_frames = PyUnicode_InternFromString("_write_frames");
    name_content_length = PyUnicode_InternFromString("Content-Length");
    if (!name_start_response || !name_send || !name_write || !name_write_frames || !name_content_length)
        return -1;
    return PyType_Ready(&ResponseType);
}

static PyObject *base_function(PyObject **kept, PyObject *name)
{
    if (*kept == NULL && python.base_response != NULL)
        *kept = PyObject_GetAttr(python.base_response, name);
    if (*kept == NULL && !PyErr_Occurred())
        PyErr_SetString(PyExc_RuntimeError, "set_up was not called");
    return *kept;
}

static int response_traverse(Response *self, visitproc visit, void *arg)
{
    Py_VISIT(self->connection);
    Py_VISIT(self->status);
    Py_VISIT(self->headers);
    Py_VISIT(self->left);
    return 0;
}

static int response_clear(Response *self)
{
    Py_CLEAR(self->connection);
    Py_CLEAR(self->status);
    Py_CLEAR(self->headers);
    Py_CLEAR(self->left);
    return 0;
}

static void response_dealloc(Response *self)
{
    PyObject_GC_UnTrack(self);
    response_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyObject *response_new(Connection *connection, PyTypeObject *type, PyObject *method)
{
    PyObject *object = connection->spare;
    connection->spare = NULL;
    if (object == NULL || Py_TYPE(object) != type) {
        Py_XDECREF(object);
        object = type->tp_alloc(type, 0);
        if (object == NULL)
            return NULL;
    }
    Response *self = (Response *)object;
    response_clear(self);
    Py_INCREF(connection);
    self->connection = (PyObject *)connection;
    self->head_sent = self->has_length = self->complete = self->hijacked = 0;
    self->bodiless = self->to_head_request = PyUnicode_CompareWithASCIIString(method, "HEAD") == 0;
    return object;
}

/* 1 if every header is a pair of strings, and none of them is about the length, or its length is understood. */
static int look_at_headers(Response *self, PyObject *headers)
{
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(headers); at++) {
        PyObject *header = PyList_GET_ITEM(headers, at);
        if (!PyTuple_CheckExact(header) || PyTuple_GET_SIZE(header) != 2)
            return 0;
        PyObject *name = PyTuple_GET_ITEM(header, 0), *value = PyTuple_GET_ITEM(header, 1);
        if (!PyUnicode_CheckExact(name) || !PyUnicode_Check(value))
            return 0;
        Py_ssize_t size = PyUnicode_GET_LENGTH(name);
        if (size != 14 && size != 17)
            continue;
        if (!PyUnicode_IS_ASCII(name) || self->has_length)
            return 0;
        const char *text = (const char *)PyUnicode_1BYTE_DATA(name);
        if (size == 17 && PyOS_strnicmp(text, "transfer-encoding", 17) == 0)
            return 0;
        if (size != 14 || PyOS_strnicmp(text, "content-length", 14) != 0)
            continue;
        /* At most 15 digits and nothing else; the rest is the Python method's. */
        Py_ssize_t digits = PyUnicode_GET_LENGTH(value);
        if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_ASCII(value) || digits == 0 || digits > 15)
            return 0;
        const Py_UCS1 *digit = PyUnicode_1BYTE_DATA(value);
        long long length = 0;
        for (Py_ssize_t number = 0; number < digits; number++) {
            if (digit[number] < '0' || digit[number] > '9')
                return 0;
            length = length * 10 + (digit[number] - '0');
        }
        PyObject *left = PyLong_FromLongLong(length);
        if (left == NULL)
            return -1;
        Py_XSETREF(self->left, left);
        self->has_length = 1;
    }
    return 1;
}

static int has_no_body(PyObject *status)
{
    if (PyUnicode_GET_LENGTH(status) < 3 || PyUnicode_KIND(status) != PyUnicode_1BYTE_KIND)
        return 0;
    const char *text = (const char *)PyUnicode_1BYTE_DATA(status);
    return memcmp(text, "204", 3) == 0 || memcmp(text, "304", 3) == 0;
}

static PyObject *start_usual(Response *self, PyObject *status, PyObject *headers)
{
    self->has_length = 0;
    Py_CLEAR(self->left);
    PyObject *copy = PyList_GetSlice(headers, 0, PyList_GET_SIZE(headers));
    if (copy == NULL)
        return NULL;
    int usual = look_at_headers(self, copy);
    if (usual <= 0) {
        Py_DECREF(copy);
        self->has_length = 0;
        Py_CLEAR(self->left);
        return NULL;
    }
    Py_INCREF(status);
    Py_XSETREF(self->status, status);
    Py_XSETREF(self->headers, copy);
    self->bodiless = self->to_head_request || has_no_body(status);
    PyObject *write = base_function(&base_write, name_write);
    return write ? PyMethod_New(write, (PyObject *)self) : NULL;
}

/* WSGI's start_response. */
static PyObject *start_response(Response *self, PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
    int usual = names == NULL && (count == 2 || (count == 3 && arguments[2] == Py_None)) && is_none(self->status)
        && PyUnicode_CheckExact(arguments[0]) && PyList_CheckExact(arguments[1]);
    if (usual) {
        PyObject *write = start_usual(self, arguments[0], arguments[1]);
        if (write != NULL || PyErr_Occurred())
            return write;
    }
    PyObject *function = base_function(&base_start_response, name_start_response);
    if (function == NULL)
        return NULL;
    Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    PyObject **all = PyMem_New(PyObject *, (size_t)(count + named + 1));
    if (all == NULL)
        return PyErr_NoMemory();
    all[0] = (PyObject *)self;
    memcpy(all + 1, arguments, sizeof *all * (size_t)(count + named));
    PyObject *result = PyObject_Vectorcall(function, all, (size_t)count + 1, names);
    PyMem_Free(all);
    return result;
}

static int append(char **at, const char *end, PyObject *text)
{
    if (PyUnicode_KIND(text) != PyUnicode_1BYTE_KIND)
        return 0;
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    if (end - *at < length + 1)
        return 0;
    const unsigned char *from = PyUnicode_1BYTE_DATA(text);
    char *to = *at;
    int odd = 0;
    for (Py_ssize_t number = 0; number < length; number++) {
        unsigned char byte = from[number];
        odd |= (byte == '\r') | (byte == '\n') | (byte == 0);
        to[number] = (char)byte;
    }
    to[length] = 0;
    *at = to + length + 1;
    return !odd;
}

/* The head's bytes at `to`; 0 if it is too long or has to be looked at by the Python method. */
static Py_ssize_t encode_head(Response *self, char *to, Py_ssize_t add_length)
{
    char *at = to;
    const char *end = to + MAX_HEAD;
    if (!append(&at, end, self->status))
        return 0;
    for (Py_ssize_t number = 0; number < PyList_GET_SIZE(self->headers); number++) {
        PyObject *header = PyList_GET_ITEM(self->headers, number);
        if (!PyTuple_CheckExact(header) || PyTuple_GET_SIZE(header) != 2)
            return 0;
        for (int part = 0; part < 2; part++) {
            PyObject *text = PyTuple_GET_ITEM(header, part);
            if (!PyUnicode_Check(text) || !append(&at, end, text))
                return 0;
        }
    }
    if (add_length >= 0) {
        if (end - at < 40)
            return 0;
        at += PyOS_snprintf(at, 40, "Content-Length%c%zd", 0, add_length) + 1;
    }
    return at - 1 - to;
}

/* Sends a part of the body, behind the head if that was not sent. 1 if done, 0 if it is left to the Python method. */
static int write_usual(Response *self, PyObject *data, int flags, Py_ssize_t add_length)
{
    if (self->connection == NULL || !PyObject_TypeCheck(self->connection, &ConnectionType))
        return 0;
    Connection *connection = (Connection *)self->connection;
    Py_ssize_t size = PyBytes_GET_SIZE(data);
    if (connection->descriptor < 0 || self->hijacked || size > UINT32_MAX)
        return 0;
    char *at = connection->scratch;
    if (!self->head_sent) {
        if (is_none(self->status) || !PyUnicode_Check(self->status) || self->headers == NULL
            || !PyList_CheckExact(self->headers))
            return 0;
        Py_ssize_t length = encode_head(self, at + FRAME_HEADER, add_length);
        if (length == 0)
            return 0;
        store_frame(at, (size_t)length, FRAME_HEAD, 0);
        at += FRAME_HEADER + length;
        self->head_sent = 1;
    }
    store_frame(at, (size_t)size, FRAME_BODY, flags);
    at += FRAME_HEADER;
    if (size > SMALL_BODY)
        return output_two(connection, connection->scratch, at - connection->scratch, data) < 0 ? -1 : 1;
    memcpy(at, PyBytes_AS_STRING(data), (size_t)size);
    return output_one(connection, connection->scratch, at + size - connection->scratch) < 0 ? -1 : 1;
}

static PyObject *write_frames(Response *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "_write_frames takes two arguments");
    if (PyBytes_CheckExact(arguments[0])) {
        long flags = PyLong_AsLong(arguments[1]);
        if (flags == -1 && PyErr_Occurred())
            return NULL;
        int done = write_usual(self, arguments[0], (int)flags, -1);
        if (done < 0)
            return NULL;
        if (done)
            Py_RETURN_NONE;
    }
    PyObject *function = base_function(&base_write_frames, name_write_frames);
    if (function == NULL)
        return NULL;
    return PyObject_CallFunctionObjArgs(function, (PyObject *)self, arguments[0], arguments[1], NULL);
}

/* 1 if the Content-Length, where there is one, allows all of the body. */
static int is_allowed(Response *self, Py_ssize_t size)
{
    if (is_none(self->left))
        return 1;
    long long left = PyLong_AsLongLong(self->left);
    if (left == -1 && PyErr_Occurred())
        PyErr_Clear();
    return size <= left;
}

int response_send(Response *self, PyObject *result)
{
    int in_list = PyList_CheckExact(result);
    if ((in_list || PyTuple_CheckExact(result)) && PySequence_Fast_GET_SIZE(result) == 1) {
        PyObject *data = PySequence_Fast_GET_ITEM(result, 0);
        if (PyBytes_CheckExact(data) && PyBytes_GET_SIZE(data) > 0 && !self->bodiless && !self->complete && !self->hijacked
            && is_allowed(self, PyBytes_GET_SIZE(data))) {
            Py_ssize_t add_length = self->has_length || self->head_sent ? -1 : PyBytes_GET_SIZE(data);
            /* A list may change while the rest of the body is waited for. */
            Py_INCREF(data);
            int done = write_usual(self, data, FLAG_END, add_length);
            Py_DECREF(data);
            if (done > 0)
                self->complete = 1;
            if (done != 0)
                return done < 0 ? -1 : 0;
        }
    }
    PyObject *none = PyObject_CallMethodObjArgs((PyObject *)self, name_send, result, NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

static PyMethodDef response_methods[] = {
    {"start_response", (PyCFunction)(void (*)(void))start_response, METH_FASTCALL | METH_KEYWORDS, "WSGI's start_response."},
    {"_write_frames", (PyCFunction)(void (*)(void))write_frames, METH_FASTCALL, "Sends a part of the body."},
    {NULL, NULL, 0, NULL},
};

PyObject *response_start_function(PyObject *response)
{
    return PyCFunction_New(&response_methods[0], response);
}

static PyMemberDef response_members[] = {
    {"_connection", T_OBJECT, offsetof(Response, connection), 0, NULL},
    {"_status", T_OBJECT, offsetof(Response, status), 0, NULL},
    {"_headers", T_OBJECT, offsetof(Response, headers), 0, NULL},
    {"_left", T_OBJECT, offsetof(Response, left), 0, NULL},
    {"_head_sent", T_BOOL, offsetof(Response, head_sent), 0, NULL},
    {"_has_length", T_BOOL, offsetof(Response, has_length), 0, NULL},
    {"complete", T_BOOL, offsetof(Response, complete), 0, NULL},
    {"hijacked", T_BOOL, offsetof(Response, hijacked), 0, NULL},
    {"_bodiless", T_BOOL, offsetof(Response, bodiless), 0, NULL},
    {"_to_head_request", T_BOOL, offsetof(Response, to_head_request), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject ResponseType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "flying_passenger_native.Response",
    .tp_basicsize = sizeof(Response),
    .tp_dealloc = (destructor)response_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The usual part of a response.",
    .tp_traverse = (traverseproc)response_traverse,
    .tp_clear = (inquiry)response_clear,
    .tp_methods = response_methods,
    .tp_members = response_members,
    .tp_new = PyType_GenericNew,
};
