"""Measures the pieces of a round by themselves, on the layout of a real session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from benchmarks.rounds import Vector, World, tree
from secagg import wire
from secagg.crypto.labels import Label
from secagg.crypto.sealing import FrameMac
from secagg.crypto.signing import verify
from secagg.errors import SealError
from secagg.fixed_point import Decoder, clip_of
from secagg.params import RoundParams
from secagg.protocol.bounds import announced_clips
from secagg.protocol.outcome import check_opened
from secagg.protocol.staging import Staging
from secagg.pytree import Reader
from secagg.schemes.base import Fill
from secagg.session import Model
from secagg.session.clips import check_clips
from secagg.session.server import temporary_file
from secagg.session.update import Update
from secagg.workers import SERIAL

Words = NDArray[np.uint64]
_BODY = bytes(100)
SIGNATURES = 2
"""Of each survivor after the set-up and its header: with masks consistency and unmasking; up to 64
gateways the certificate of the additive schemes is made of what comes with the answers."""
Part = Callable[[], object]


class Plain:
    """FedAvg in float32 without any protection, into memory that is already there."""

    def __init__(self, world: World) -> None:
        self._updates = list(world.updates.values())
        self.mean: Vector = np.zeros(world.case.coordinates, np.float32)

    def add(self) -> None:
        """One gateway's vector to the sum: what a gateway's masking is held against."""
        np.add(self.mean, self._updates[0], out=self.mean)

    def fresh(self) -> None:
        """The same round into new memory, where a mean that is handed out has to lie."""
        self.mean = np.zeros_like(self.mean)
        self.round()

    def round(self) -> None:
        """Sum of the survivors, and the scale: what the server is held against."""
        self.mean.fill(0)
        for update in self._updates:
            np.add(self.mean, update, out=self.mean)
        np.multiply(self.mean, np.float32(1 / len(self._updates)), out=self.mean)


class GatewayParts:
    """What `ClientSession.upload` consists of with any scheme: range check, encoding, frames.

    Args:
        world: who takes part.
        params: P.
        base: what updates are relative to.
    """

    def __init__(self, world: World, params: RoundParams, base: Model | None = None) -> None:
        self.params = params
        self._tree = tree(next(iter(world.updates.values())), world.case.layers)
        self._base = None if base is None else base.tree
        self._reader = Reader(params.leaves, self._tree, self._base)
        self.plain_spans = wire.frame_spans([vector.words for vector in params.vectors])
        self._spans = world.scheme.spans(params, world.case.gateways)
        self.update = Update(
            params,
            world.case.gateways,
            self._tree,
            weight=1.0,
            base=self._base,
            metrics=None,
            rounding=bytes(32),
        )

    def parts(self) -> Mapping[str, Part]:
        """Parts by name."""
        return {
            "range check": self.check,
            "encode": self.encode,
            "frames": self.frame,
            "GMAC": self.tag,
        }

    def check(self) -> None:
        """The pass over all coordinates before anything leaves."""
        check_clips(self.params, self._reader, announced_clips(self.params))

    def encode(self) -> None:
        """Scale, round, pack; into one buffer again and again, as frames are."""
        self.write(self.update.source(), self.plain_spans)

    def write(self, fill: Fill, spans: Sequence[wire.Span]) -> None:
        """All words of an upload, frame by frame."""
        _, buffer = wire.new_vector_frame(bytes(16), 0, wire.FRAME_WORDS)
        for span in spans:
            fill(span.vector, span.first_word, buffer[: span.words])

    def frame(self) -> None:
        """Buffers of the frames, each dropped before the next is made."""
        for sequence, span in enumerate(self._spans):
            wire.new_vector_frame(bytes(16), sequence, span.words)

    def tag(self) -> None:
        """A tag for every frame."""
        mac = FrameMac(bytes(16))
        frame = bytearray(wire.frame_bytes(wire.FRAME_WORDS))
        for sequence, span in enumerate(self._spans):
            mac.tag(sequence, memoryview(frame)[: wire.frame_bytes(span.words) - wire.TAG_BYTES])


class ServerParts:
    """What the server consists of with any scheme: tags, staging, range check, decoding.

    Args:
        world: who takes part.
        params: P.
        frames: an upload of each survivor.
    """

    def __init__(
        self, world: World, params: RoundParams, frames: Mapping[int, Sequence[bytes]]
    ) -> None:
        self._world = world
        self._params = params
        self._frames = frames
        self._spans = world.scheme.spans(params, world.case.gateways)
        self._opened = [np.zeros(vector.words, np.uint64) for vector in params.vectors]
        [(weight, _)] = params.of_kind("weight")
        self._opened[weight][0] = len(world.survivors)
        keys = [world.identities[i].key for i in world.survivors]
        self._signed = [(key.public, key.sign(Label.SIGN_HEADER, _BODY)) for key in keys]
        self._signed *= SIGNATURES

    def parts(self) -> Mapping[str, Part]:
        """Parts by name."""
        return {
            "signatures": self.check_signatures,
            "GMAC": self.verify,
            "staging": self.stage,
            "range check": self.check,
            "decode": self.decode,
        }

    def check_signatures(self) -> None:
        """All that a server checks after the set-up."""
        for public, signature in self._signed:
            verify(public, Label.SIGN_HEADER, _BODY, signature)

    def verify(self) -> None:
        """The tag of every frame; a wrong one, as here, costs the same."""
        mac = FrameMac(bytes(16))
        for frames in self._frames.values():
            for sequence, frame in enumerate(frames):
                with suppress(SealError):
                    mac.verify(sequence, memoryview(frame)[: -wire.TAG_BYTES], bytes(16))

    def stage(self) -> None:
        """Everything else that happens to a frame until its upload is complete."""
        for frames in self._frames.values():
            staging = Staging(
                self._spans,
                lambda _: _AnyTag(bytes(16)),
                max_in_flight=1,
                spool=temporary_file,
                spool_bytes=0,
            )
            for frame in frames:
                staging.add(0, wire.open(frame).vector())

    def parts_of_uploads(self) -> Iterator[tuple[wire.Span, Words]]:
        """The words of every frame of every upload."""
        for frames in self._frames.values():
            for span, frame in zip(self._spans, frames, strict=True):
                yield span, wire.open(frame).vector().words

    def check(self) -> None:
        """All lanes, on a sum that passes."""
        included, gateways = len(self._world.survivors), self._world.case.gateways
        check_opened(self._params, self._opened, included, gateways=gateways)

    def decode(self) -> None:
        """Lanes to float32, in fresh memory."""
        for index, vector in self._params.of_kind("update"):
            mean = np.empty(vector.length, np.float32)
            clip = clip_of(vector, self._params.max_weight)
            decoder = Decoder(vector, len(self._world.survivors), clip)
            decoder.decode(self._opened[index], mean, SERIAL)


class _AnyTag(FrameMac):
    """Accepts everything, at once."""

    def verify(
        self, sequence: int, data: bytes | bytearray | memoryview, tag: bytes | memoryview
    ) -> None:
        pass
