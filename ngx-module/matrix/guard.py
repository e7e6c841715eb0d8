#!/usr/bin/env python3
"""Proves that the module refuses an nginx whose structures differ from those it was built for.

    usage: guard.py NAME...        nginxes of the matrix for which `run.py` has built the module

One nginx is built again with each of a few changes, as a distribution could patch it: version and signature stay, so
nginx itself lets the module in. `nginx -t` has to fail with the guard's sentence, not with a signal.
"""

import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

import place

# It is built with --with-debug: then nginx reads more fields, so it could crash in more ways.
PATCHED = "1.28"
SENTENCE = "the passenger module was built for a different nginx: the layout of {} differs"


@dataclasses.dataclass
class Change:
    """Lines added to one of nginx's headers, in front of a line or behind it."""

    name: str
    structure: str
    header: str
    line: str
    added: str

    def text(self, header):
        assert header.count(self.line) == 1, f"{self.line.strip()} is {header.count(self.line)} times in {self.header}"
        return header.replace(self.line, self.added + self.line)


REQUEST = "src/http/ngx_http_request.h"
CONNECTION = "src/core/ngx_connection.h"
CHANGES = (
    Change("field in the front half of headers_in", "ngx_http_headers_in_t", REQUEST,
           "    ngx_table_elt_t                  *user_agent;\n", "    ngx_table_elt_t  *added;\n"),
    Change("bit before reusable", "ngx_connection_t", CONNECTION,
           "    unsigned            reusable:1;\n", "    unsigned  added:1;\n"),
    Change("pointer before the connection's log", "ngx_connection_t", CONNECTION,
           "    ngx_log_t          *log;\n\n    ngx_pool_t         *pool;\n", "    void  *added;\n"),
    Change("pointer before the request's args", "ngx_http_request_t", REQUEST,
           "    ngx_str_t                         args;\n", "    void  *added;\n"),
    Change("pointer behind the request's args", "ngx_http_request_t", REQUEST,
           "    ngx_http_request_t               *main;\n", "    void  *added;\n"),
    Change("bit in the middle of the request's flags", "ngx_http_request_t", REQUEST,
           "    unsigned                          limit_rate_set:1;\n", "    unsigned  added:1;\n"),
    # The guard itself goes by this structure, to nginx's list of variables.
    Change("field in the core's configuration", "ngx_http_core_main_conf_t", "src/http/ngx_http_core_module.h",
           "    ngx_uint_t                 ncaptures;\n", "    void  *added;\n"),
)


def version(nginx):
    """What it says of itself, such as 1.28.3."""
    output = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"^nginx version: [^/]*/([0-9.]+)", output, re.MULTILINE)
    assert found, output
    return found.group(1)


def concerns(built):
    """Whether any of these is one that the guard is tested with."""
    return PATCHED in built or {"debian", "1.22.1"} <= set(built)


def patched_nginx(change):
    """The binary built with a change. One tree serves all: what a change does not reach is not compiled again."""
    digest = hashlib.sha256(repr(change).encode()).hexdigest()[:8]
    binary = place.of(PATCHED, f"patched/nginx-{digest}")
    if os.path.exists(binary):
        return binary
    tree = place.of(PATCHED, "patched/source")
    if not os.path.exists(tree):
        shutil.copytree(place.of(PATCHED, "source"), tree, symlinks=True)
    for header in {change.header for change in CHANGES}:
        text = read(place.of(PATCHED, f"source/{header}"))
        text = change.text(text) if header == change.header else text
        if text != read(f"{tree}/{header}"):
            write(f"{tree}/{header}", text)
    command = ["make", "-C", tree, "-f", "objs/Makefile", "-j2", "binary"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.copy(f"{tree}/objs/nginx", binary)
    return binary


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def check_configuration(nginx, module):
    """`nginx -t` with the module loaded: its exit status, negative for a signal, and what it output. The configuration takes
    over two of the variables that the guard looks at."""
    with tempfile.TemporaryDirectory(prefix="passenger-guard-") as prefix:
        paths = "".join(f"{kind}_temp_path temp;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        maps = "map $host $args { default a; } map $host $limit_rate { default 1; }"
        http = f"access_log off; {paths} {maps}"
        write(f"{prefix}/nginx.conf", f"load_module {module}; pid nginx.pid; events {{}}\nhttp {{ {http} }}\n")
        command = [nginx, "-p", prefix, "-c", f"{prefix}/nginx.conf", "-e", "stderr", "-t"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr


def accepts(nginx, name):
    status, output = check_configuration(nginx, place.module(name))
    assert status == 0, f"exit status {status}: {output}"


def refuses(nginx, name, structure):
    status, output = check_configuration(nginx, place.module(name))
    assert status == 1, f"exit status {status}: {output}"
    assert SENTENCE.format(structure) in output, output


def cases(built):
    """Names and what is done under them."""
    if PATCHED in built:
        yield "unchanged", lambda: accepts(place.of(PATCHED, "nginx"), PATCHED)
        for change in CHANGES:
            yield change.name, lambda change=change: refuses(patched_nginx(change), PATCHED, change.structure)
    if {"debian", "1.22.1"} <= set(built) and version(place.of("debian", "nginx")) == "1.22.1":
        # Debian's bug-973861.patch adds a bit in the middle of a connection's flags.
        yield "upstream's 1.22.1 in Debian's", lambda: refuses(place.of("debian", "nginx"), "1.22.1", "ngx_connection_t")
        yield "Debian's 1.22.1 in upstream's", lambda: refuses(place.of("1.22.1", "nginx"), "debian", "ngx_connection_t")


def main():
    passed = failed = 0
    for name, case in cases(sys.argv[1:]):
        try:
            case()
        except AssertionError as failure:
            failed += 1
            print("FAILED", name, failure, flush=True)
        else:
            passed += 1
            print("ok", name, flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
