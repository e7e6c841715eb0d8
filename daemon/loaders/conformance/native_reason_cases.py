"""Why native support is not used: what the loaders report of an object, and for which interpreters none is built."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from loader import LOADERS
from native import KEYS, OBJECT

# Loads from a directory, as nobody if root runs the tests: root can enter every directory.
LOAD = {
    "ruby": ["ruby", "-w", "-e", """
require ARGV[0]
Process::Sys.seteuid(65_534) if Process.euid.zero?
puts(FlyingPassenger::Native.load(ARGV[1]) || 'yes')
""", str(LOADERS / "ruby/flying_passenger/native")],
    "python": ["/usr/bin/python3", "-W", "error", "-c", """
import os, sys
sys.path.insert(0, sys.argv[1])
from flying_passenger.native import VARIABLE, Native
os.environ[VARIABLE] = sys.argv[2]
if os.geteuid() == 0:
    os.seteuid(65534)
print(Native().report()[len("no "):])
""", str(LOADERS / "python")],
}
# Prints an object that is not native support.
OTHER = ["/usr/bin/python3", "-c", "import _ssl; print(_ssl.__file__, end='')"]
# What the interpreters would print if they had this version.
SETTINGS = {
    "ruby": ["ruby", "-W0", "-e", "RUBY_VERSION = ARGV[1]; load(ARGV[0])"],
    "python": ["/usr/bin/python3", "-c", """
import runpy, sys
sys.version_info = tuple(int(part) for part in sys.argv[2].split("."))
runpy.run_path(sys.argv[1])
"""],
}


def printed(command):
    """What a program prints; its messages are part of it."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return done.stdout.rstrip("\n")


class NativeReasons(unittest.TestCase):
    """Each case for both languages."""

    def place(self, language):
        """A directory of objects, and the object's path in it, which does not exist yet."""
        directory = tempfile.TemporaryDirectory(prefix="fp-native.")
        self.addCleanup(directory.cleanup)
        os.chmod(directory.name, 0o755)
        place = Path(directory.name, printed(KEYS[language]))
        place.mkdir()
        return directory.name, place / OBJECT

    def test_a_missing_object_is_not_built(self):
        for language, command in LOAD.items():
            directory, path = self.place(language)
            expected = f"not built for {path.parent.name}"
            self.assertEqual(printed([*command, directory]), expected)
            path.parent.rmdir()
            self.assertEqual(printed([*command, directory]), expected)
            path.parent.write_text("")
            self.assertEqual(printed([*command, directory]), expected)

    def test_a_directory_that_cannot_be_entered_is_told(self):
        for language, command in LOAD.items():
            directory, path = self.place(language)
            path.write_text("")
            path.parent.chmod(0)
            self.addCleanup(path.parent.chmod, 0o755)
            self.assertEqual(printed([*command, directory]), f"cannot load {path}: permission denied")

    def test_the_cause_is_told_and_the_path_once(self):
        other = Path(printed(OTHER)).read_bytes()
        for language, command in LOAD.items():
            symbol = {"ruby": "^undefined symbol: ", "python": "PyInit_flying_passenger_native"}[language]
            directory, path = self.place(language)
            for contents, cause in ((b"", "^file too short$"), (b"no object" * 100, "^invalid ELF header$"), (other, symbol)):
                path.write_bytes(contents)
                reason = printed([*command, directory])
                start = f"cannot load {path}: "
                self.assertTrue(reason.startswith(start), reason)
                self.assertRegex(reason[len(start) :], cause)
                self.assertNotIn(directory, reason[len(start) :])

    def test_versions_without_support_are_refused(self):
        for language, old, oldest, name in (("ruby", "2.6.10", "2.7.0", "Ruby 2.6.10"), ("python", "3.7.16", "3.8.0", "Python 3.7")):
            script = str(LOADERS / language / "native" / ("settings.rb" if language == "ruby" else "settings.py"))
            refusal = f"refused={name} is not supported, {oldest[:3]} and newer are"
            self.assertEqual(printed([*SETTINGS[language], script, old]), refusal)
            self.assertTrue(printed([*SETTINGS[language], script, oldest]).startswith("key=" + language))
