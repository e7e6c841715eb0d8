/* One connection's requests: waits for a request, reads it, calls the app, sends what it returns. */

#include "native.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static PyObject *name_hijack, *name_early_hints, *name_response, *name_read_request, *name_serve_request, *name_hijacked;
static PyObject *key_hijack, *key_early_hints, *key_werkzeug, *key_gunicorn;
static PyObject *function_hijack, *function_early_hints;

int connection_ready(void)
{
    name_hijack = PyUnicode_InternFromString("hijack");
    name_early_hints = PyUnicode_InternFromString("early_hints");
    name_response = PyUnicode_InternFromString("_response");
    name_read_request = PyUnicode_InternFromString("read_request");
    name_serve_request = PyUnicode_InternFromString("serve_request");
    name_hijacked = PyUnicode_InternFromString("close_hijacked");
    key_hijack = PyUnicode_InternFromString("passenger.hijack");
    key_early_hints = PyUnicode_InternFromString("wsgi.early_hints");
    key_werkzeug = PyUnicode_InternFromString("werkzeug.socket");
    key_gunicorn = PyUnicode_InternFromString("gunicorn.socket");
    if (!name_hijack || !name_early_hints || !name_response || !name_read_request || !name_serve_request || !name_hijacked
        || !key_hijack || !key_early_hints || !key_werkzeug || !key_gunicorn)
        return -1;
    return PyType_Ready(&ConnectionType);
}

static int connection_traverse(Connection *self, visitproc visit, void *arg)
{
    Py_VISIT(self->buffer);
    Py_VISIT(self->spare);
    return environments_traverse(self->environments, visit, arg);
}

static int connection_clear(Connection *self)
{
    Py_CLEAR(self->buffer);
    Py_CLEAR(self->spare);
    return 0;
}

