"""What the schemes are held against: no protection, and CKKS with one key for all gateways."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import cycle, islice
from typing import Any, Final, Literal

import numpy as np

from benchmarks.memory import MIB, Peak
from benchmarks.overhead_cases import CUSTOMARY, LEAN, NVFLARE, PLAIN, Setting
from benchmarks.overhead_result import Cell, Memory
from benchmarks.overhead_schemes import FLOAT32_BYTES, deviation, split
from benchmarks.rounds import CLIP, Vector, World, tree
from benchmarks.timing import Samples, clock_for
from secagg.schemes.shared_key import InsecureSchemeWarning, InsecureSharedKey

PARAMETERS: Final[dict[str, Literal["lean", "customary"]]] = {LEAN: "lean", CUSTOMARY: "customary"}
_DISTINCT: Final = 10
"""Encrypted uploads that are kept: 100 customary ones would be 8 GB. Sums of more gateways take
them again; that costs the server the same."""
_COLUMNS: Final = {
    each: (each,) for each in ("encode", "encrypt", "serialise", "add", "open", "finish")
}


class Plaintext:
    """FedAvg in float32: serialised, summed, sent back."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._samples = Samples()
        self._updates = _updates(setting)
        self._sum: Vector = np.zeros(setting.coordinates, np.float32)
        self._uploads = [update.tobytes() for update in self._updates]
        with Peak() as gateway:
            self._updates[0].tobytes()
        with Peak() as server:
            self._aggregate()
        self._memory = _memory(gateway, server) if setting.memory else None
        self._error = deviation(self._sum / len(self._updates), self._updates)

    def once(self) -> None:
        """See `Contender`."""
        clock = clock_for(1)
        self._samples.time("gateway serialise", self._updates[0].tobytes, clock)
        self._samples.time("server add", self._aggregate, clock)
        self._samples.time("server finish", lambda: self._sum / len(self._updates), clock)

    def _aggregate(self) -> None:
        self._sum.fill(0)
        for upload in self._uploads:
            np.add(self._sum, np.frombuffer(upload, np.float32), out=self._sum)

    def cell(self) -> Cell:
        """See `Contender`."""
        return _cell(
            PLAIN,
            self._setting,
            self._samples,
            bytes_up=FLOAT32_BYTES,
            bytes_down=FLOAT32_BYTES,
            error=self._error,
            memory=self._memory,
        )


class SharedKey:
    """CKKS with one secret key at every gateway; each layer is encrypted by itself, as customary.

    Args:
        setting: sizes.
        scheme: `LEAN` or `CUSTOMARY`.
    """

    def __init__(self, setting: Setting, scheme: str) -> None:
        self._setting = setting
        self._name = scheme
        self._samples = Samples()
        self._updates = _updates(setting)
        with warnings.catch_warnings():  # the report says louder what the warning says
            warnings.simplefilter("ignore", InsecureSchemeWarning)
            self._samples.time(
                "gateway set-up",
                lambda: InsecureSharedKey(PARAMETERS[scheme], gateways=setting.gateways),
                clock_for(1),
            )
            self._scheme = InsecureSharedKey(PARAMETERS[scheme], gateways=setting.gateways)
        with Peak() as gateway:
            first = self._upload(self._updates[0])
        distinct = self._updates[: _DISTINCT if setting.gateways <= _DISTINCT else 2]
        uploads = [first, *map(self._upload, distinct[1:])]
        self._uploads = list(islice(cycle(uploads), len(self._updates)))
        with Peak() as server:
            self._total = self._aggregate()
        self._memory = _memory(gateway, server) if setting.memory else None
        mean = np.concatenate(self._decrypt()) * (CLIP / len(self._updates))
        self._error = deviation(mean, list(islice(cycle(distinct), len(self._updates))))

    def once(self) -> None:
        """See `Contender`."""
        clock, update = clock_for(1), self._updates[0]
        steps: dict[str, Callable[[Any], Any]] = {
            "gateway encode": lambda _: [_encoded(layer) for layer in self._layers(update)],
            "gateway encrypt": lambda layers: [self._scheme.encrypt(each) for each in layers],
            "gateway serialise": lambda layers: [self._scheme.serialise(each) for each in layers],
            "server add": lambda _: self._sums(),
            "server finish": lambda sums: [each.total() for each in sums],
            "gateway decrypt": lambda _: self._decrypt(),
        }
        result: Any = None
        for name, step in steps.items():
            start = clock()
            result = step(result)
            self._samples.add(name, clock() - start)

    def cell(self) -> Cell:
        """See `Contender`."""
        d = self._setting.coordinates
        return _cell(
            self._name,
            self._setting,
            self._samples,
            bytes_up=_size(self._uploads[0]) / d,
            bytes_down=_size(self._total) / d,
            error=self._error,
            memory=self._memory,
        )

    def _layers(self, update: Vector) -> list[Vector]:
        return list(tree(update, self._setting.layers).values())

    def _upload(self, update: Vector) -> list[list[bytes]]:
        encrypt, serialise = self._scheme.encrypt, self._scheme.serialise
        return [serialise(encrypt(_encoded(layer))) for layer in self._layers(update)]

    def _sums(self) -> list[Any]:
        """Each upload as a whole to the sums, as it arrives."""
        sums = [self._scheme.running_sum(len(each)) for each in self._layers(self._updates[0])]
        for upload in self._uploads:
            for each, layer in zip(sums, upload, strict=True):
                each.add(layer)
        return sums

    def _aggregate(self) -> list[list[bytes]]:
        return [each.total() for each in self._sums()]

    def _decrypt(self) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
        layers = self._layers(self._updates[0])
        return [
            self._scheme.decrypt(total, len(layer))
            for total, layer in zip(self._total, layers, strict=True)
        ]


