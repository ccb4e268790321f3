"""Holds the error of a mean against what the round changed, and says which setting cures it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import floor, frexp, inf, isfinite, log10, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg.errors import PrecisionWarning
from secagg.fixed_point import Noise, clip_of, relative_rms, unit_of
from secagg.fixed_point.layout import USUAL_WEIGHT
from secagg.params import NO_MODEL, RoundParams
from secagg.protocol.bounds import announced_clips
from secagg.protocol.events import Imprecise
from secagg.pytree.leaves import size_of
from secagg.session.clips import clip_table, fewest_clips

WARN_ABOVE: Final = 0.02
"""Relative error of a key above which somebody is told, where nothing else is said."""
LEAST_TOLD: Final = 1e-9
"""What no scheme reaches: a cure for less would be no number."""
_LOOK: Final = 0.01
"""Relative error from which on it is worth to look at a leaf a second time."""
_CHUNK: Final = 2**18
"""Values squared at a time: the sums of BLAS keep the dtype of the values."""
_SQUARES: Final = (1e-30, 1e30)
"""Sums of squares that float32 holds well."""
_ROOM: Final = 32.0
"""Largest change by a gateway over the rms of the mean step, in all that one clip fits."""
_LOST: Final = 8.0
"""Relative error of a step that is not 0 and decodes to that."""
_ALIKE: Final = 6.0
"""Rms over error up to which what decodes is likely noise alone, of one coordinate too."""
_NAMED: Final = 10
"""Keys that a text names; all others are counted."""


_LONG: Final = 1000
"""Characters of a cure in a text."""
_HALF_ULP: Final = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24}
"""Relative error of rounding to a dtype."""
_TINY: Final = {"float16": 2.0**-25, "bfloat16": 2.0**-134, "float32": 2.0**-150}
"""Its absolute error below the normal numbers."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What a round changed in one key, beside the error of it.

    Attributes:
        rms: of the mean step (of the mean without base), over the coordinates that moved, what
            noise adds taken off; 0 where none did.
        error: rms error of the mean.
        clip: bound of abs(coordinate).
    """

    rms: float
    error: float
    clip: float

    @property
    def relative(self) -> float:
        """Rms error over rms of the step: infinite where no step within clip would be seen.

        Where all is 0 although a step would be seen, nothing was changed.
        """
        if self.rms:
            return self.error / self.rms
        return inf if self.error > WARN_ABOVE * self.clip else 0.0

    def needs(self, factor: float) -> float:
        """The relative error once the error is `factor` times itself."""
        return factor * self.error / (self.rms or self.clip)


@dataclass(frozen=True, slots=True)
class Known:
    """What somebody who plays the gateways too knows beside their sum.

    Attributes:
        moved: keys that some gateway changed.
        still: keys that those who were looked at did not, or by what arithmetic leaves.
        drift: sum of what rounding to the unit changed in the weights; None: half a unit each.
    """

    moved: frozenset[str] = frozenset()
    still: frozenset[str] = frozenset()
    drift: float | None = None


NOTHING_KNOWN: Final = Known()


def movements(
    params: RoundParams,
    means: Mapping[int, NDArray[Any]],
    errors: Mapping[int, Noise],
    known: Known = NOTHING_KNOWN,
) -> dict[str, Movement]:
    """The step of every real leaf that has coordinates.

    Args:
        params: P.
        means: decoded, by index of the vector.
        errors: of a coordinate, likewise.
        known: what tells a step that decodes to 0 from none, and none from noise.
    """
    steps: dict[str, Movement] = {}
    clips = {index: clip_of(spec, params.max_weight) for index, spec in params.of_kind("update")}
    for leaf in params.leaves:
        size = size_of(leaf.shape)
        if size and leaf.vector in clips:
            error = errors[leaf.vector].rms
            rms = _rms(means[leaf.vector][leaf.start : leaf.start + size], error)
            if leaf.key in known.still and rms < _ALIKE * error:
                rms = 0.0
            lost = error / _LOST if leaf.key in known.moved else 0.0
            steps[leaf.key] = Movement(rms or lost, error, clips[leaf.vector])
    return steps


def _rms(values: NDArray[Any], error: float) -> float:
    square = sum(_square(values[i : i + _CHUNK]) for i in range(0, len(values), _CHUNK))
    moved = len(values)
    if square * _LOOK**2 <= moved * error**2:
        moved = int(np.count_nonzero(values))  # what no gateway changed has no rounding error
    if not moved:
        return 0.0
    # noise is independent of the step; a little is left where it is nearly all there is
    return sqrt(max(square / moved - error**2, square / moved / 16))


def _square(part: NDArray[Any]) -> float:
    square = float(np.dot(part, part))
    if _SQUARES[0] < square < _SQUARES[1]:
        return square
    wide = part.astype(np.float64)
    return float(np.dot(wide, wide))


def grain(dtype: str, base: NDArray[Any]) -> float:
    """Largest step that is only what arithmetic leaves: four half units of the largest value.

    The gradient of a bias ahead of BatchNorm is 0, and comes out as this.

    Args:
        dtype: of the leaf, a real one; below float32 that of the arithmetic is float32.
        base: what was there before.
    """
    digits = 2.0**-53 if dtype == "float64" else _HALF_ULP["float32"]
    return 4 * digits * float(np.abs(base[np.isfinite(base)]).max(initial=0.0))


def rounding_to(dtype: str, values: NDArray[Any], *, based: bool) -> float:
    """Largest error that the dtype of a leaf adds to its mean.

    Args:
        dtype: of the leaf, a real one.
        values: the mean, before it is rounded to that dtype.
        based: it was rounded to its present one when the base was added.
    """
    largest = max(float(values.max()), -float(values.min()))
    if largest > {"float16": 65504.0, "bfloat16": 3.389e38}.get(dtype, inf):
        return inf
    has = str(values.dtype)
    sum_error = _HALF_ULP.get(has, 2.0**-53) * largest if based else 0.0
    same = has == dtype or dtype not in _HALF_ULP
    cast = 0.0 if same else _HALF_ULP[dtype] * largest + _TINY[dtype]
    return (sum_error + cast) * (1 + 2.0**-10)  # largest is rounded too, up to once each


def advise(
    params: RoundParams,
    steps: Mapping[str, Movement],
    gateways: int,
    average: float,
    noise: Noise,
    above: float,
) -> tuple[Imprecise, ...]:
    """What to tell of a mean: one for each setting that would cure some key.

    Args:
        params: P.
        steps: by key.
        gateways: n.
        average: weight of an included gateway.
        noise: that the scheme adds to a sum, in lane units.
        above: relative error above which a key is told.
    """
    weak = {key: step for key, step in steps.items() if step.relative > above}
    if not weak:
        return ()
    found, factor, cap = [], 1.0, params.max_weight
    if average < cap * USUAL_WEIGHT:
        new = _up(average * (1 - 1e-6) - unit_of(params) / 2)
        factor = min(new / cap, 1.0)
        found.append(
            _told(
                params,
                weak,
                f"max_weight={cap:g} but weights average {average:.3g}",
                f"max_weight={new:g}",
                " (or your largest weight, if that is more)",
            )
        )
    weak = {key: step for key, step in weak.items() if step.needs(factor) > above}
    if weak:
        found += _other_cures(params, steps, weak, factor, above, gateways, noise)
    return tuple(found)


def _other_cures(
    params: RoundParams,
    steps: Mapping[str, Movement],
    weak: Mapping[str, Movement],
    factor: float,
    above: float,
    gateways: int,
    noise: Noise,
) -> list[Imprecise]:
    """Smaller clips for keys whose clip is far above their step, precision for all others."""
    aim = above / 2
    clips = {key: _down(step.clip * aim / step.needs(factor)) for key, step in weak.items()}
    far = {key: weak[key] for key, clip in clips.items() if 0 < weak[key].rms * _ROOM < clip}
    near = {key: step for key, step in weak.items() if key not in far}
    limit = next(spec.limit for _, spec in params.of_kind("update"))

    def finer(keys: Mapping[str, Movement]) -> str:
        worst = max(step.needs(factor) for step in keys.values())
        return f"precision=2**{frexp(relative_rms(limit, gateways, noise) * aim / worst)[1] - 1}"

    found = []
    if far:
        groups = fewest_clips({key: (far[key].rms * _ROOM, clips[key]) for key in far})
        least = groups[0][0]
        if all(step.rms * _ROOM < least for step in steps.values()):
            cure = f"clip={least:g}"
        else:
            now = {key: float(f"{clip:.9g}") for key, clip in announced_clips(params).items()}
            new = {key: clip for clip, keys in groups for key in keys}
            cure = clip_table(params, now, new)
        cause = f"clip={_clips(far)} is far above it"
        found.append(_told(params, far, cause, cure, f" or {finer(far)}"))
    if near:
        found.append(_told(params, near, "the lanes are too coarse", finer(near)))
    return found


def torn_ties(params: RoundParams, count: int) -> tuple[Imprecise, ...]:
    """What to tell of leaves that the layout ties and that differ: one mean is given to all.

    Args:
        params: P.
        count: leaves that differ from the first of their place, over all updates.
    """
    places: dict[tuple[int, int], list[str]] = {}
    for leaf in params.leaves:
        if size_of(leaf.shape):
            places.setdefault((leaf.vector, leaf.start), []).append(leaf.key)
    ties = [keys for keys in places.values() if len(keys) > 1]
    if not count or not ties:
        return ()
    shown = ", ".join(" = ".join(map(repr, keys[:_NAMED])) for keys in ties[:_NAMED])
    text = (
        f"{count} leaves of updates differ where the template holds one array under several keys"
        f" ({shown}), which all get one mean: if they are different parameters, pass copies of them"
        " in the template"
    )
    return (Imprecise(tuple(key for keys in ties for key in keys), inf, "", text),)


def _told(
    params: RoundParams, weak: Mapping[str, Movement], cause: str, cure: str, more: str = ""
) -> Imprecise:
    keys = sorted(weak, key=lambda key: -weak[key].relative)
    shown = ", ".join(map(repr, keys[:_NAMED]))
    shown += f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    worst = weak[keys[0]].relative
    size = f"{worst:.1%} of" if isfinite(worst) else "more than all of"
    what = "the mean itself" if params.model == NO_MODEL else "the mean step"
    # a table of many keys is for a program
    passed = cure if len(cure) <= _LONG else f"{cure[:_LONG]}... (whole in the event's `cure`)"
    text = (
        f"the rms error is {size} {what} in {shown}: {cause}: pass {passed}{more};"
        " secagg.suggest(updates, base) finds settings"
    )
    return Imprecise(tuple(keys), worst, cure, text)


def _clips(weak: Mapping[str, Movement]) -> str:
    return " and ".join(sorted({f"{step.clip:.6g}" for step in weak.values()})[:2])


def _up(number: float) -> float:
    """To three digits, upwards."""
    digit = 10.0 ** (floor(log10(number)) - 2)
    return float(f"{-(-number // digit) * digit:.3g}")


def _down(number: float) -> float:
    """To two digits, downwards."""
    digit = 10.0 ** (floor(log10(number)) - 1)
    return float(f"{number // digit * digit:.2g}")


def tell(found: Collection[Imprecise], told: set[str], stacklevel: int) -> list[Imprecise]:
    """Warn of what was not told before.

    Args:
        found: what to tell.
        told: settings that were named before; is added to.
        stacklevel: as of `warnings.warn`, seen from here.

    Returns:
        What was told now.
    """
    new = [each for each in found if each.cure.partition("=")[0] not in told]
    told.update(each.cure.partition("=")[0] for each in new)
    for each in new:
        warnings.warn(str(each), PrecisionWarning, stacklevel=stacklevel + 1)
    return new
