"""What the tests of journals share: names, an upload that is claimed and spent, what is stored."""

from __future__ import annotations

ROSTER, OTHER = b"\x01" * 32, b"\x02" * 32
MODEL, NEWER = b"\x03" * 32, b"\x04" * 32
SESSION, ANOTHER = b"\x05" * 16, b"\x06" * 16
REQUEST, ANSWER = b"\x07" * 32, b"the answer"
STEP = "masked_input"
LAST = 2**63 - 1


def upload(journal, number, model=MODEL, *, roster=ROSTER, session=SESSION, uses=None):
    journal.claim(roster, number, session)
    journal.spend(roster, number, session, model, purpose="train", uses=uses)


def contents(journal):
    return (
        [journal.last_round(roster) for roster in (ROSTER, OTHER)],
        [journal.model_used("train", model) for model in (MODEL, NEWER)],
        [journal.get(s, step) for s in (SESSION, ANOTHER) for step in "ab"],
        [journal.prekey(r, number) for r in (ROSTER, OTHER) for number in range(1, 5)],
    )
