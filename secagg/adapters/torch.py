"""Reads and rebuilds torch tensors: any device, Parameters, bfloat16, strided and 0-dim tensors."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

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
            EncodingError: another dtype, or a tensor that is not dense with data.
        """
        name = str(leaf.dtype).removeprefix("torch.")
        if leaf.layout is not torch.strided or leaf.is_quantized or leaf.is_meta:
            raise EncodingError("the tensor is sparse, quantized or without data: use a dense one")
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
        """
        tensor = leaf.detach().resolve_neg()
        if tensor.device.type != "cpu" or tensor.dtype is torch.bfloat16:
            return _Flat(tensor)
        values = tensor.numpy()
        flat: Flat = values.reshape(-1) if values.flags.c_contiguous else values.flat
        return flat

    def storage_id(self, leaf: torch.Tensor) -> Hashable:
        """Device, address and layout."""
        return str(leaf.device), leaf.data_ptr(), tuple(leaf.shape), leaf.stride(), str(leaf.dtype)

    def like(self, leaf: torch.Tensor, values: NDArray[Any]) -> torch.Tensor:
        """A contiguous tensor without gradient; a plain tensor for a Parameter."""
        tensor = torch.from_numpy(np.ascontiguousarray(values).reshape(values.shape))
        return tensor.to(device=leaf.device, dtype=leaf.dtype)


ADAPTER: Final = TorchAdapter()