static void connection_dealloc(Connection *self)
{
    PyObject_GC_UnTrack(self);
    connection_clear(self);
    environments_free(self->environments);
    PyMem_Free(self->scratch);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *connection_new(PyTypeObject *type, PyObject *arguments, PyObject *names)
{
    (void)arguments;
    (void)names;
    Connection *self = (Connection *)type->tp_alloc(type, 0);
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

static PyObject *connection_use(Connection *self, PyObject *arguments)
{
    PyObject *template;
    int descriptor, encoded_path;
    if (!PyArg_ParseTuple(arguments, "iO!p", &descriptor, &PyDict_Type, &template, &encoded_path))
        return NULL;
    Environments *environments = environments_new(template, encoded_path);
    if (environments == NULL)
        return NULL;
    environments_free(self->environments);
    self->environments = environments;
    self->descriptor = descriptor;
    Py_RETURN_NONE;
}

static PyObject *connection_forget(Connection *self, PyObject *unused)
{
    (void)unused;
    self->descriptor = -1;
    Py_RETURN_NONE;
}

/* Waits until there is something to read. Linux wakes who waits in recv also when its own last message is read; who waits
 * in poll is not woken. 1 if there is, -1 if a signal handler has raised. */
static int wait_readable(int descriptor)
{
    struct pollfd polled = {.fd = descriptor, .events = POLLIN};
    for (;;) {
        int ready, error;
        Py_BEGIN_ALLOW_THREADS
        ready = poll(&polled, 1, -1);
        error = errno;
        Py_END_ALLOW_THREADS
        if (ready > 0)
            return 1;
        if (ready < 0 && error != EINTR)
            return 1;
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
}

/* Bytes of the next request, or a part of them; 0 at the end of the connection, which a failure is, too. */
static Py_ssize_t receive(Connection *self)
{
    for (;;) {
        if (self->descriptor < 0)
            return 0;
        if (wait_readable(self->descriptor) < 0)
            return -1;
        ssize_t length = recv(self->descriptor, self->scratch, (size_t)BUFFER_SIZE, MSG_DONTWAIT);
        if (length >= 0)
            return length;
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return 0;
    }
}

typedef struct {
    const char *block;
    Py_ssize_t length;
    int kind;
    unsigned long long body;
    /* Owns the block where it is not in the buffer. */
    PyObject *owner;
} Request;

static int keep(Connection *self, const char *from, Py_ssize_t length)
{
    PyObject *rest = PyBytes_FromStringAndSize(from, length);
    if (rest == NULL)
        return -1;
    Py_XSETREF(self->buffer, rest);
    self->at = 0;
    return 0;
}

/* By the Python method, which waits for the rest. */
static int read_slowly(Connection *self, Request *request)
{
    request->owner = PyObject_CallMethodObjArgs((PyObject *)self, name_read_request, NULL);
    if (request->owner == NULL)
        return -1;
    if (request->owner == Py_None)
        return 0;
    char *block;
    if (!PyArg_ParseTuple(request->owner, "y#iK", &block, &request->length, &request->kind, &request->body))
        return -1;
    request->block = block;
    return 1;
}

/* 1 with a request, 0 at the end of the connection. */
static int read_request(Connection *self, Request *request)
{
    if (self->buffer != NULL && PyBytes_CheckExact(self->buffer) && self->at < PyBytes_GET_SIZE(self->buffer))
        return read_slowly(self, request);
    Py_ssize_t length = receive(self);
    if (length <= 0)
        return (int)length;
    const unsigned char *head = (const unsigned char *)self->scratch;
    Py_ssize_t end = length < REQUEST_HEADER ? 0 : REQUEST_HEADER + (Py_ssize_t)load_u32(head);
    if (end == 0 || end > length)
        return keep(self, self->scratch, length) < 0 ? -1 : read_slowly(self, request);
    if (end < length && keep(self, self->scratch + end, length - end) < 0)
        return -1;
    request->block = self->scratch + REQUEST_HEADER;
    request->length = end - REQUEST_HEADER;
    request->kind = head[4];
    request->body = (unsigned long long)load_u32(head + 8) | (unsigned long long)load_u32(head + 12) << 32;
    return 1;
}

static PyObject *method_of(PyObject **function, PyObject *name, PyObject *response)
{
    if (*function == NULL)
        *function = PyObject_GetAttr(python.base_response, name);
    return *function ? PyMethod_New(*function, response) : NULL;
}

/* Sets a value that belongs to this request; steals its reference. */
static int put(PyObject *environ, PyObject *key, PyObject *value)
{
    int failed = value == NULL || PyDict_SetItem(environ, key, value) < 0;
    Py_XDECREF(value);
    return failed ? -1 : 0;
}

static PyObject *lazy_socket(PyObject *response)
{
    PyTypeObject *type = (PyTypeObject *)python.lazy_socket;
    PyObject *lazy = type->tp_alloc(type, 0);
    if (lazy != NULL && PyObject_SetAttr(lazy, name_response, response) < 0)
        Py_CLEAR(lazy);
    return lazy;
}

static int add_objects(PyObject *environ, PyObject *response)
{
    if (put(environ, key_hijack, method_of(&function_hijack, name_hijack, response)) < 0
        || put(environ, key_early_hints, method_of(&function_early_hints, name_early_hints, response)) < 0)
        return -1;
    PyObject *lazy = lazy_socket(response);
    int failed = lazy == NULL || PyDict_SetItem(environ, key_werkzeug, lazy) < 0
        || PyDict_SetItem(environ, key_gunicorn, lazy) < 0;
    Py_XDECREF(lazy);
    return failed ? -1 : 0;
}

/* Calls the app and sends what it returns. 1 if the connection can be used again. */
static int answer(Connection *self, PyObject *handler, PyObject *app, PyObject *environ, Response *response)
{
    PyObject *start = response_start_function((PyObject *)response);
    if (start == NULL)
        return -1;
    PyObject *arguments[2] = {environ, start};
    self->answering = 1;
    PyObject *result = PyObject_Vectorcall(app, arguments, 2, NULL);
    Py_DECREF(start);
    if (result == NULL)
        return -1;
    int status = 1;
    if (response->hijacked) {
        PyObject *none = PyObject_CallMethodObjArgs(handler, name_hijacked, result, NULL);
        status = none == NULL ? -1 : 0;
        Py_XDECREF(none);
    } else if (response_send(response, result) < 0) {
        status = -1;
    } else if (response->hijacked) {
        status = 0;
    }
    if (status >= 0)
        self->answering = 0;
    Py_DECREF(result);
    return status;
}

/* A request with a body, or for work out of band: by the Python method. 1 if the connection can be used again. */
static int serve_unusual(PyObject *handler, PyObject *environ, PyObject *response, const Request *request)
{
    PyObject *kind = PyLong_FromLong(request->kind), *body = PyLong_FromUnsignedLongLong(request->body);
    PyObject *again = NULL;
    if (kind != NULL && body != NULL)
        again = PyObject_CallMethodObjArgs(handler, name_serve_request, environ, response, kind, body, NULL);
    Py_XDECREF(kind);
    Py_XDECREF(body);
    int status = again == NULL ? -1 : PyObject_IsTrue(again);
    Py_XDECREF(again);
    return status;
}

/* Keeps a response that only this function refers to, for the next request. */
static void put_away(Connection *self, PyObject *response)
{
    if (Py_REFCNT(response) == 1 && self->spare == NULL) {
        Py_CLEAR(((Response *)response)->connection);
        Py_CLEAR(((Response *)response)->status);
        Py_CLEAR(((Response *)response)->headers);
        self->spare = response;
        return;
    }
    Py_DECREF(response);
}

static int serve_request(Connection *self, PyObject *handler, PyObject *app, PyTypeObject *type, const Request *request)
{
    PyObject *method;
    PyObject *environ = environments_build(self->environments, request->block, request->length, &method);
    if (environ == NULL)
        return -1;
    PyObject *response = response_new(self, type, method);
    int status = -1;
    if (response != NULL && add_objects(environ, response) == 0) {
        if (request->kind == 0 || (request->kind == 1 && request->body == 0))
            status = answer(self, handler, app, environ, (Response *)response);
        else
            status = serve_unusual(handler, environ, response, request);
        if (status < 0 && self->answering) {
            /* The Python handler reports the failure with this response. */
            PyObject *error, *value, *traceback;
            PyErr_Fetch(&error, &value, &traceback);
            if (PyObject_SetAttr(handler, name_response, response) < 0)
                PyErr_Clear();
            PyErr_Restore(error, value, traceback);
        }
    }
    Py_DECREF(environ);
    if (response != NULL)
        put_away(self, response);
    return status;
}

/* Serves requests until the connection ends or belongs to the app (False), or one fails: what the app raised is raised. */
static PyObject *connection_serve(Connection *self, PyObject *arguments)
{
    PyObject *handler, *app, *under_way, *type;
    if (!PyArg_ParseTuple(arguments, "OOO!O!", &handler, &app, &PySet_Type, &under_way, &PyType_Type, &type))
        return NULL;
    if (self->environments == NULL || !PyType_IsSubtype((PyTypeObject *)type, &ResponseType)) {
        PyErr_SetString(PyExc_RuntimeError, "the connection was not prepared");
        return NULL;
    }
    for (;;) {
        self->answering = 0;
        if (PySet_Discard(under_way, handler) < 0)
            return NULL;
        Request request = {0};
        int status = read_request(self, &request);
        if (status > 0)
            status = PySet_Add(under_way, handler) < 0 ? -1 : serve_request(self, handler, app, (PyTypeObject *)type, &request);
        Py_XDECREF(request.owner);
        if (status < 0)
            return NULL;
        if (status == 0)
            Py_RETURN_FALSE;
    }
}

static PyObject *connection_environ(Connection *self, PyObject *argument)
{
    char *block;
    Py_ssize_t length;
    PyObject *method;
    if (self->environments == NULL || PyBytes_AsStringAndSize(argument, &block, &length) < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_RuntimeError, "the connection was not prepared");
    return environments_build(self->environments, block, length, &method);
}

static PyMethodDef connection_methods[] = {
    {"use", (PyCFunction)connection_use, METH_VARARGS, "Takes the descriptor and what every environment contains."},
    {"forget", (PyCFunction)connection_forget, METH_NOARGS, "The descriptor is closed, or the app's."},
    {"serve", (PyCFunction)connection_serve, METH_VARARGS, "Serves requests until one is unusual."},
    {"environ", (PyCFunction)connection_environ, METH_O, "The environment of a block."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef connection_members[] = {
    {"_buffer", T_OBJECT, offsetof(Connection, buffer), 0, NULL},
    {"_at", T_PYSSIZET, offsetof(Connection, at), 0, NULL},
    {"answering", T_BOOL, offsetof(Connection, answering), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject ConnectionType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "flying_passenger_native.Connection",
    .tp_basicsize = sizeof(Connection),
    .tp_dealloc = (destructor)connection_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The usual part of a connection.",
    .tp_traverse = (traverseproc)connection_traverse,
    .tp_clear = (inquiry)connection_clear,
    .tp_methods = connection_methods,
    .tp_members = connection_members,
    .tp_new = connection_new,
};
