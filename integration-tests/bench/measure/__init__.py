"""What the commands of this directory share: the stage, load, processes, ratios."""
