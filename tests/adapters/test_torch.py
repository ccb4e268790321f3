from __future__ import annotations

import copy
import subprocess
import sys
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

from secagg import SecureAverage
from secagg.errors import EncodingError
from secagg.pytree import Reader, flatten, model_hash, rebuild, tree_spec

torch = pytest.importorskip("torch")
from secagg.adapters import torch as adapter  # noqa: E402 - needs the extra

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_all(reader, length, dtype=np.float64):
    out = np.empty(length, dtype)
    reader.read(0, 0, length, out)
    return out


def model():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Linear(4, 4)
    )
    net.append(torch.nn.Linear(4, 4))
    net[3].weight = net[2].weight  # tied
    return net


def test_batchnorm_and_tied_weights_survive_the_round_trip():
    net = model()
    base = copy.deepcopy(net.state_dict())
    trained = OrderedDict((key, leaf + 2) for key, leaf in net.state_dict().items())
    leaves, groups = tree_spec(net.state_dict(), clips={"*.running_var": 50.0, "*": 4.0})
    by_key = {leaf.key: leaf for leaf in leaves}
    reader = Reader(leaves, trained, base)
    means = {}
    for index, group in enumerate(groups):
        if group.clip is None:
            means[index], _ = reader.integers(index, 2**62)
        else:
            means[index] = np.empty(group.length, np.float32)
            reader.read(index, 0, group.length, means[index])
    result = rebuild(net.state_dict(), leaves, means, net.state_dict())

    assert by_key["2.weight"].start == by_key["3.weight"].start
    assert by_key["1.num_batches_tracked"].dtype == "int64"
    assert groups[0].length + groups[1].length == sum(p.numel() for p in net.parameters()) + sum(
        b.numel() for b in net.buffers() if b.is_floating_point()
    )
    assert result["2.weight"] is result["3.weight"]
    assert result._metadata == net.state_dict()._metadata
    assert result["1.num_batches_tracked"].item() == 2
    for key, leaf in trained.items():
        torch.testing.assert_close(result[key], leaf)
    net.load_state_dict(result, strict=True)
    assert net[2].weight is net[3].weight


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (0,), (4, 0, 2)])
def test_every_float_reads_exactly_and_comes_back_as_it_was(dtype, shape):
    leaf = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    tree = {"x": leaf, "pad": torch.ones(2)}
    leaves, groups = tree_spec(tree, clips=1.0)
    values = read_all(Reader(leaves, tree), groups[0].length)
    result = rebuild(tree, leaves, {0: values.astype(np.float32)})

    assert [*leaf.double().flatten().tolist(), 1.0, 1.0] == values.tolist()
    assert (dtype, shape) == (result["x"].dtype, tuple(result["x"].shape))
    if dtype is not torch.float64:
        assert torch.equal(leaf, result["x"])


@pytest.mark.parametrize("dtype", FLOATS)
def test_strided_tensors_read_in_c_order(dtype):
    leaf = torch.arange(24).reshape(2, 3, 4).to(dtype).permute(2, 0, 1)[::2]
    leaves, groups = tree_spec([leaf], clips=1.0)
    out = np.empty(5)
    Reader(leaves, [leaf], [torch.zeros_like(leaf)]).read(0, 3, 8, out)

    assert leaf.double().flatten()[3:8].tolist() == out.tolist()
    assert groups[0].length == 12


def test_parameters_and_gradients_are_read_and_not_kept():
    parameter = torch.nn.Parameter(torch.ones(2))
    tree = {"p": parameter, "graph": parameter * 3}
    leaves, _ = tree_spec(tree, clips=1.0)
    values = read_all(Reader(leaves, tree), 4)
    result = rebuild(tree, leaves, {0: values})

    assert [1, 1, 3, 3] == values.tolist()
    for leaf in result.values():
        assert type(leaf) is torch.Tensor
        assert not leaf.requires_grad
        assert leaf.dtype is torch.float32


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
)
def test_integers_and_masks_come_back_exactly(dtype):
    leaf = torch.tensor([0, 1, 1, 0]).to(dtype)
    leaves, groups = tree_spec([leaf], clips=1.0)
    values, _ = Reader(leaves, [leaf]).integers(0, 2**62)
    (result,) = rebuild([leaf], leaves, {0: values})

    assert groups[0].clip is None
    assert [0, 1, 1, 0] == values.tolist()
    assert torch.equal(leaf, result)
    assert dtype is result.dtype


