/* One connection of an ASGI app: reads a whole request without a body, and starts the app with it. Whatever else comes goes
 * to the Python methods of `Session`.
 */

#include "native.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static PyObject *name_start, *name_data_received, *name_read_slowly, *name_write;

int session_ready(void)
{
    name_start = PyUnicode_InternFromString("start");
    name_data_received = PyUnicode_InternFromString("data_received");
    name_read_slowly = PyUnicode_InternFromString("read_slowly");
    name_write = PyUnicode_InternFromString("write");
    if (!name_start || !name_data_received || !name_read_slowly || !name_write)
        return -1;
    return PyType_Ready(&SessionType);
}

static int session_traverse(Session *self, visitproc visit, void *arg)
{
    Py_VISIT(self->host);
    Py_VISIT(self->buffer);
    Py_VISIT(self->taker);
    Py_VISIT(self->raw);
    Py_VISIT(self->exchange_type);
    return scopes_traverse(self->scopes, visit, arg);
}

static int session_clear(Session *self)
{
    Py_CLEAR(self->host);
    Py_CLEAR(self->buffer);
    Py_CLEAR(self->taker);
    Py_CLEAR(self->raw);
    return 0;
}

static void session_dealloc(Session *self)
{
    PyObject_GC_UnTrack(self);
    session_clear(self);
    Py_CLEAR(self->exchange_type);
    scopes_free(self->scopes);
    PyMem_Free(self->scratch);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *session_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    (void)arguments;
    (void)names;
    Session *self = (Session *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->descriptor = -1;
    self->scratch = PyMem_Malloc((size_t)BUFFER_SIZE);
    if (self->scratch == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static PyObject *session_use(Session *self, PyObject *arguments)
{
    PyObject *type, *template, *asgi, *extensions, *state;
    int descriptor;
    if (!PyArg_ParseTuple(arguments, "iO!O!O!O!O!", &descriptor, &PyType_Type, &type, &PyDict_Type, &template, &PyDict_Type,
                          &asgi, &PyDict_Type, &extensions, &PyDict_Type, &state))
        return NULL;
    if (self->scopes != NULL || !PyType_IsSubtype((PyTypeObject *)type, &ExchangeType))
        return PyErr_Format(PyExc_TypeError, "use() needs a type of exchange, once");
    self->scopes = scopes_new(template, asgi, extensions, state);
    if (self->scopes == NULL)
        return NULL;
    Py_INCREF(type);
    self->exchange_type = (PyTypeObject *)type;
    self->descriptor = descriptor;
    Py_RETURN_NONE;
}

static PyObject *call(PyObject *object, PyObject *name, PyObject *argument)
{
    return PyObject_CallMethodObjArgs(object, name, argument, NULL);
}

/* The block, if these bytes are one whole request without a body. */
static const char *whole_request(const char *data, Py_ssize_t received, Py_ssize_t *length)
{
    const unsigned char *head = (const unsigned char *)data;
    if (received < REQUEST_HEADER)
        return NULL;
    *length = (Py_ssize_t)load_u32(head);
    int has_body = head[4] != 0 && (head[4] != 1 || load_u32(head + 8) != 0 || load_u32(head + 12) != 0);
    return has_body || received != REQUEST_HEADER + *length ? NULL : data + REQUEST_HEADER;
}

static int is_idle(const Session *self)
{
    return is_none(self->taker) && is_none(self->raw) && self->scopes != NULL && !self->advancing && self->buffer != NULL
        && PyBytes_CheckExact(self->buffer) && PyBytes_GET_SIZE(self->buffer) == 0;
}

/* Starts the app. What `Session._begin` and `_advance` do for other requests. */
static PyObject *start(Session *self, PyObject *scope)
{
    Exchange *exchange = exchange_new(self->exchange_type, self, scope);
    if (exchange == NULL)
        return NULL;
    Py_INCREF(exchange);
    Py_XSETREF(self->taker, (PyObject *)exchange);
    self->body_complete = 1;
    self->answered = 0;
    self->advancing = 1;
    PyObject *none = call(self->host, name_start, (PyObject *)exchange);
    self->advancing = 0;
    if (self->answered && self->taker == (PyObject *)exchange)
        Py_CLEAR(self->taker);
    Py_DECREF(exchange);
    return none;
}

/* The event loop's callback: something has come. */
static PyObject *session_readable(Session *self, PyObject *unused)
{
    (void)unused;
    if (self->descriptor < 0 || !self->direct || !is_idle(self))
        return call((PyObject *)self, name_read_slowly, NULL);
    ssize_t received = recv(self->descriptor, self->scratch, (size_t)BUFFER_SIZE, MSG_DONTWAIT);
    if (received <= 0)
        /* The end, or an error: Python reads the same once more. */
        return call((PyObject *)self, name_read_slowly, NULL);
    Py_ssize_t length;
    const char *block = whole_request(self->scratch, received, &length);
    PyObject *scope = block ? scopes_build(self->scopes, block, length) : NULL;
    if (scope != NULL) {
        PyObject *none = start(self, scope);
        Py_DECREF(scope);
        return none;
    }
    if (PyErr_Occurred())
        return NULL;
    PyObject *data = PyBytes_FromStringAndSize(self->scratch, received);
    PyObject *none = data ? call((PyObject *)self, name_data_received, data) : NULL;
    Py_XDECREF(data);
    return none;
}

/* By the transport, which waits for the daemon. */
static int write_rest(Session *self, PyObject *data)
{
    PyObject *none = data ? call((PyObject *)self, name_write, data) : NULL;
    Py_XDECREF(data);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

int session_write(Session *self, const char *data, Py_ssize_t length, PyObject *more)
{
    Py_ssize_t size = more ? PyBytes_GET_SIZE(more) : 0, sent = 0;
    struct iovec parts[2] = {{(void *)data, (size_t)length}, {more ? PyBytes_AS_STRING(more) : NULL, (size_t)size}};
    if (self->direct) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = more ? 2 : 1};
        sent = sendmsg(self->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        /* An error: the transport meets it as well. */
        if (sent < 0)
            sent = 0;
    }
    if (sent == length + size)
        return 0;
    Py_ssize_t of_more = sent > length ? sent - length : 0;
    PyObject *rest = PyBytes_FromStringAndSize(NULL, length + size - sent);
    if (rest != NULL) {
        char *to = PyBytes_AS_STRING(rest);
        Py_ssize_t of_data = length - (sent - of_more);
        memcpy(to, data + (length - of_data), (size_t)of_data);
        if (more != NULL)
            memcpy(to + of_data, PyBytes_AS_STRING(more) + of_more, (size_t)(size - of_more));
    }
    return write_rest(self, rest);
}

static PyObject *session_scope(Session *self, PyObject *argument)
{
    char *block;
    Py_ssize_t length;
    if (self->scopes == NULL || PyBytes_AsStringAndSize(argument, &block, &length) < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_RuntimeError, "the session was not prepared");
    PyObject *scope = scopes_build(self->scopes, block, length);
    if (scope == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return scope;
}

static PyMethodDef session_methods[] = {
    {"use", (PyCFunction)session_use, METH_VARARGS, "Takes the descriptor, and what scopes are made of."},
    {"readable", (PyCFunction)session_readable, METH_NOARGS, "The event loop's callback: something has come."},
    {"native_scope", (PyCFunction)session_scope, METH_O, "The scope of a block; None where it is left to Python."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef session_members[] = {
    {"_host", T_OBJECT, offsetof(Session, host), 0, NULL},
    {"_buffer", T_OBJECT, offsetof(Session, buffer), 0, NULL},
    {"_taker", T_OBJECT, offsetof(Session, taker), 0, NULL},
    {"_raw", T_OBJECT, offsetof(Session, raw), 0, NULL},
    {"_body_complete", T_BOOL, offsetof(Session, body_complete), 0, NULL},
    {"_answered", T_BOOL, offsetof(Session, answered), 0, NULL},
    {"_advancing", T_BOOL, offsetof(Session, advancing), 0, NULL},
    {"_paused", T_BOOL, offsetof(Session, paused), 0, NULL},
    {"lost", T_BOOL, offsetof(Session, lost), 0, NULL},
    {"direct", T_BOOL, offsetof(Session, direct), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject SessionType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "flying_passenger_native.Session",
    .tp_basicsize = sizeof(Session),
    .tp_dealloc = (destructor)session_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The usual part of a connection of an ASGI app.",
    .tp_traverse = (traverseproc)session_traverse,
    .tp_clear = (inquiry)session_clear,
    .tp_methods = session_methods,
    .tp_members = session_members,
    .tp_new = session_new,
};
