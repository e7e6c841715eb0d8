/* Writing to the daemon: one system call if it keeps up. */

#include "native.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Bytes that were sent without waiting; -1 with `Lost` set if the connection is gone. */
static Py_ssize_t send_now(Connection *self, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent;
    /* An interruption: this call does not wait, so that signals are handled soon enough by whoever runs next. */
    do {
        sent = sendmsg(self->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return 0;
    PyErr_SetFromErrno(python.lost);
    return -1;
}

/* What the daemon has not taken, which the Python connection waits for. */
static int send_rest(Connection *self, PyObject *parts, Py_ssize_t sent)
{
    PyObject *number = parts ? PyLong_FromSsize_t(sent) : NULL;
    static PyObject *name;
    if (name == NULL)
        name = PyUnicode_InternFromString("write_rest");
    PyObject *none = number && name ? PyObject_CallMethodObjArgs((PyObject *)self, name, parts, number, NULL) : NULL;
    Py_XDECREF(number);
    Py_XDECREF(parts);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

int output_one(Connection *self, const char *data, Py_ssize_t length)
{
    struct iovec part = {(void *)data, (size_t)length};
    Py_ssize_t sent = send_now(self, &part, 1);
    if (sent == length || sent < 0)
        return sent < 0 ? -1 : 0;
    return send_rest(self, Py_BuildValue("(y#)", data + sent, length - sent), 0);
}

int output_two(Connection *self, const char *first, Py_ssize_t length, PyObject *second)
{
    struct iovec parts[2] = {
        {(void *)first, (size_t)length},
        {PyBytes_AS_STRING(second), (size_t)PyBytes_GET_SIZE(second)},
    };
    Py_ssize_t sent = send_now(self, parts, 2);
    if (sent < 0 || sent == length + PyBytes_GET_SIZE(second))
        return sent < 0 ? -1 : 0;
    return send_rest(self, Py_BuildValue("(y#O)", first, length, second), sent);
}
