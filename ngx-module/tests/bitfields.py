#!/usr/bin/env python3
"""Proves that our bindings place every bit-field of nginx where the C compiler does.

    usage: bitfields.py path/to/bindings.rs      (written by build.rs, below $CARGO_TARGET_DIR)

Needs gcc, rustc, and NGINX_SOURCE_DIR and NGINX_BUILD_DIR as for the build. Two programs are made, one in C and one in
Rust: each fills a field of a zeroed structure with ones and prints which bits changed. Both must print the same.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile

FIELD = re.compile(r"^    pub fn set_(\w+)\(&mut self, val: (.+)\) \{$", re.MULTILINE)
BLOCK = re.compile(r"^impl (ngx_\w+) \{\n(.*?)^\}$", re.MULTILINE | re.DOTALL)
INCLUDES = ("core", "event", "event/modules", "event/quic", "os/unix", "http", "http/modules", "http/v2", "http/v3")

C_HEAD = """
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <stdio.h>
static void show(const char *what, const void *at, size_t size) {
    const unsigned char *byte = at;
    printf("%s", what);
    for (size_t i = 0; i < size * 8; i++) { if (byte[i / 8] & (1 << i % 8)) { printf(" %zu", i); } }
    printf("\\n");
}
int main(void) {
"""
C_FIELD = '{{ {type} x; memset(&x, 0, sizeof x); x.{field} = -1; show("{name}.{field}", &x, sizeof x); }}\n'

RUST_HEAD = """
#![allow(warnings)]
include!("{bindings}");
fn show<T>(what: &str, value: &T) {{
    let size = size_of::<T>();
    let bytes = unsafe {{ std::slice::from_raw_parts((value as *const T).cast::<u8>(), size) }};
    print!("{{what}}");
    for i in 0..size * 8 {{ if bytes[i / 8] & (1 << (i % 8)) != 0 {{ print!(" {{i}}"); }} }}
    println!();
}}
"""
RUST_FIELD = (
    'fn f{number}() {{ unsafe {{ let mut x: {name} = std::mem::zeroed(); '
    'x.set_{binding}(!0); show("{name}.{field}", &x); }} }}\n'
)


def fields(bindings):
    """Every bit-field: structure, name in C, name in Rust."""
    for block in BLOCK.finditer(bindings):
        for found in FIELD.finditer(block.group(2)):
            binding = found.group(1)
            # bindgen appends an underscore to what is a keyword of Rust.
            yield block.group(1), binding.removesuffix("_"), binding


def output(command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def main():
    path = os.path.abspath(sys.argv[1])
    source, build = os.environ["NGINX_SOURCE_DIR"], os.environ["NGINX_BUILD_DIR"]
    with open(path, encoding="utf-8") as file:
        found = list(fields(file.read()))
    assert len(found) > 100, f"only {len(found)} bit-fields in {path}"

    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/c.c", "w", encoding="utf-8") as out:
            out.write(C_HEAD)
            for name, field, _ in found:
                kind = f"struct {name}" if name.endswith("_s") else name
                out.write(C_FIELD.format(type=kind, field=field, name=name))
            out.write("return 0; }\n")
        with open(f"{work}/r.rs", "w", encoding="utf-8") as out:
            out.write(RUST_HEAD.format(bindings=path))
            for number, (name, field, binding) in enumerate(found):
                out.write(RUST_FIELD.format(number=number, name=name, field=field, binding=binding))
            calls = " ".join(f"f{number}();" for number in range(len(found)))
            out.write(f"fn main() {{ {calls} }}\n")
        includes = [f"-I{source}/src/{part}" for part in INCLUDES] + [f"-I{build}"]
        output(["gcc", "-w", *includes, "-o", f"{work}/c", f"{work}/c.c"])
        output(["rustc", "--edition", "2024", "-o", f"{work}/r", f"{work}/r.rs"])
        ours, theirs = output([f"{work}/r"]).splitlines(), output([f"{work}/c"]).splitlines()

    differences = list(difflib.unified_diff(theirs, ours, "C", "Rust", lineterm="", n=0))
    print("\n".join(differences))
    failed = sum(one != other for one, other in zip(ours, theirs))
    print(f"{len(found) - failed} passed, {failed} failed")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
