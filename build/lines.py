#!/usr/bin/env python3
"""Counts lines, shipped ones and tests, for each crate and directory.

Without arguments: prints them. --write puts the shipped lines into the tables of docs/ARCHITECTURE.md, rounded.
--check fails when a table there lacks a directory or names one that does not exist, when a number is off by more than a
fifth and 100 lines, or when a Cargo.toml names a dependency that the table does not permit. A table follows a line
`<!-- lines BASE -->`: its first column has directories below BASE, its column "lines" is written, its column
"may depend on" has the permitted dependencies."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/ARCHITECTURE.md"
LANGUAGES = {".rs", ".rb", ".py", ".js", ".c"}
PERMITTED = "may depend on"
# What is below these directories is never installed.
TEST_DIRS = {"tests", "conformance", "matrix", "integration-tests", "fuzz", "build", "demo"}


def sources() -> list[Path]:
    """Every source file that git knows, relative to the repository."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    files = (Path(name) for name in listed if name)
    return [file for file in files if file.suffix in LANGUAGES and (ROOT / file).is_file()]


def test_modules(files: list[Path]) -> set[Path]:
    """The files and directories of modules that are declared with #[cfg(test)]."""
    attribute = r"#\[cfg\((?:all\()?test[^\n]*\]\s*(?:#\[[^\n]*\]\s*)*"
    declaration = re.compile(attribute + r"(?:pub(?:\([^)]*\))? )?mod (\w+);")
    found = set()
    for file in files:
        base = file.parent if file.name in ("mod.rs", "lib.rs", "main.rs") else file.with_suffix("")
        for name in declaration.findall((ROOT / file).read_text()) if file.suffix == ".rs" else ():
            found |= {base / name, base / f"{name}.rs"}
    return found


def lines_of_tests(lines: list[str]) -> int:
    """How many lines of a Rust file belong to items with #[cfg(test)]."""
    count = at = 0
    while at < len(lines):
        if not re.match(r"\s*#\[cfg\((all\()?test", lines[at]):
            at += 1
            continue
        end = at
        while lines[end].lstrip().startswith("#["):
            end += 1
        indent = lines[end][: len(lines[end]) - len(lines[end].lstrip())]
        if not lines[end].rstrip().endswith((";", "}")):
            end += 1
            while not lines[end].startswith(indent + "}"):
                end += 1
        count += end - at + 1
        at = end + 1
    return count


def count() -> dict[Path, tuple[int, int]]:
    """The lines of each file: shipped, and of tests."""
    files = sources()
    modules = test_modules(files)
    counted = {}
    for file in files:
        lines = (ROOT / file).read_text().splitlines()
        is_test = (
            bool(TEST_DIRS & set(file.parts)) or file.name == "tests.rs" or bool(modules & {file, *file.parents})
        )
        tests = len(lines) if is_test else lines_of_tests(lines) if file.suffix == ".rs" else 0
        counted[file] = (len(lines) - tests, tests)
    return counted


COUNTED = count()


def total(directory: Path) -> tuple[int, int]:
    """The lines below a directory."""
    below = [lines for file, lines in COUNTED.items() if directory in file.parents]
    return sum(shipped for shipped, _ in below), sum(tests for _, tests in below)


def crates() -> list[Path]:
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    return [Path(member) for member in manifest["workspace"]["members"]]


def of_crate(crate: Path) -> tuple[int, int]:
    """The lines of a crate, without those of a crate inside it."""
    inner = [total(other) for other in crates() if crate in other.parents]
    shipped, tests = total(crate)
    return shipped - sum(lines[0] for lines in inner), tests - sum(lines[1] for lines in inner)


def directories(base: Path) -> list[Path]:
    """The directories directly below `base` that have shipped lines."""
    depth = len(base.parts)
    below = {Path(*file.parts[: depth + 1]) for file in COUNTED if base in file.parents}
    return sorted(each for each in below if (ROOT / each).is_dir() and total(each)[0])


def show() -> None:
    def row(name: str, lines: tuple[int, int]) -> None:
        print(f"{name:40} {lines[0]:8} {lines[1]:8}")

    print(f"{'':40} {'shipped':>8} {'tests':>8}")
    for crate in crates():
        row(str(crate), of_crate(crate))
        for directory in directories(crate / "src"):
            row(f"    {directory.relative_to(crate)}", total(directory))
    row("daemon/loaders", total(Path("daemon/loaders")))
    every = COUNTED.values()
    row("all", (sum(shipped for shipped, _ in every), sum(tests for _, tests in every)))


def dependencies(crate: Path) -> set[str]:
    manifest = tomllib.loads((ROOT / crate / "Cargo.toml").read_text())
    return set(manifest.get("dependencies", {}))


class Table:
    """A table of the page: which lines of the page it occupies, and its directories."""

    def __init__(self, page: list[str], start: int, base: Path) -> None:
        self.base = base
        self.header = cells(page[start])
        end = start
        while end < len(page) and page[end].startswith("|"):
            end += 1
        self.rows = {at: cells(page[at]) for at in range(start + 2, end)}

    def directory(self, row: list[str]) -> Path:
        return self.base / row[0].strip("`/")

    def counted(self, directory: Path) -> int:
        return (of_crate(directory) if directory in crates() else total(directory))[0]

    def problems(self) -> list[str]:
        found = []
        named = {self.directory(row) for row in self.rows.values()}
        wanted = set(crates() if self.base == Path() else directories(self.base))
        found += [f"{each} has no row" for each in sorted(wanted - named)]
        for row in self.rows.values():
            directory, lines = self.directory(row), row[self.header.index("lines")]
            shipped = self.counted(directory)
            if not (ROOT / directory).is_dir():
                found.append(f"{directory} does not exist")
            elif lines != "none" and abs(int(lines.replace(",", "")) - shipped) > max(100, shipped // 5):
                found.append(f"{directory} has {shipped} lines, not {lines}")
            if PERMITTED in self.header and (ROOT / directory / "Cargo.toml").exists():
                permitted = row[self.header.index(PERMITTED)].split(", ")
                others = sorted(dependencies(directory) - set(permitted))
                found += [f"{directory} depends on {other}, which its row does not permit" for other in others]
        return found

    def write(self, page: list[str]) -> None:
        for at, row in self.rows.items():
            shipped = self.counted(self.directory(row))
            step = 50 if shipped > 100 else 10
            row[self.header.index("lines")] = f"{round(shipped / step) * step:,}" if shipped else "none"
            page[at] = f"| {' | '.join(row)} |"


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split(" | ")]


def main() -> int:
    page = PAGE.read_text().split("\n")
    begun = ((at, re.fullmatch(r"<!-- lines (\S+) -->", line)) for at, line in enumerate(page))
    tables = [Table(page, at + 1, Path(match[1])) for at, match in begun if match]
    if sys.argv[1:] == ["--write"]:
        for table in tables:
            table.write(page)
        PAGE.write_text("\n".join(page))
    elif sys.argv[1:] == ["--check"]:
        problems = [problem for table in tables for problem in table.problems()]
        for problem in problems:
            print(f"docs/ARCHITECTURE.md: {problem}")
        if problems or not tables:
            print("`make lines` writes the numbers of lines; add or remove rows by hand")
            return 1
    elif sys.argv[1:]:
        print("usage: lines.py [--write | --check]", file=sys.stderr)
        return 2
    else:
        show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
