from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import secagg
from secagg.errors import (
    SecondQuestion,
    StaleRound,
)
from secagg.protocol.journal import Entry
from secagg.protocol.sqlite_journal import SQLiteJournal
from tests.protocol.journals import (
    MODEL,
    ROSTER,
    SESSION,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def spawn(script, *arguments):
    """A Python process with a pipe to each side; its script has `journal` open on argument 1."""
    head = (
        "import sys\n"
        "from secagg.errors import *\n"
        "from secagg.protocol.sqlite_journal import SQLiteJournal\n"
        "roster, model, session = bytes([1]) * 32, bytes([3]) * 32, bytes([5]) * 16\n"
        "def say(*words): print(*words, flush=True)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(secagg.__file__).parents[1])},
    )


def test_kill_9_between_put_and_send(path):
    script = (
        "journal = SQLiteJournal(sys.argv[1], create=True)\n"
        "journal.claim(roster, 4, session)\n"
        "journal.spend(roster, 4, session, model, purpose='train')\n"
        "journal.put(session, 'unmasking', bytes([7]) * 32, b'first answer')\n"
        "say('stored')\n"
        "sys.stdin.read()\n"
        "say('sent')\n"
    )
    with spawn(script, path) as child:
        first = child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()

    assert (first, rest, child.returncode) == ("stored\n", "", -signal.SIGKILL)
    with SQLiteJournal(path) as journal:
        assert Entry(b"\x07" * 32, b"first answer") == journal.get(SESSION, "unmasking")
        with pytest.raises(SecondQuestion):
            journal.put(SESSION, "unmasking", b"\x08" * 32, b"second answer")
        with pytest.raises(StaleRound):
            journal.spend(ROSTER, 4, SESSION, MODEL, purpose="train")


@pytest.mark.parametrize("acknowledged", [1, 2, 5, 9, 14])
def test_kill_9_while_writing_keeps_all_that_was_acknowledged(path, acknowledged):
    script = (
        "journal = SQLiteJournal(sys.argv[1], create=True)\n"
        "for number in range(1, 10**9):\n"
        "    journal.claim(roster, number, session)\n"
        "    journal.put(session, str(number), bytes(32), number.to_bytes(4, 'big') * 5000)\n"
        "    say(number)\n"
    )
    with spawn(script, path) as child:
        for _ in range(acknowledged):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        told = acknowledged + len(child.stdout.read().splitlines())
    with SQLiteJournal(path) as journal:
        last = journal.last_round(ROSTER)

        assert last in {told, told + 1}
        for number in range(1, last + 2):
            entry = journal.get(SESSION, str(number))
            whole = Entry(bytes(32), number.to_bytes(4, "big") * 5000)

            assert entry in ({whole} if number <= told else {whole, None})
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_processes_race_for_rounds_and_answers(path):
    # Each round and each step must have exactly one winner.
    SQLiteJournal(path, create=True).close()
    script = (
        "sys.stdin.readline()\n"
        "journal = SQLiteJournal(sys.argv[1])\n"
        "for number in range(1, 41):\n"
        "    try: journal.claim(roster, number, sys.argv[2].encode()); say('round', number)\n"
        "    except StaleRound: pass\n"
        "    answer = sys.argv[2].encode()\n"
        "    try: journal.put(session, str(number), b'', answer); say('step', number)\n"
        "    except SecondQuestion: pass\n"
    )
    children = [spawn(script, path, name) for name in "AB"]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    won = [child.communicate(timeout=60)[0].splitlines() for child in children]

    assert [child.returncode for child in children] == [0, 0]
    rounds = [line for line in won[0] + won[1] if line.startswith("round")]
    steps = sorted(line for line in won[0] + won[1] if line.startswith("step"))
    # a process that lags loses rounds below the other's last one, but never two win the same
    assert len(set(rounds)) == len(rounds)
    assert sorted(f"step {number}" for number in range(1, 41)) == steps
    with SQLiteJournal(path) as journal:
        assert journal.last_round(ROSTER) == 40
        for number in range(1, 41):
            owner = "A" if f"step {number}" in won[0] else "B"
            assert Entry(b"", owner.encode()) == journal.get(SESSION, str(number))
