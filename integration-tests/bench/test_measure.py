#!/usr/bin/env python3
"""Tests of the load generator, of the statistics and verdicts, and of docs/PERFORMANCE.md's commands and blocks. `make check` runs them."""

import asyncio
import re
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import record
import report
from measure.build import MODULE, ROOT, NoBuild, build_in
from measure.load import parse, run
from measure.ratios import FAILS, HOLDS, UNDECIDED, Spread, difference, ratio, rotated, spread, verdict

PAGES = (ROOT / "docs/PERFORMANCE.md", ROOT / "docs/TESTING.md", ROOT / "integration-tests/bench/README.md")
WRK = """
  Latency Distribution
     50%  162.00us
     75%    1.10ms
     99%    2.00s
  120 requests in 1.01s, 1.00MB read
  Socket errors: connect 1, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 4
"""


class Ratios(unittest.TestCase):
    """measure/ratios.py"""

    def test_quartiles_of_ten_values(self):
        self.assertEqual(spread(range(1, 11)), Spread(3.25, 5.5, 7.75))

    def test_a_single_value_is_its_own_quartiles(self):
        self.assertEqual(spread([2]), Spread(2, 2, 2))

    def test_ratios_are_of_the_same_round(self):
        # The machine is ten times as slow in the second round: the ratio is the same.
        self.assertEqual(ratio([10, 100], [20, 200]).median, 0.5)
        self.assertEqual(ratio([10, 100], [20, 200]).low, 0.5)

    def test_nothing_to_divide_by_is_no_ratio(self):
        self.assertIsNone(ratio([1, 1], [1, 0]))
        self.assertIsNone(ratio([], []))

    def test_sides_with_different_rounds_are_refused(self):
        with self.assertRaises(ValueError):
            ratio([1, 2], [1])

    def test_a_verdict_needs_both_quartiles(self):
        self.assertEqual(verdict(Spread(0.4, 0.5, 0.6), 0.6), HOLDS)
        self.assertEqual(verdict(Spread(0.5, 0.55, 0.61), 0.6), UNDECIDED)
        self.assertEqual(verdict(Spread(0.59, 0.7, 0.8), 0.6), UNDECIDED)
        self.assertEqual(verdict(Spread(0.61, 0.7, 0.8), 0.6), FAILS)

    def test_a_target_can_be_a_minimum(self):
        self.assertEqual(verdict(Spread(1.5, 1.6, 1.7), 1.5, at_least=True), HOLDS)
        self.assertEqual(verdict(Spread(1.4, 1.6, 1.7), 1.5, at_least=True), UNDECIDED)
        self.assertEqual(verdict(Spread(1.2, 1.3, 1.4), 1.5, at_least=True), FAILS)

    def test_equal_builds_do_not_differ(self):
        self.assertEqual(difference(Spread(1.0, 1.0, 1.0)), "no difference")
        self.assertEqual(difference(Spread(1.005, 1.006, 1.007)), "no difference")
        self.assertEqual(difference(Spread(0.9, 1.1, 1.2)), "no difference")
        self.assertEqual(difference(Spread(1.02, 1.1, 1.2)), "dearer")
        self.assertEqual(difference(Spread(0.8, 0.9, 0.95)), "cheaper")

    def test_each_side_is_first_once(self):
        self.assertEqual([rotated("abc", number)[0] for number in range(4)], ["a", "b", "c", "a"])
        self.assertEqual(sorted(rotated("abc", 5)), ["a", "b", "c"])


class Reading(unittest.TestCase):
    """What programs print."""

    def test_wrk(self):
        load = parse(WRK)
        self.assertEqual((load.requests, load.seconds, load.failed, load.p50, load.p99), (120, 1.01, 10, 162, 2e6))


