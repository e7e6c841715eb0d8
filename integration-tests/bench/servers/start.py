"""Starts what is compared, behind one nginx: two app processes each, unix sockets, keep-alive."""

from measure.load import run
from measure.processes import descendants
from measure.turns import Side

from servers.nginx import back_nginx, relay, static_file
from servers.others import node, puma, unit
from servers.ours import ours
from servers.peer import Missing
from servers.python import granian, gunicorn, uvicorn, uwsgi

EVERYBODY = (
    (static_file, False), (static_file, True), (back_nginx,), (relay,),
    (ours, "ruby"), (puma, 1), (puma, 5), (unit, "ruby"),
    (ours, "ruby with YJIT"), (puma, 5, True),
    (ours, "python"), (gunicorn,), (granian, "wsgi"), (uwsgi,), (unit, "python"),
    (ours, "asgi"), (granian, "asgi"), (uvicorn,),
    (ours, "node"), (node,),
)


def everybody_ready(stage, which=EVERYBODY):
    """Everything up, each with two app processes that have answered.

    Returns a list of peers, the PIDs of the nginx in front, and a line for each peer that is missing.
    """
    peers, missing = [], []
    for start, *arguments in which:
        try:
            peers.append(start(stage, *arguments))
        except Missing as error:
            missing.append(f"missing: {' '.join([start.__name__, *map(str, arguments)])}: not installed ({error})")
    master = stage.start_nginx("".join(peer.servers() for peer in peers))
    for peer in peers:
        stage.wait_for_answer(peer.url + "/")
        if peer.is_ours:
            stage.eventually(f"two processes of {peer.name}", lambda peer=peer: stage.processes_in_status(peer.root) == 2)
    return peers, descendants(master), missing


def sides_of(peers, nginx):
    """What turns are taken of, warm: the PIDs are looked up after the first load."""
    for peer in peers:
        run(peer.port, seconds=0.3)
    return [Side(peer.name, peer.port, peer.roles(nginx)) for peer in peers]