class NvflareEncryptor:
    """The filter of NVIDIA FLARE that encrypts a model at a client, with its default parameters.

    Only its own encryption: neither its transport nor its server runs.

    Args:
        setting: sizes.

    Raises:
        ImportError: nvflare is not installed.

    Source: nvflare.app_opt.he.model_encryptor and nvflare.lighter.impl.he, public sources.
    """

    def __init__(self, setting: Setting) -> None:
        import tenseal

        context = import_module("nvflare.apis.fl_context").FLContext
        encryptor = import_module("nvflare.app_opt.he.model_encryptor").HEModelEncryptor
        self._setting = setting
        self._samples = Samples()
        self._update = _updates(setting)[0]
        self._context = context()
        logging.getLogger(encryptor.__module__).setLevel(logging.ERROR)
        self._encryptor = encryptor(weigh_by_local_iter=False)
        self._encryptor.tenseal_context = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS,
            poly_modulus_degree=8192,
            coeff_mod_bit_sizes=[60, 40, 40],
            encryption_type=tenseal.ENCRYPTION_TYPE.SYMMETRIC,
        )
        self._encryptor.tenseal_context.global_scale = 2**40
        self._bytes_up = sum(map(len, self._encrypt().values()))

    def once(self) -> None:
        """See `Contender`; the filter encrypts and serialises in one."""
        self._samples.time("gateway encrypt", self._encrypt, clock_for(1))

    def _encrypt(self) -> dict[str, bytes]:
        layers = dict(tree(self._update, self._setting.layers))
        encrypted, _ = self._encryptor.encryption(layers, self._context)
        return dict(encrypted)

    def cell(self) -> Cell:
        """See `Contender`; nothing of the server."""
        up = self._bytes_up / self._setting.coordinates
        return _cell(NVFLARE, self._setting, self._samples, bytes_up=up)


def _cell(
    scheme: str,
    setting: Setting,
    samples: Samples,
    *,
    bytes_up: float,
    bytes_down: float | None = None,
    error: tuple[float, float] | None = None,
    memory: Memory | None = None,
) -> Cell:
    """What the parts add up to: nothing of these is measured apart from them."""
    best, d = samples.best(), setting.coordinates
    gateway, server = (split(side, _COLUMNS, best, d, 0.0) for side in ("gateway", "server"))
    return Cell(
        scheme=scheme,
        gateways=setting.gateways,
        coordinates=d,
        layers=setting.layers,
        vanished=setting.vanished,
        gateway=gateway,
        upload=sum(gateway.values()),
        decrypt=1e9 * best.get("gateway decrypt", 0.0) / d,
        server=server,
        aggregate=sum(server.values()) or None,
        bytes_up=bytes_up,
        bytes_down=bytes_down,
        set_up_gateway=1e3 * best.get("gateway set-up", 0.0),
        max_error=None if error is None else error[0],
        rms_error=None if error is None else error[1],
        memory=memory,
    )


def _updates(setting: Setting) -> list[Vector]:
    """Those of the survivors, the same as in sessions."""
    return list(World(setting.case("masks")).updates.values())


def _encoded(layer: Vector) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The layer in units of clip."""
    return np.divide(layer, CLIP, dtype=np.float64)


def _size(layers: Sequence[Sequence[bytes]]) -> int:
    return sum(len(each) for layer in layers for each in layer)


def _memory(gateway: Peak, server: Peak) -> Memory:
    """Seen from outside: what SEAL allocates is invisible inside."""
    return Memory(gateway=_mib(gateway), server=_mib(server))


def _mib(peak: Peak) -> float | None:
    return None if peak.resident is None else peak.resident / MIB