class Server:
    """Answers on any number of connections, one request at a time; `misbehave` is called with the number of each request."""

    def __init__(self, misbehave):
        self.misbehave, self.count = misbehave, 0
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.run(),))

    def __enter__(self):
        self.thread.start()
        self.ready.wait()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()
        self.loop.close()

    async def run(self):
        self.over = asyncio.Event()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.over.wait()
        server.close()

    async def serve(self, reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.count += 1
                writer.write(self.misbehave(self.count) or b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


class Load(unittest.TestCase):
    """load/load.c"""

    def test_a_stalled_server_does_not_stall_the_measurement(self):
        # One answer in 300 takes half a second: in an open loop every request that was due meanwhile waits, too.
        def stall(number):
            if number == 50:
                time.sleep(0.5)

        with Server(stall) as server:
            load = run(server.port, connections=4, seconds=1.5, rate=200)
        self.assertEqual((load.requests, load.failed), (300, 0))
        self.assertGreater(load.p99, 400_000)
        self.assertGreater(load.max, 490_000)

    def test_the_closed_loop_waits_for_the_server(self):
        with Server(lambda number: None) as server:
            load = run(server.port, connections=4, seconds=0.3)
            ramped = run(server.port, connections=4, seconds=0.3, ramp=True)
        for one in (load, ramped):
            self.assertGreater(one.requests, 20)
            self.assertEqual(one.failed, 0)
            self.assertGreaterEqual(one.seconds, 0.3)

    def test_refusals_and_lost_connections_are_failures(self):
        def refuse(number):
            return b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno" if number > 8 and number % 2 else None

        with Server(refuse) as server:
            load = run(server.port, connections=2, seconds=0.2, rate=100)
        self.assertAlmostEqual(load.failed, 10, delta=5)
        with Server(lambda number: b"not HTTP\r\n\r\n" if number > 8 else None) as server:
            load = run(server.port, connections=2, seconds=0.2, rate=100)
        self.assertGreater(load.failed, 5)

    def test_a_body_that_comes_in_parts_is_read_to_its_end(self):
        body = b"x" * 300_000
        with Server(lambda number: b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body) as server:
            load = run(server.port, connections=2, seconds=0.3)
        self.assertEqual(load.failed, 0)
        self.assertGreater(load.bytes, 300_000 * load.requests)


class Builds(unittest.TestCase):
    """measure/build.py"""

    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def make(self, *names):
        for name in names:
            path = self.dir / name
            if name.endswith("loaders"):
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("")

    def test_a_checkout_and_its_release_directory(self):
        self.make("target/release/flying-passenger", f"target/release/{MODULE}", "daemon/loaders")
        for named in (self.dir, self.dir / "target/release"):
            self.assertEqual(build_in(named).loaders, (self.dir / "daemon/loaders").resolve())

    def test_a_directory_that_has_everything(self):
        self.make("flying-passenger", "ngx_http_passenger_module.so", "loaders")
        self.assertEqual(build_in(self.dir).module.name, "ngx_http_passenger_module.so")

    def test_what_is_missing_is_named(self):
        with self.assertRaisesRegex(NoBuild, "has no flying-passenger"):
            build_in(self.dir)
        self.make("flying-passenger")
        with self.assertRaisesRegex(NoBuild, MODULE):
            build_in(self.dir)
        self.make(MODULE)
        with self.assertRaisesRegex(NoBuild, "loaders"):
            build_in(self.dir)


class Page(unittest.TestCase):
    """docs/PERFORMANCE.md"""

    def test_its_commands_exist(self):
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        for page in PAGES:
            named = set(re.findall(r"make (bench[a-z-]*)", page.read_text(encoding="utf-8")))
            self.assertTrue(named, page)
            self.assertLessEqual(named, targets, page)

    def test_its_blocks_can_be_written(self):
        text = record.PAGE.read_text(encoding="utf-8")
        names = record.blocks(text)
        self.assertLessEqual(set(record.USUAL), set(names))
        for name in names:
            self.assertTrue(name == "machine" or name in record.PROGRAMS, name)
            self.assertIn(f"<!-- bench:{name} -->\nnew\n<!-- end -->", record.replaced(text, name, "new"))

    def test_other_blocks_stay_as_they_are(self):
        text = "<!-- bench:a -->\n1\n<!-- end -->\n<!-- bench:b -->\n\\2\n<!-- end -->\n"
        self.assertEqual(record.replaced(text, "a", "\\1"), text.replace("\n1\n", "\n\\1\n"))
        with self.assertRaises(KeyError):
            record.replaced(text, "c", "")

    def test_its_table_has_every_target(self):
        text = record.PAGE.read_text(encoding="utf-8")
        for *_, limit, _ in report.TARGETS:
            self.assertIn(str(limit), text)
        self.assertIn(str(report.BIG_LIMIT), text)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=0))
