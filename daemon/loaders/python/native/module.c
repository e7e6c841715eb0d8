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

PyMODINIT_FUNC PyInit_flying_passenger_native(void)
{
#ifdef Py_GIL_DISABLED
    PyErr_SetString(PyExc_ImportError, "the native support needs an interpreter with a global interpreter lock");
    return NULL;
#endif
    if (environ_ready() < 0 || response_ready() < 0 || connection_ready() < 0)
        return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    Py_INCREF(&ConnectionType);
    Py_INCREF(&ResponseType);
    if (PyModule_AddObject(module, "Connection", (PyObject *)&ConnectionType) < 0
        || PyModule_AddObject(module, "Response", (PyObject *)&ResponseType) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
