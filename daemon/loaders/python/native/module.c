/* The module: its types, and what the Python side hands over. */

#include "native.h"

Python python;

static PyObject *set_up(PyObject *module, PyObject *arguments)
{
    (void)module;
    Python given;
    if (!PyArg_ParseTuple(arguments, "OO!O!OO", &given.lost, &PyType_Type, &given.base_response, &PyType_Type,
                          &given.lazy_socket, &given.decode_path, &given.https))
        return NULL;
    Py_INCREF(given.lost);
    Py_INCREF(given.base_response);
    Py_INCREF(given.lazy_socket);
    Py_INCREF(given.decode_path);
    Py_INCREF(given.https);
    /* Once in a process; the objects live as long as it does. */
    python = given;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"set_up", set_up, METH_VARARGS, "Takes the Python classes and functions that do what is unusual."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "flying_passenger_native",
    .m_doc = "The native support of flying-passenger's Python loader.",
    .m_size = -1,
    .m_methods = methods,
};

static int add(PyObject *module, const char *name, PyTypeObject *type)
{
    Py_INCREF(type);
    return PyModule_AddObject(module, name, (PyObject *)type);
}

/* Before CPython 3.9, PyMODINIT_FUNC does not make the function visible. */
__attribute__((visibility("default"))) PyMODINIT_FUNC PyInit_flying_passenger_native(void)
{
#ifdef Py_GIL_DISABLED
    PyErr_SetString(PyExc_ImportError, "the native support needs an interpreter with a global interpreter lock");
    return NULL;
#endif
    if (environ_ready() < 0 || response_ready() < 0 || connection_ready() < 0 || scope_ready() < 0 || session_ready() < 0
        || exchange_ready() < 0)
        return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    if (add(module, "Connection", &ConnectionType) < 0 || add(module, "Response", &ResponseType) < 0
        || add(module, "Session", &SessionType) < 0 || add(module, "Exchange", &ExchangeType) < 0)
        Py_CLEAR(module);
    return module;
}
