"""Prints how a C file is compiled for this interpreter, a word on each line: `passenger-config build-native-support`
runs it. It uses the standard library only, and no syntax that an interpreter without support may lack."""

import importlib.machinery
import os
import sys
import sysconfig

FLAGS = ["-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-D_GNU_SOURCE"]


def refusal():
    """Why there is no native support for this interpreter, or None."""
    if sys.implementation.name != "cpython":
        return "%s is not supported, only CPython is" % sys.implementation.name
    if sys.version_info < (3, 8):  # noqa: UP036  others may run it too
        return "Python %d.%d is not supported, 3.8 and newer are" % sys.version_info[:2]
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "an interpreter without the global interpreter lock is not supported"
    return None


def settings():
    """Name and word of each line."""
    refused = refusal()
    if refused:
        yield "refused", refused
        return
    soabi = importlib.machinery.EXTENSION_SUFFIXES[0].split(".")[1]
    yield "key", "-".join(("python", sys.implementation.name, sys.version.split()[0], soabi))
    includes = list(dict.fromkeys(sysconfig.get_path(name) for name in ("include", "platinclude")))
    yield "header", os.path.join(includes[0], "Python.h")
    for word in (sysconfig.get_config_var("CC") or "cc").split():
        yield "cc", word
    for path in includes:
        yield "flag", "-I" + path
    for word in FLAGS:
        yield "flag", word


for line in settings():
    print("=".join(line))