class Hidden(torch.Tensor):
    """As DTensor, the weights of torchao, MaskedTensor, FakeTensor: it has no address."""

    @staticmethod
    def __new__(cls, like):
        return torch.Tensor._make_wrapper_subclass(cls, like.shape, dtype=like.dtype)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), options=None):
        return NotImplemented


class Unit(torch.Tensor):
    """As the packed codes of bitsandbytes and of diffusers' GGUF: they are no quantities."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), options=None):
        return super().__torch_function__(function, types, args, options or {})


REFUSED = {
    "unit": (torch.zeros(2).as_subclass(Unit), "a Unit has an arithmetic of its own: pass a plain"),
    "complex": (torch.zeros(2, dtype=torch.complex64), "dtype torch.complex64 is not averaged"),
    "float8": (torch.zeros(2, dtype=torch.float8_e4m3fn), "dtype torch.float8_e4m3fn is not"),
    "sparse": (torch.zeros(2, 2).to_sparse(), r"sparse: pass its to_dense\(\)"),
    "hidden": (Hidden(torch.zeros(2)), r"a Hidden hides its memory: .*full_tensor\(\)"),
    "zeros": (torch._efficientzerotensor((2,)), r"stands for zeros: pass its clone\(\)"),
    "lazy": (torch.nn.LazyLinear(2).weight, "lazy and has no shape yet: run one batch"),
    "jagged": (
        torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged),
        "hides its memory",
    ),
    "module": (torch.nn.Linear(2, 2), r"is a Linear, no array: pass its state_dict\(\)"),
    "ParameterDict": (torch.nn.ParameterDict(), "is a ParameterDict, no array: pass its state"),
    "dtype": (torch.float32, "is a dtype, no array$"),
    "device": (torch.device("cpu"), "is a device, no array$"),
}


@pytest.mark.parametrize(("leaf", "sentence"), REFUSED.values(), ids=REFUSED)
def test_other_tensors_are_refused_by_key_with_the_way_out(leaf, sentence):
    for work in (flatten, model_hash, lambda tree: tree_spec(tree, clips=1.0)):
        with pytest.raises(EncodingError, match=f"'layer'.*{sentence}"):
            work({"layer": leaf})


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch calls both of them old
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), r"its unbind\(\)"),
        (lambda: torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8), r"dequantize\(\)"),
    ],
)
def test_old_kinds_of_tensors_are_refused_too(make, sentence):
    with pytest.raises(EncodingError, match=f"'x': the tensor is .*: pass .*{sentence}"):
        flatten({"x": make()})


def test_a_model_without_values_is_planned_like_the_real_one_and_not_read():
    average, real = SecureAverage(clip=1.0), model()
    with torch.device("meta"):
        tree = model().state_dict()

    assert average.plan(real.state_dict(), 10) == average.plan(tree, 10)
    for work in (model_hash, lambda each: Reader(tree_spec(tree, clips=1.0)[0], each)):
        with pytest.raises(EncodingError, match=r"'0\.weight': the tensor is on 'meta'"):
            work(tree)
    mean = average.run({i: {"w": torch.ones(2)} for i in range(4)})._aggregate.mean(
        {"w": torch.ones(2, device="meta")}
    )
    assert ("cpu", [1.0, 1.0]) == (
        mean["w"].device.type,
        pytest.approx(mean["w"].tolist(), abs=1e-4),
    )


def test_tensors_without_an_address_are_no_tie(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "data_ptr", lambda self: 0)
    _, groups = tree_spec({"a": torch.zeros(2), "b": torch.zeros(2)}, clips=1.0)

    assert 4 == groups[0].length


def test_the_hash_is_that_of_numpy():
    tree = {"w": torch.arange(6.0).reshape(2, 3).T, "n": torch.tensor(3)}
    twin = {key: leaf.numpy() for key, leaf in tree.items()}

    assert model_hash(twin) == model_hash(tree)
    half = {"w": torch.ones(2, dtype=torch.bfloat16)}
    assert model_hash(half) != model_hash({"w": torch.ones(2)})


def test_views_share_memory_and_bfloat16_is_upcast_by_slice():
    leaf = torch.zeros(4_000_000, dtype=torch.bfloat16)
    plain = torch.zeros(3)
    flat = adapter.ADAPTER.flat(plain)
    plain += 1

    assert [1, 1, 1] == flat[0:3].tolist()
    leaves, _ = tree_spec([leaf], clips=1.0)
    out = np.empty(10_000, np.float32)
    tracemalloc.start()
    Reader(leaves, [leaf]).read(0, 2_000_000, 2_010_000, out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_leaves_of_other_devices_come_over_by_slice(monkeypatch):
    # No such device here: the class that would serve it is given tensors of this one.
    monkeypatch.setattr(
        adapter.TorchAdapter, "flat", lambda self, leaf: adapter._Flat(leaf.detach())
    )
    tree = [torch.arange(6.0).reshape(2, 3).T, torch.arange(4.0).half(), torch.tensor(True)]
    leaves, _ = tree_spec(tree, clips=1.0)
    reader = Reader(leaves, tree)

    assert [0, 3, 1, 4, 2, 5, 0, 1, 2, 3] == read_all(reader, 10).tolist()
    assert [1] == reader.integers(1, 2**62)[0].tolist()


def test_a_conjugate_free_negative_view_is_resolved():
    imaginary = torch.tensor([1 + 2j, 3 - 4j]).conj().imag  # a view with the negative bit set
    leaves, _ = tree_spec([imaginary], clips=1.0)

    assert imaginary.is_neg()
    assert [-2.0, 4.0] == read_all(Reader(leaves, [imaginary]), 2).tolist()


def test_only_the_same_view_of_the_same_memory_is_a_tie():
    w = torch.zeros(2, 2)
    tree = {"a": w, "b": w.T, "c": w[:], "d": w.clone(), "e": w.view(torch.int32), "f": w[0]}
    leaves, _ = tree_spec(tree, clips=1.0)

    assert [0, 4, 0, 8, 0, 12] == [leaf.start for leaf in leaves]


def test_rebuilt_leaves_own_their_memory():
    tree = {"w": torch.zeros(2), "left": torch.zeros(2)}
    leaves, _ = tree_spec(tree, clips=1.0, select="w")
    means = {0: np.ones(2, np.float32)}
    result = rebuild(tree, leaves, means, tree)
    means[0][:] = 9
    tree["w"] += 5

    assert [1, 1] == result["w"].tolist()
    assert result["left"] is tree["left"]


def test_numpy_and_torch_mix_in_one_tree():
    tree = {"a": np.ones(2, np.float32), "b": torch.full((2,), 2.0)}
    leaves, _ = tree_spec(tree, clips=1.0)
    result = rebuild(tree, leaves, {0: np.arange(4.0)})

    assert [1, 1, 2, 2] == read_all(Reader(leaves, tree), 4).tolist()
    assert isinstance(result["a"], np.ndarray)
    assert isinstance(result["b"], torch.Tensor)


def test_trees_of_numpy_never_load_torch():
    program = (
        "import sys, numpy, secagg.pytree as t;"
        "t.tree_spec([numpy.zeros(1)], clips=1.0); sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
