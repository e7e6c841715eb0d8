"""Native support of the loaders under test: where its objects are, and every case once more with it.

`python3 daemon/loaders/conformance/native.py` prints, for each language, the file that a loader of this checkout accepts.
"""

import os
import subprocess
import unittest
from pathlib import Path

from loader import LOADERS

OBJECT = "flying_passenger_native.so"
# Taken from the environment: no app may see it.
BUILT = os.environ.pop("FLYING_PASSENGER_NATIVE_DIR", "") or LOADERS.parent.parent / "target/release/native"
# What makes an object fit an interpreter; the loaders compute the same.
RUBY_KEY = 'print "ruby-#{RUBY_ENGINE}-#{RUBY_VERSION}-p#{RUBY_PATCHLEVEL}-#{RUBY_PLATFORM}"'
PYTHON_KEY = """
import importlib.machinery, sys
soabi = importlib.machinery.EXTENSION_SUFFIXES[0].split(".")[1]
print(f"python-{sys.implementation.name}-{sys.version.split()[0]}-{soabi}", end="")
"""
KEYS = {
    "ruby": ["ruby", "--disable=gems", "-e", RUBY_KEY],
    "python": ["/usr/bin/python3", "-I", "-c", PYTHON_KEY],
}


def source_hash(language):
    """FNV-1a of 64 bits over name, NUL, contents, NUL of each C file, as daemon/common/build.rs computes it."""
    value = 0xCBF29CE484222325
    for path in sorted((LOADERS / language / "native").glob("*.[ch]")):
        for byte in path.name.encode() + b"\0" + path.read_bytes() + b"\0":
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def directory(language):
    """What the daemon passes as FLYING_PASSENGER_NATIVE."""
    return Path(BUILT) / source_hash(language)


def expected(language):
    """The object for this machine's interpreter."""
    key = subprocess.run(KEYS[language], stdout=subprocess.PIPE, text=True, check=True).stdout
    return directory(language) / key / OBJECT


def variants(suites, mode):
    """The suites of `mode`: `pure`, `native`, or `both`; with `both`, only what is built is tested a second time."""
    if mode == "pure":
        return suites
    built = {language for language in KEYS if expected(language).is_file()}
    languages = built if mode == "both" else set(KEYS)
    repeated = [with_native(case) for case in suites if language_of(case) in languages]
    return [*suites, *repeated] if mode == "both" else repeated


def language_of(case):
    """The directory of the loader that a suite tests; None for that of Node.js, which has no native support."""
    loader = getattr(case, "command", [""])[-1]
    return next((language for language in KEYS if f"/{language}/" in loader), None)


def with_native(case):
    """The same cases with native support, which has to be in use."""
    env = {**case.env, "FLYING_PASSENGER_NATIVE": str(directory(language_of(case)))}
    return type("Native" + case.__name__, (case,), {"env": env, "native": "yes", "__doc__": f"{case.__doc__} Native."})


class NativeDifference(unittest.TestCase):
    """Random blocks and responses, with native support and without."""

    def test_ruby_code_and_native_support_do_the_same(self):
        if not expected("ruby").is_file():
            self.skipTest("native support is not built")
        command = ["ruby", "-w", str(LOADERS / "conformance/native_difference.rb"), str(directory("ruby"))]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, "0 of 8000 differ\n"))


if __name__ == "__main__":
    for name in KEYS:
        print(expected(name))
