"""The table, and which of the targets hold. Every figure comes from the same run."""

import statistics

COLUMNS = (
    # heading, width, cell
    ("req/s", 8, lambda s: f"{s.median('rate'):,.0f}"),
    ("p50 µs", 8, lambda s: f"{s.median('p50'):,.0f}"),
    ("p99 µs", 8, lambda s: f"{s.median('p99'):,.0f}"),
    ("nginx", 8, lambda s: f"{s.median('nginx'):.1f}"),
    ("middle", 7, lambda s: f"{s.median('middle'):.1f}"),
    ("app", 7, lambda s: f"{s.median('app'):.1f}"),
    ("total", 7, lambda s: f"{s.median('total'):.1f}"),
    ("1 MiB MB/s", 11, lambda s: f"{s.median('big'):,.0f}" if s.median("big") else "-"),
    ("nginx", 8, lambda s: f"{s.memory['nginx']:.1f}"),
    ("middle", 7, lambda s: f"{s.memory['middle']:.1f}"),
    ("app", 7, lambda s: f"{s.memory['app']:.1f}"),
    ("failed", 7, lambda s: str(s.failed)),
)


def show(everybody, connections, seconds, rounds):
    """Prints everything."""
    print(f"wrk -t1 -c{connections}, {rounds} interleaved rounds of {seconds} s, medians; 1 nginx worker, 2 app processes each")
    print(f"{'':24}{'':24}{'CPU µs per request by role':^29}{'':11}{'memory by role, PSS MiB':^22}")
    print(f"{'':24}" + "".join(f"{heading:>{width}}" for heading, width, _ in COLUMNS))
    for samples in everybody.values():
        print(f"{samples.name:24}" + "".join(f"{cell(samples):>{width}}" for _, width, cell in COLUMNS))
    foreign = [share for samples in everybody.values() for share in samples.figures["foreign"]]
    print(f"\nTaken by other processes meanwhile: {statistics.median(foreign):.2f} processors (most: {max(foreign):.2f}).")
    if statistics.median(foreign) > 0.2:
        print("The machine was not quiet: CPU per request is comparable still, requests/s and latencies are not.")
    print("\nTargets (between two runs on a small virtual machine, differences under 15 % are none)")
    for line in targets(everybody):
        print("  " + line)


def targets(everybody):
    """One line for each target whose peers are in the run."""
    def best(what, *names):
        found = [(everybody[name].median(what), name) for name in names if name in everybody]
        return (min if what == "total" else max)(found, default=None)

    for language, limit, *others in (
        ("ruby", 0.6, "puma, 1 thread", "puma, 5 threads"), ("python", 0.95, "granian"), ("python", 0.7, "uWSGI"),
        ("node", 1.25, "node"),
    ):
        yield compare(everybody, language, "total", limit, best("total", *others), "total CPU")
    for language in ("ruby", "python", "node"):
        yield compare(everybody, language, "middle", 1.3, peer(everybody, "middle", "nginx + relay + nginx"), "router CPU")
    for language in ("ruby", "python", "node"):
        yield compare(everybody, language, "nginx", 1.2, peer(everybody, "nginx", "nginx + nginx"), "nginx CPU")
    for language, *others in (
        ("ruby", "puma, 1 thread", "puma, 5 threads"), ("python", "gunicorn", "granian", "uWSGI"), ("node", "node"),
    ):
        yield compare(everybody, language, "big", 1, best("big", *others), "1 MiB body MB/s", at_least=True)
    for language in ("ruby", "python", "node"):
        yield router_memory(everybody, language)


def peer(everybody, what, name):
    """A figure of one peer, if it is there."""
    return (everybody[name].median(what), name) if name in everybody else None


def compare(everybody, language, what, limit, other, label, at_least=False):
    """One ratio against its limit."""
    samples = everybody.get(f"ours, {language}")
    if samples is None or other is None:
        return f"  ?    {language:6} {label}: not measured in this run"
    figure, name = other
    ratio = samples.median(what) / figure
    holds = ratio >= limit if at_least else ratio <= limit
    sign = ">=" if at_least else "<="
    return f"{verdict(holds)} {language:6} {label:16} {ratio:5.2f} x {name:22} (target {sign} {limit}: {samples.median(what):,.1f} and {figure:,.1f})"


def router_memory(everybody, language, limit=8, growth=1):
    """Idle memory of the router process, and its growth under load."""
    samples = everybody.get(f"ours, {language}")
    if samples is None:
        return f"  ?    {language:6} router memory: not measured in this run"
    idle, loaded = samples.idle_memory["router"], samples.memory["router"]
    holds = idle <= limit and loaded - idle <= growth
    return f"{verdict(holds)} {language:6} router memory    {idle:.1f} MiB idle, {loaded:.1f} after load (target <= {limit}, growth <= {growth})"


def verdict(holds):
    """A word that stands out."""
    return "holds " if holds else "MISSED"
