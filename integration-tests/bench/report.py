"""The tables of bench.py: what each side costs, the ratio of each pair, and which of the targets hold."""

import statistics

from measure.ratios import ratio, verdict

ROLES = ("nginx", "middle", "supervisor", "app", "total")
SHOWN = ("nginx", "middle", "app")
PAIRS = (
    # ours, and what it is compared with
    ("ours, ruby", ("puma, 1 thread", "puma, 5 threads", "Unit, ruby")),
    ("ours, ruby with YJIT", ("puma, 5 threads, YJIT",)),
    ("ours, python", ("gunicorn", "granian", "uWSGI", "Unit, python")),
    ("ours, asgi", ("granian, ASGI", "uvicorn")),
    ("ours, node", ("node",)),
)
TARGETS = (
    # ours, role, limit, peer
    ("ours, ruby", "total", 0.6, "puma, 5 threads"),
    ("ours, ruby with YJIT", "total", 0.6, "puma, 5 threads, YJIT"),
    ("ours, python", "total", 0.95, "granian"),
    ("ours, python", "total", 0.7, "uWSGI"),
    ("ours, asgi", "total", 1.0, "granian, ASGI"),
    ("ours, asgi", "total", 0.7, "uvicorn"),
    ("ours, node", "total", 1.1, "node"),
    *((name, "middle", 1.3, "nginx + relay + nginx") for name, _ in PAIRS),
    *((name, "nginx", 1.15, "nginx + nginx") for name, _ in PAIRS),
    ("ours, ruby", "app", 1.25, "Unit, ruby"),
    ("ours, python", "app", 1.25, "Unit, python"),
    ("static file, module", "nginx", 1.1, "static file"),
)
BIG = tuple((ours, tuple(peer for peer in peers if not peer.startswith("Unit"))) for ours, peers in PAIRS)
BIG_LIMIT = 1.5
MEMORY_LIMIT, MEMORY_GROWTH = 8, 1
LABELS = {"total": "total CPU", "middle": "router CPU", "nginx": "nginx CPU", "app": "app CPU"}


def show(results, calls, big, memory, missing, how):
    """Prints everything."""
    print(how)
    for mode, sides in results.items():
        costs(mode, sides, calls if mode == "all processors" else {})
    for line in missing:
        print(line)
    print("\nRatio of each pair: median [quartiles]")
    for mode, sides in results.items():
        pairs(mode, sides)
    targets(results)
    big_targets(big)
    router_memory(*memory)


def costs(mode, sides, calls):
    """What each side costs, medians."""
    print(f"\n{mode:24}{'':24}{'CPU µs per request':^30}{'switches per request':^24}" + f"{'system calls':^21}" * bool(calls))
    heads = "".join(f"{head:>8}" for head in ("req/s", "p50 µs", "p99 µs", "nginx", "middle", "app", "total"))
    print(f"{'':24}{heads}{'':6}" + "".join(f"{role:>8}" for role in SHOWN * (1 + bool(calls))) + f"{'others':>8}")
    for side in sides.values():
        cells = [f"{median(side, figure):>8,.0f}" for figure in ("rate", "p50", "p99")]
        cells += [f"{median(side, 'cpu', role):>8.1f}" for role in (*SHOWN, "total")]
        cells += ["      "] + [f"{median(side, 'switches', role):>8.2f}" for role in SHOWN]
        if calls:
            cells += [f"{calls[side.name].get(role, 0):>8.2f}" for role in SHOWN]
        print(f"{side.name:24}" + "".join(cells) + f"{median(side, 'foreign'):>8.2f}")
    foreign = statistics.median(value for side in sides.values() for value in side.values("foreign"))
    if foreign > 0.2:
        print(f"Other processes used {foreign:.2f} processors (others): compare ratios only.")


def median(side, figure, role=None):
    """Of all turns."""
    return statistics.median(side.values(figure, role))


def between(sides, ours, peer, role):
    """The ratio of two sides, or None if one is not in the run."""
    if ours not in sides or peer not in sides:
        return None
    return ratio(sides[ours].values("cpu", role), sides[peer].values("cpu", role))


def pairs(mode, sides):
    """One row for each pair."""
    print(f"{mode:48}{'total':^22}{'nginx':^22}{'app':^22}")
    rows = [(ours, peer) for ours, peers in PAIRS for peer in peers if ours in sides and peer in sides]
    for ours, peer in rows:
        cells = [between(sides, ours, peer, role) for role in ("total", "nginx", "app")]
        print(f"  {ours:21} / {peer:22}" + "".join(f"{cell or '-'!s:>22}" for cell in cells))


def targets(results):
    """One row for each target, with a verdict for each mode."""
    print(f"\n{'Targets':72}" + "".join(f"{mode:38}" for mode in results))
    for ours, role, limit, peer in TARGETS:
        label = f"{ours.removeprefix('ours, '):20} {LABELS[role]:11} <= {limit:4} x {peer}"
        print(f"  {label:70}" + "".join(cell(between(sides, ours, peer, role), limit) for sides in results.values()).rstrip())


def cell(found, limit, at_least=False):
    """A ratio with its verdict."""
    return f"{found!s:22}  {verdict(found, limit, at_least):14}" if found else f"{'not measured':38}"


def big_targets(big):
    """Megabytes per second of responses of a mebibyte, beside the best peer of the language."""
    print(f"\n{'1 MiB responses, all processors':34}{'MB/s':>8}")
    for side in big.values():
        print(f"  {side.name:32}{median(side, 'megabytes'):>8,.0f}")
    for ours, peers in BIG:
        present = [peer for peer in peers if peer in big]
        if ours not in big or not present:
            continue
        best = max(present, key=lambda peer: median(big[peer], "megabytes"))
        found = ratio(big[ours].values("megabytes"), big[best].values("megabytes"))
        label = f"{ours.removeprefix('ours, '):20} MB/s        >= {BIG_LIMIT:4} x {best}"
        print(f"  {label:70}" + cell(found, BIG_LIMIT, at_least=True).rstrip())


def router_memory(idle, loaded):
    """PSS of the router with all apps, idle and after the load."""
    if idle is None:
        return
    holds = idle <= MEMORY_LIMIT and loaded - idle <= MEMORY_GROWTH
    print(f"\nrouter memory {idle:.1f} MiB idle, {loaded:.1f} after load; target <= {MEMORY_LIMIT}, growth <= "
          f"{MEMORY_GROWTH}: {'holds' if holds else 'DOES NOT HOLD'}")
