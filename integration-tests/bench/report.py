"""The table, and which of the targets hold. Every figure but those marked as recorded comes from the same run."""

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
    ("1 MiB MB/s", 11, lambda s: f"{s.median('big'):,.0f}"),
    ("nginx", 8, lambda s: f"{s.memory['nginx']:.1f}"),
    ("middle", 7, lambda s: f"{s.memory['middle']:.1f}"),
    ("app", 7, lambda s: f"{s.memory['app']:.1f}"),
    ("failed", 7, lambda s: str(s.failed)),
    ("others", 7, lambda s: f"{s.median('foreign'):.2f}"),
)
# CPU µs per request on another day, a machine of the same kind and the same apps, of peers that neither Debian nor PyPI
# installs: Phusion Passenger 6.0.24 (nginx module and agent) in total, NGINX Unit 1.35.0's app processes. As machines
# and days differ, a recorded figure is multiplied by what `nginx + nginx` costs in this run and divided by what it did.
RECORDED_NGINX_NGINX = 34.9
RECORDED_PASSENGER = {"ruby": 370.2, "python": 387.5, "node": 437.0}
RECORDED_UNIT_APP = {"ruby": 26.6, "python": 20.8}
LANGUAGES = ("ruby", "python", "node")


def show(everybody, missing, how):
    """Prints everything."""
    print(f"{how}; 1 nginx worker, 2 app processes each")
    print(f"{'':24}{'':24}{'CPU µs per request by role':^29}{'':11}{'memory by role, PSS MiB':^22}")
    print(f"{'':24}" + "".join(f"{heading:>{width}}" for heading, width, _ in COLUMNS))
    for samples in everybody.values():
        print(f"{samples.name:24}" + "".join(f"{cell(samples):>{width}}" for _, width, cell in COLUMNS))
    for line in missing:
        print(line)
    foreign = [share for samples in everybody.values() for share in samples.figures["foreign"]]
    print(f"\nothers: processors that other processes took meanwhile; {statistics.median(foreign):.2f} (most: {max(foreign):.2f}).")
    if statistics.median(foreign) > 0.2:
        print("The machine was not quiet: do not compare requests/s and latencies; CPU per request is inflated too.")
    print("\nTargets (between two runs on a small virtual machine, differences under 15 % are none)")
    for line in targets(everybody):
        print("  " + line)


def targets(everybody):
    """One line for each target."""

    def best(what, *names):
        return _best(everybody, what, names)

    def recorded(figure, name):
        return _recorded(everybody, figure, name)

    for language in LANGUAGES:
        yield compare(everybody, language, "total", 0.25, recorded(RECORDED_PASSENGER[language], "Passenger"))
    yield compare(everybody, "ruby", "total", 0.6, best("total", "puma, 1 thread", "puma, 5 threads"))
    yield compare(everybody, "python", "total", 0.95, best("total", "granian"))
    yield compare(everybody, "python", "total", 0.7, best("total", "uWSGI"))
    yield compare(everybody, "node", "total", 1.25, best("total", "node"))
    for language in LANGUAGES:
        yield compare(everybody, language, "middle", 1.3, best("middle", "nginx + relay + nginx"))
    for language, figure in RECORDED_UNIT_APP.items():
        yield compare(everybody, language, "app", 1.25, recorded(figure, "Unit's app"))
    for language in LANGUAGES:
        yield compare(everybody, language, "nginx", 1.2, best("nginx", "nginx + nginx"))
    yield compare(everybody, "ruby", "big", 1, best("big", "puma, 1 thread", "puma, 5 threads"))
    yield compare(everybody, "python", "big", 1, best("big", "gunicorn", "granian", "uWSGI"))
    yield compare(everybody, "node", "big", 1, best("big", "node"))
    yield router_memory(everybody)
    yield unused_module(everybody)


def _best(everybody, what, names):
    """The peer that does best, and its figure; none if none is in the run."""
    found = [(everybody[name].median(what), name) for name in names if name in everybody]
    return (max if what == "big" else min)(found, default=None)


def _recorded(everybody, figure, name):
    if "nginx + nginx" not in everybody:
        return None
    return figure * everybody["nginx + nginx"].median("total") / RECORDED_NGINX_NGINX, f"{name} (recorded)"


LABELS = {"total": "total CPU", "middle": "router CPU", "app": "app CPU", "nginx": "nginx CPU", "big": "1 MiB, MB/s"}


def compare(everybody, language, what, limit, other):
    """One ratio against its limit."""
    samples, label = everybody.get(f"ours, {language}"), f"{language:7}{LABELS[what]:12}"
    if samples is None or other is None:
        return f"not measured    {label}"
    figure, name = other
    ratio = samples.median(what) / figure
    holds, sign = (ratio >= limit, ">=") if what == "big" else (ratio <= limit, "<=")
    return (
        f"{verdict(holds)}{label}{ratio:5.2f} x {name:25} target {sign} {limit:<4} "
        f"({samples.median(what):,.1f} and {figure:,.1f})"
    )


def unused_module(everybody, limit=1.1):
    """What a static file costs with the module loaded, by what it costs without."""
    if "static file" not in everybody:
        return "not measured    static file"
    without, loaded = (everybody[name].median("nginx") for name in ("static file", "static file, module"))
    return (
        f"{verdict(loaded <= limit * without)}static file, nginx {loaded / without:.2f} x without the module"
        f"{'':7} target <= {limit} ({loaded:.1f} and {without:.1f})"
    )


def router_memory(everybody, limit=8, growth=1):
    """Idle memory of the router with three apps, and its growth under load."""
    ours = [everybody[f"ours, {language}"] for language in LANGUAGES if f"ours, {language}" in everybody]
    if not ours:
        return "not measured    router memory"
    idle, loaded = ours[0].idle_memory["router"], max(samples.memory["router"] for samples in ours)
    holds = idle <= limit and loaded - idle <= growth
    return (
        f"{verdict(holds)}router memory      {idle:.1f} MiB idle, {loaded:.1f} after load"
        f"{'':6} target <= {limit}, growth <= {growth}"
    )


def verdict(holds):
    """Words that stand out."""
    return "holds           " if holds else "DOES NOT HOLD   "
