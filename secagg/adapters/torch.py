"""Reads and rebuilds torch tensors: any device, Parameters, bfloat16, strided and 0-dim tensors."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from secagg.errors import EncodingError
from secagg.pytree.leaves import FLOATS, INTEGERS, Flat


class _Flat:
    """Coordinates that numpy cannot see as they are: brought to the CPU, and upcast, by slice."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor.reshape(-1)

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        piece = self._tensor[part].cpu()
        wide = piece.float() if piece.dtype is torch.bfloat16 else piece
        values: NDArray[Any] = wide.numpy()
        return values


class TorchAdapter:
    """Leaves of torch; gradients are neither read nor kept."""

    def dtype_name(self, leaf: torch.Tensor) -> str:
        """One of the dtypes that are averaged.

        Raises:
            EncodingError: another dtype, or a tensor that is not a dense one with memory of its
                own. A tensor on "meta" has dtype and shape, enough to plan.
        """
        if (cure := _cure(leaf)) is not None:
            raise EncodingError(cure)
        name = str(leaf.dtype).removeprefix("torch.")
        if name not in FLOATS and name not in INTEGERS:
            raise EncodingError(
                f"dtype {leaf.dtype} is not averaged: use floats of 16 to 64 bits, integers, bool"
            )
        return name

    def shape(self, leaf: torch.Tensor) -> tuple[int, ...]:
        """Its shape."""
        return tuple(leaf.shape)

    def flat(self, leaf: torch.Tensor) -> Flat:
        """Views where numpy can have them; tensors on other devices come over by slice.

        Only a strided tensor that is bfloat16 or not on the CPU is copied whole, where it lives.

        Raises:
            EncodingError: a tensor on "meta".
        """
        if leaf.is_meta:
            raise EncodingError("the tensor is on 'meta', it has no values: load them first")
        tensor = leaf.detach().resolve_neg()
        if tensor.device.type != "cpu" or tensor.dtype is torch.bfloat16:
            return _Flat(tensor)
        values = tensor.numpy()
        flat: Flat = values.reshape(-1) if values.flags.c_contiguous else values.flat
        return flat

    def storage_id(self, leaf: torch.Tensor) -> Hashable:
        """Device, address and layout; on "meta", which has no addresses, storage and offset."""
        place: Hashable
        if leaf.is_meta:
            storage = leaf.untyped_storage()._cdata  # noqa: SLF001 - nothing else tells ties
            place = storage, leaf.storage_offset()
        else:  # else all tensors that hide their address would be one
            place = leaf.data_ptr() or ("hidden", id(leaf))
        return str(leaf.device), place, tuple(leaf.shape), leaf.stride(), str(leaf.dtype)

    def memory(self, leaf: torch.Tensor) -> tuple[str, int, int] | None:
        """From the lowest to the highest coordinate, strides in between included."""
        first, sides = leaf.data_ptr(), zip(leaf.shape, leaf.stride(), strict=True)
        last = sum((side - 1) * stride for side, stride in sides) if leaf.numel() else -1
        return str(leaf.device), first, first + (last + 1) * leaf.element_size()

    def like(self, leaf: torch.Tensor, values: NDArray[Any]) -> torch.Tensor:
        """A contiguous tensor without gradient; plain for a Parameter, on the CPU for "meta"."""
        tensor = torch.from_numpy(np.ascontiguousarray(values).reshape(values.shape))
        return tensor.to(device="cpu" if leaf.is_meta else leaf.device, dtype=leaf.dtype)


def _cure(leaf: torch.Tensor) -> str | None:
    """Why a tensor is not a dense one with memory of its own, and what to pass instead."""
    if (cure := _cure_of_class(type(leaf))) is not None:
        return cure
    if leaf.is_nested:
        return "the tensor is nested: pass the list of its parts, by its unbind()"
    if leaf.layout is not torch.strided:
        return "the tensor is sparse: pass its to_dense()"
    if leaf.is_quantized:
        return "the tensor is quantised: pass its dequantize()"
    if torch._is_zerotensor(leaf):  # noqa: SLF001 - it looks like any other from outside
        return "the tensor has no memory, it stands for zeros: pass its clone()"
    return None


@lru_cache(maxsize=64)
def _cure_of_class(kind: type[torch.Tensor]) -> str | None:
    """What to pass instead of tensors of a class that changes what torch does with them."""
    if issubclass(kind, (UninitializedParameter, UninitializedBuffer)):
        return "the layer is lazy and has no shape yet: run one batch through the model first"
    if kind.__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return (
            f"a {kind.__name__} hides its memory: pass a plain tensor, by its full_tensor() or"
            " dequantize(), or get_model_state_dict with full_state_dict=True"
        )
    if _function(kind) not in {_function(torch.Tensor), _function(torch.nn.Parameter)}:
        return (
            f"a {kind.__name__} has an arithmetic of its own: pass a plain tensor of what is to be"
            " averaged, its values in one unit or its dequantize()"
        )
    return None


def _function(kind: type[torch.Tensor]) -> object:
    own = kind.__torch_function__
    return getattr(own, "__func__", own)


KIND: Final = torch.Tensor
"""A class of torch that is not this one is no array: a Module, a dtype, a device."""
ADAPTER: Final = TorchAdapter()
