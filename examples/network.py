"""An orchestrator and four gateways, each a process, one killed: `python -m examples.network`."""

import os
from multiprocessing import connection, get_context
from typing import Any

import numpy as np

import secagg

IDS, SPAWN, LATE = ("g0", "g1", "g2", "g3"), get_context("spawn"), 30.0  # seconds without a frame
AVERAGE, MODEL = secagg.SecureAverage(clip=1.0, max_weight=40), {"w": np.zeros(3)}


def gateway(name: str, pipe: Any) -> None:
    """A site in one round. Where its process may start again, it keeps a SQLiteJournal."""
    identity = secagg.Identity(name, os.urandom(32))  # 32 bytes to keep, and to show to nobody
    pipe.send_bytes(identity.key.public)
    roster, policy = secagg.load_roster(pipe.recv_bytes()), AVERAGE.policy(MODEL, len(IDS))
    session = secagg.ClientSession(identity, roster, policy, secagg.MemoryJournal())
    while True:
        for event in session.receive(pipe.recv_bytes()):
            if isinstance(event, secagg.Send):
                pipe.send_bytes(event.frame)
            elif isinstance(event, secagg.UpdateDue):
                if name == "g3":  # its shares are dealt: the others take off its masks
                    os.kill(os.getpid(), 9)
                update = {"w": MODEL["w"] + IDS.index(name) / 10}  # train here
                for upload in session.upload(update, weight=40, base=MODEL):
                    pipe.send_bytes(upload.frame)
            else:  # Completed, or Aborted and why
                print(name, event)
                return


def main() -> None:
    """Play the orchestrator, and print the mean."""
    pipes: dict[Any, Any] = {}
    for name in IDS:
        pipes[name], theirs = SPAWN.Pipe()
        SPAWN.Process(target=gateway, args=(name, theirs)).start()
        theirs.close()  # the gateway has it, and the pipe ends with the gateway
    identity = secagg.Identity("orchestrator", os.urandom(32))
    members = [secagg.Member(name, pipe.recv_bytes()) for name, pipe in pipes.items()]
    roster = secagg.Roster(1, identity.key.public, tuple(members))
    for pipe in pipes.values():
        pipe.send_bytes(secagg.dump_roster(roster))
    server = secagg.ServerSession(AVERAGE.params(IDS, MODEL, round=1, base=MODEL), roster, identity)
    events = list(server.start())
    while True:
        for event in events:
            if isinstance(event, secagg.Send):
                pipes[event.to].send_bytes(event.frame)
            else:
                print(event)
        if server.phase in {"done", "aborted"}:
            break
        owing = {pipes[name]: name for name in server.waiting_for if name in pipes}
        ready: Any = connection.wait(owing, LATE) if owing else []
        events = [] if ready else list(server.advance())
        for pipe in ready:
            try:
                events += server.receive(owing[pipe], pipe.recv_bytes(), vouched=True)
            except (EOFError, OSError):
                del pipes[owing[pipe]]
    print(server.result.mean(MODEL, MODEL)["w"].round(4), "of", server.result.included)


if __name__ == "__main__":
    main()
