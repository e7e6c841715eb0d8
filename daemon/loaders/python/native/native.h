/* What the files of the native support for Python share.
 *
 * The native support replaces the parts of the loader that every usual request goes through: reading a request, building
 * its environment, and sending an ordinary response. Whatever is unusual is left to the Python methods of the loader, on the
 * same objects, so that each rule is written down once.
 */

#ifndef FLYING_PASSENGER_NATIVE_H
#define FLYING_PASSENGER_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdint.h>

#if PY_VERSION_HEX < 0x03080000
#error "the native support needs CPython 3.8 or later"
#endif
#if PY_VERSION_HEX < 0x03090000
#define PyObject_Vectorcall _PyObject_Vectorcall
#endif

/* Frames of the session protocol (docs/APP-PROTOCOL.md). */
enum { FRAME_HEAD = 1, FRAME_BODY = 2, FLAG_END = 1, FRAME_HEADER = 8, REQUEST_HEADER = 16 };

/* One read of the connection, and the room for what is sent with one write. */
#define BUFFER_SIZE ((Py_ssize_t)64 * 1024)
/* The longest head that is written here. */
#define MAX_HEAD ((Py_ssize_t)32 * 1024)
/* A body of as many bytes is copied behind its head: the kernel takes one buffer faster than four. */
#define SMALL_BODY ((Py_ssize_t)16 * 1024)

/* Environments of requests that have the same variables, and what they share. Belongs to one connection. */
typedef struct Environments Environments;

typedef struct {
    PyObject_HEAD
    /* The attributes of the Python class `Connection` that both sides use. */
    PyObject *buffer;
    Py_ssize_t at;
    /* The descriptor; -1 once the connection is closed or the app has taken it. */
    int descriptor;
    char *scratch;
    Environments *environments;
    /* A response that nothing else refers to, for the next request. */
    PyObject *spare;
    char answering;
} Connection;

typedef struct {
    PyObject_HEAD
    /* The attributes of the Python class `BaseResponse`. */
    PyObject *connection;
    PyObject *status;
    PyObject *headers;
    PyObject *left;
    char head_sent;
    char has_length;
    char complete;
    char hijacked;
    char bodiless;
    char to_head_request;
} Response;

/* ASGI: what scopes of one connection share. */
typedef struct Scopes Scopes;

typedef struct {
    PyObject_HEAD
    /* The attributes of the Python class `Session` that both sides use. */
    PyObject *host;
    PyObject *buffer;
    PyObject *taker;
    PyObject *raw;
    char body_complete;
    char answered;
    char advancing;
    char paused;
    char lost;
    /* Nothing waits to be sent before what is written now. */
    char direct;
    int descriptor;
    char *scratch;
    Scopes *scopes;
    PyTypeObject *exchange_type;
} Session;

typedef struct {
    PyObject_HEAD
    /* The attributes of the Python class `BaseExchange`. */
    PyObject *scope;
    PyObject *session;
    PyObject *body;
    PyObject *news;
    PyObject *headers;
    Py_ssize_t held;
    int status;
    char to_head_request;
    char body_complete;
    char body_told;
    char gone;
    char begun;
    char complete;
} Exchange;

/* Where the name and the value of a variable are in a block. */
typedef struct {
    const char *name;
    const char *value;
    Py_ssize_t name_length;
    Py_ssize_t value_length;
} Span;

extern PyTypeObject ConnectionType;
extern PyTypeObject ResponseType;
extern PyTypeObject SessionType;
extern PyTypeObject ExchangeType;

/* What the Python side hands over, once. */
typedef struct {
    PyObject *lost;
    PyObject *base_response;
    PyObject *lazy_socket;
    PyObject *decode_path;
    PyObject *https;
} Python;
extern Python python;

static inline int is_none(const PyObject *object)
{
    return object == NULL || object == Py_None;
}

/* Little endian numbers of the session protocol. */
static inline uint32_t load_u32(const unsigned char *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static inline void store_frame(char *to, size_t length, int kind, int flags)
{
    for (int at = 0; at < 4; at++)
        to[at] = (char)(length >> (8 * at) & 0xff);
    to[4] = (char)kind;
    to[5] = (char)flags;
    to[6] = to[7] = 0;
}

/* block.c */
/* A request with more variables is left to slower functions. */
#define MAX_VARIABLES 96
/* A longer value is not kept for later requests, nor one that has changed so often. */
#define MAX_KEPT 128
#define MAX_CHANGES 8
/* Where names and values are; -1 if there are more than fit. A name without a value is left out, as zip() leaves it out. */
Py_ssize_t block_split(const char *block, Py_ssize_t length, Span spans[MAX_VARIABLES]);
uint64_t block_hash(const char *name, Py_ssize_t length);
/* The value is one that is never kept. */
int block_is_secret(const char *name, Py_ssize_t length);

/* environ.c */
Environments *environments_new(PyObject *template, int encoded_path);
void environments_free(Environments *);
int environments_traverse(Environments *, visitproc, void *);
/* The variables of a block, with the template's; `method` is a borrowed reference into it. */
PyObject *environments_build(Environments *, const char *block, Py_ssize_t length, PyObject **method);
int environ_ready(void);

/* response.c */
int response_ready(void);
/* A response for a request with this method; reuses the connection's spare one. */
PyObject *response_new(Connection *, PyTypeObject *, PyObject *method);
/* Sends what the app returned. */
int response_send(Response *, PyObject *result);
PyObject *response_start_function(PyObject *response);

/* output.c */
/* Writes one buffer, or two; what the daemon does not take at once is written by the Python connection. */
int output_one(Connection *, const char *data, Py_ssize_t length);
int output_two(Connection *, const char *first, Py_ssize_t length, PyObject *second);

/* connection.c */
int connection_ready(void);

/* scope.c */
Scopes *scopes_new(PyObject *template, PyObject *asgi, PyObject *extensions, PyObject *state);
void scopes_free(Scopes *);
int scopes_traverse(Scopes *, visitproc, void *);
/* A scope of a request; NULL without an exception where it is left to Python. */
PyObject *scopes_build(Scopes *, const char *block, Py_ssize_t length);
int scope_ready(void);

/* session.c, exchange.c */
int session_ready(void);
int exchange_ready(void);
Exchange *exchange_new(PyTypeObject *, Session *, PyObject *scope);
/* Writes this to the daemon, or gives it to the transport. */
int session_write(Session *, const char *data, Py_ssize_t length, PyObject *more);

#endif
