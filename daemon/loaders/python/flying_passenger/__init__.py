"""The daemon's side of a Python app process. Standard library only."""
