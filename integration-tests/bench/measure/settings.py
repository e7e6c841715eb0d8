"""How long measurements take: the variables that all commands read."""

import os

# Of one turn, and how many turns each side gets.
SECONDS = float(os.environ.get("BENCH_SECONDS", "0.5"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "10"))
CONNECTIONS = 16
# The one processor of runs that are pinned to one.
PROCESSOR = int(os.environ.get("BENCH_PROCESSOR", "0"))
