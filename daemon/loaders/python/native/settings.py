"""Prints how a C file is compiled for this interpreter, a word on each line: `passenger-config build-native-support`
runs it. It uses the standard library only."""

import importlib.machinery
import os
import sys
import sysconfig

if sys.implementation.name != "cpython":
    print(f"refused={sys.implementation.name} is not supported, only CPython is")
elif sysconfig.get_config_var("Py_GIL_DISABLED"):
    print("refused=an interpreter without the global interpreter lock is not supported")
soabi = importlib.machinery.EXTENSION_SUFFIXES[0].split(".")[1]
print(f"key=python-{sys.implementation.name}-{sys.version.split()[0]}-{soabi}")
includes = list(dict.fromkeys(sysconfig.get_path(name) for name in ("include", "platinclude")))
print(f"header={os.path.join(includes[0], 'Python.h')}")
for word in (sysconfig.get_config_var("CC") or "cc").split():
    print(f"cc={word}")
for word in [f"-I{path}" for path in includes] + "-std=gnu11 -O2 -fPIC -shared -fvisibility=hidden -D_GNU_SOURCE".split():
    print(f"flag={word}")
