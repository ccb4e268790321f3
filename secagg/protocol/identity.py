"""Says who takes part: pinned identities, the roster of all, the cohort of one session."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final, Self

from secagg import canonical
from secagg.arguments import check_fields, checked
from secagg.crypto.kdf import digest
from secagg.crypto.labels import Label
from secagg.crypto.secret import Secret
from secagg.crypto.signing import SigningKey, check_verifying_key
from secagg.errors import ConfigurationError, KeyAgreementError, LocalProtocolError
from secagg.guards import NeverCopied
from secagg.params import Entropy, GatewayId, Struct

MAX_ID_BYTES: Final = 128
"""An id stands in lines of logs and in every prekey."""


class Member(Struct, frozen=True):
    """A gateway as the others know it: its id and its 32-byte Ed25519 public key.

    Raises:
        ConfigurationError: values of other types.
    """

    id: GatewayId
    key: bytes

    def __post_init__(self) -> None:
        check_fields(self)


class Roster(Struct, frozen=True, dict=True):
    """Everybody, pinned out of band: change it and the epoch changes too.

    Attributes:
        epoch: counter of roster versions.
        orchestrator: 32-byte Ed25519 public key of the orchestrator.
        members: all gateways, in the order that gives them their roster positions.

    Raises:
        ConfigurationError: ids that are not plain or that look alike, keys that are shared or that
            `check_verifying_key` refuses, a negative epoch, values of other types.
    """

    epoch: int
    orchestrator: bytes
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 <= self.epoch < 2**63:
            raise ConfigurationError(f"epoch is {self.epoch}: rosters are counted from 0")
        check_parties(self.orchestrator, self.members)

    @classmethod
    @checked()
    def of(cls, epoch: int, orchestrator: Identity, gateways: Iterable[Identity]) -> Self:
        """The roster of these identities (their public halves only).

        Raises:
            ConfigurationError: as of the roster.
        """
        members = tuple(Member(id=gateway.id, key=gateway.key.public) for gateway in gateways)
        return cls(epoch=epoch, orchestrator=orchestrator.key.public, members=members)

    def __repr__(self) -> str:
        return f"Roster(epoch {self.epoch}, {len(self.members)} gateways)"

    def hash(self) -> bytes:
        """32-byte name of this roster in every transcript."""
        return self._hash

    @cached_property
    def _hash(self) -> bytes:
        return digest(Label.HASH_ROSTER, canonical.encode(self))


def check_parties(orchestrator: bytes, members: Sequence[Member]) -> None:
    """Tell everybody in a roster apart, by id and by key.

    Raises:
        ConfigurationError: as of `Roster`.
    """
    texts = [_plain(member.id) for member in members]
    if repeated := sorted(text for text, times in Counter(texts).items() if times > 1):
        raise ConfigurationError(f"ids occur twice, or look alike, in the roster: {repeated}")
    parties = [("the orchestrator", orchestrator)]
    parties += [(f"gateway {member.id!r}", member.key) for member in members]
    if len({key for _, key in parties}) != len(parties):
        raise ConfigurationError("two parties of a roster share one key: give each its own")
    for name, key in parties:
        try:
            check_verifying_key(key)
        except KeyAgreementError as error:
            raise ConfigurationError(f"key of {name}: {error}") from None


def _plain(name: GatewayId) -> str:
    """An id as people see it, in one spelling of its accents.

    Raises:
        ConfigurationError: it is too long for a line, or has characters that nobody sees: line
            ends, marks of direction, halves of a surrogate pair, spaces around it; or a number that
            has no canonical bytes.
    """
    text = unicodedata.normalize("NFC", str(name))
    printable = text.isprintable() and text == text.strip()  # no surrogate is printable
    if not printable or len(text.encode()) > MAX_ID_BYTES:
        raise ConfigurationError(
            f"id {text[:32]!a}: up to {MAX_ID_BYTES} bytes of printable text without spaces around"
        )
    if isinstance(name, int) and not -(2**63) <= name < 2**64:
        raise ConfigurationError(f"id {text[:32]}: a whole number of 64 bits, or text")
    return text


class Cohort:
    """The members of a roster that take part in one session, by position 0 .. n - 1.

    Args:
        roster: the pinned roster.
        bitmap: one bit for each roster position.

    Raises:
        WireError: the bitmap does not fit the roster.
    """

    @checked()
    def __init__(self, roster: Roster, bitmap: bytes) -> None:
        chosen = sorted(canonical.members(bitmap, len(roster.members)))
        self.roster = roster
        self.bitmap = bitmap
        self.members = tuple(roster.members[place] for place in chosen)

    @classmethod
    @checked()
    def of(cls, roster: Roster, ids: Iterable[GatewayId]) -> Self:
        """The cohort of these gateways.

        Raises:
            ConfigurationError: an id occurs twice, is not in the roster, or is neither str nor int.
        """
        places = {member.id: place for place, member in enumerate(roster.members)}
        wanted = list(ids)
        unknown = [name for name in wanted if name not in places]
        if unknown:
            raise ConfigurationError(f"not in the roster: {unknown}")
        if len(set(wanted)) != len(wanted):
            raise ConfigurationError("a gateway id occurs twice in the cohort")
        return cls(roster, canonical.bitmap((places[i] for i in wanted), len(places)))

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def _positions(self) -> dict[GatewayId, int]:
        return {member.id: position for position, member in enumerate(self.members)}

    @cached_property
    def ids(self) -> tuple[GatewayId, ...]:
        """Ids by position."""
        return tuple(member.id for member in self.members)

    def key(self, position: int) -> bytes:
        """Ed25519 public key of a position."""
        return self.members[position].key

    def position(self, name: GatewayId) -> int:
        """Position of an id.

        Raises:
            LocalProtocolError: the id takes no part.
        """
        try:
            return self._positions[name]
        except KeyError:
            raise LocalProtocolError(f"{name!r} takes no part in this session") from None

    def __contains__(self, name: GatewayId) -> bool:
        return name in self._positions

    def bits(self, positions: Iterable[int]) -> bytes:
        """Bitmap of positions."""
        return canonical.bitmap(positions, len(self))

    def set_of(self, bitmap: bytes) -> frozenset[int]:
        """Positions of a bitmap.

        Raises:
            WireError: wrong size or non-zero padding.
        """
        return canonical.members(bitmap, len(self))


class Identity(NeverCopied):
    """A party's own id and long-term Ed25519 key.

    Args:
        id: gateway id; anything for an orchestrator.
        seed: 32 secret bytes. Keep them: they are the identity.

    Raises:
        ConfigurationError: an id that is neither str nor int, or no bytes for a seed.
        LocalProtocolError: a seed of another size.
    """

    instead = "keep its seed"

    @checked()
    def __init__(self, id: GatewayId, seed: Secret | bytes) -> None:  # noqa: A002 - the field's word
        self.id = id
        self.key = SigningKey(seed)

    @classmethod
    @checked()
    def generate(cls, id: GatewayId, rng: Entropy) -> Self:  # noqa: A002 - the field's word
        """A fresh identity, gone with this process: one that lasts is made of a seed of yours."""
        return cls(id, Secret(rng(32)))

    def __repr__(self) -> str:
        return f"Identity({self.id!r})"


__all__ = ["Cohort", "Identity", "Member", "Roster"]
