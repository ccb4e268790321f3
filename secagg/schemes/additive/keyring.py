"""Checks and holds everybody's prekey for one round, as one gateway was shown it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secagg.crypto.agreement import check_public_keys
from secagg.errors import (
    BadPublicKey,
    HeaderMismatch,
    KeyAgreementError,
    OwnMessageAltered,
    SelfMissing,
    TooFewPrekeys,
    WireError,
)
from secagg.params import SessionParams
from secagg.protocol.identity import Cohort
from secagg.protocol.messages import Signed, Verify
from secagg.protocol.prekeys import Prekey, open_prekey
from secagg.protocol.transcript import advert_hash, session_hash, shown_keys_hash
from secagg.schemes.additive.messages import UploadRequest


class Keyring:
    """U1 and its prekeys: those of the committee from the start, the others' when they have dealt.

    Args:
        request: as it came.
        params: K.
        cohort: of the session.
        position: of this gateway.
        own: its own signed prekey.
        verify: signature check.

    Attributes:
        keyed: U1.
        committee: its members in U1.
        h0: transcript of K, U1 and all prekeys.

    Raises:
        RemoteProtocolError: the subclass names the check.
        WireError: not one prekey for each member, or hashes that do not fit.
    """

    def __init__(
        self,
        request: UploadRequest,
        *,
        params: SessionParams,
        cohort: Cohort,
        position: int,
        own: Signed,
        verify: Verify,
    ) -> None:
        self._params, self._cohort, self._verify = params, cohort, verify
        limits = params.thresholds
        self.keyed = cohort.set_of(request.keyed)
        self.committee = self.keyed.intersection(range(limits.committee))
        if position not in self.keyed:
            raise SelfMissing("asked for an upload among keys that leave mine out")
        needed = limits.committee - limits.max_dropouts
        if len(self.committee) < needed:
            raise TooFewPrekeys(f"{len(self.committee)} members have a key, {needed} are needed")
        shown = sorted(self.committee | {position})
        if len(request.prekeys) != len(shown):
            raise WireError("not one prekey for each member of the committee that has one")
        signed = dict(zip(shown, request.prekeys, strict=True))
        if signed[position] != own:
            raise OwnMessageAltered("my own prekey came back changed")
        self._prekeys: dict[int, Prekey] = {}
        self._take(signed)
        self._hashes = {place: advert_hash(each) for place, each in signed.items()}
        self.h0 = self._transcript(self._hashes, request.hashes)

    def __getitem__(self, position: int) -> Prekey:
        """The prekey of a gateway whose own was shown."""
        return self._prekeys[position]

    def add(
        self, dealers: Sequence[int], prekeys: Sequence[Signed], proof: Sequence[bytes]
    ) -> None:
        """Take the prekeys of gateways outside the committee, of which h0 has the hashes.

        Args:
            dealers: positions in U1.
            prekeys: one each.
            proof: hashes that take them to h0, with those that are here.

        Raises:
            HeaderMismatch: another prekey than the one that was hashed.
            RemoteProtocolError, WireError: as for the others.
        """
        if len(prekeys) != len(dealers):
            raise WireError("not one prekey for each member of U3 outside the committee")
        signed = dict(zip(dealers, prekeys, strict=True))
        hashes = {dealer: advert_hash(each) for dealer, each in signed.items()}
        if self._transcript(self._hashes | hashes, proof) != self.h0:
            raise HeaderMismatch("prekeys of dealers that are not those of the upload request")
        self._take(signed)

    def _transcript(self, shown: Mapping[int, bytes], proof: Sequence[bytes]) -> bytes:
        k = session_hash(self._params)
        return shown_keys_hash(k, len(self._cohort), self.keyed, shown, proof)

    def _take(self, signed: dict[int, Signed]) -> None:
        for position, each in signed.items():
            self._prekeys[position] = self._opened(position, each)
        try:
            check_public_keys(
                [self._params.orchestrator_key, *(each.key for each in self._prekeys.values())]
            )
        except KeyAgreementError as error:
            raise BadPublicKey(str(error)) from None

    def _opened(self, position: int, signed: Signed) -> Prekey:
        try:
            return open_prekey(
                signed,
                cohort=self._cohort,
                position=position,
                roster=self._params.roster,
                round=self._params.round,
                verify=self._verify,
            )
        except KeyAgreementError as error:
            raise BadPublicKey(f"prekey of {self._cohort.ids[position]!r}: {error}") from None
