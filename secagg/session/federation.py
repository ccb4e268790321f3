"""Keeps what an orchestrator must remember between rounds; all of it is public, in one file."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from secagg.arguments import check_fields, checked
from secagg.crypto.signing import verify
from secagg.errors import ConfigurationError
from secagg.files import write
from secagg.params import MAX_ROUND, GatewayId, Struct
from secagg.protocol.audit_file import dump, load
from secagg.protocol.identity import Cohort, Roster
from secagg.protocol.messages import Signed
from secagg.protocol.prekeys import open_prekey
from secagg.session.server import ServerSession, Setup

FEDERATION: Final = "secagg federation"


class Ahead(Struct, frozen=True):
    """The signed one-time key that a gateway has sent ahead for the next round."""

    gateway: GatewayId
    prekey: Signed

    def __post_init__(self) -> None:
        check_fields(self)


class Federation(Struct, frozen=True):
    """A roster and where its rounds stand.

    It has no place for a secret: identities and journals are kept elsewhere, each by its owner.
    A round takes its number, roster and setup from here, and gives back what follows::

        settings = SessionSettings.of(..., number=federation.next_round)
        session = ServerSession(settings, federation.roster, identity, setup=federation.setup)
        ...
        federation = federation.after(session)
        federation.save(path)  # and after a restart Federation.load(path.read_bytes())

    Attributes:
        roster: the pinned roster, with its epoch.
        round: number of the last round, 0 before the first.
        ahead: one-time keys for the next round, in the order of the roster.

    Raises:
        ConfigurationError: a negative round, keys of strangers, twice, or in another order, values
            of other types.
    """

    roster: Roster
    round: int = 0
    ahead: tuple[Ahead, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 <= self.round <= MAX_ROUND:
            raise ConfigurationError(f"round is {self.round}: rounds are counted from 1")
        names = {each.gateway for each in self.ahead}
        members = [member.id for member in self.roster.members if member.id in names]
        if members != [each.gateway for each in self.ahead]:
            raise ConfigurationError("ahead names members of the roster, each once, in its order")

    def __repr__(self) -> str:
        return f"Federation({self.roster!r}, round {self.round})"

    @property
    def next_round(self) -> int:
        """Number of the next round, for its `SessionSettings`."""
        return self.round + 1

    @property
    def setup(self) -> Setup:
        """What the `ServerSession` of the next round takes: who is in it is not asked for a key."""
        return MappingProxyType({each.gateway: each.prekey for each in self.ahead})

    @checked()
    def after(self, session: ServerSession) -> Self:
        """The federation once a round has ended, with a sum or without. Store it before the next.

        Raises:
            ConfigurationError: a session under another roster, or of a round not above the last.
        """
        if session.roster != self.roster:
            raise ConfigurationError("this session ran under another roster")
        number, setup = session.settings.round, session.setup
        if number <= self.round:
            raise ConfigurationError(f"round {number} does not follow round {self.round}")
        members = (member.id for member in self.roster.members)
        ahead = tuple(Ahead(gateway=name, prekey=setup[name]) for name in members if name in setup)
        return type(self)(roster=self.roster, round=number, ahead=ahead)

    @checked()
    def under(self, roster: Roster) -> Self:
        """The federation under a new roster: rounds go on, keys for the old one serve no longer.

        Raises:
            ConfigurationError: its epoch is not above that of the roster before.
        """
        if roster.epoch <= self.roster.epoch:
            raise ConfigurationError(
                f"epoch {roster.epoch} does not follow epoch {self.roster.epoch}: another roster"
                " takes a higher one"
            )
        return type(self)(roster=roster, round=self.round)

    def dump(self) -> bytes:
        """The content of its file (format: docs/audit.md)."""
        return dump(FEDERATION, self)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """The federation of a file's content.

        Raises:
            WireError: not a federation, of another version, or not exactly as `dump` writes it.
            BadSignature, ForeignSession, KeyAgreementError: a key sent ahead is not its gateway's
                for the next round.
        """
        federation = load(FEDERATION, cls, data)
        roster = federation.roster
        everybody = Cohort.of(roster, [member.id for member in roster.members])
        for each in federation.ahead:
            open_prekey(
                each.prekey,
                cohort=everybody,
                position=everybody.position(each.gateway),
                roster=roster.hash(),
                round=federation.next_round,
                verify=verify,
            )
        return federation

    @checked()
    def save(self, path: str | Path) -> None:
        """Write its file; an older one is whole until the new one is.

        Raises:
            OSError: it cannot be written.
        """
        write(path, self.dump())
