"""A stand-in for CUDA graphs on the CPU, and a count of launched operations.

A CUDA graph repeats operations with the same numbers, on the same memory. ``Replays`` holds a
function to this: it runs the function on inputs that keep their place, and fails if a later run
launches other operations, passes other numbers, or reads outside memory that has moved. What a run
makes and does not return turns to NaN, because a replay hands over nothing else.
"""

import collections
from contextlib import contextmanager

import torch
from torch.optim import adam
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from condensation.core import capture

# operations that make a new view or reserve memory, and so launch nothing on a GPU
_FREE = frozenset(
    (
        *("view", "reshape", "t", "transpose", "permute", "expand", "slice", "select", "detach"),
        *("alias", "split", "split_with_sizes", "chunk", "unsqueeze", "squeeze", "unbind"),
        *("as_strided", "narrow", "unfold", "diagonal", "movedim", "_unsafe_view"),
        *("_reshape_alias", "empty", "empty_like", "new_empty", "empty_strided", "lift_fresh"),
        *("new_empty_strided", "is_same_size", "_has_same_storage_numel", "_efficientzerotensor"),
    )
)


class Launches(TorchDispatchMode):
    """Counts operations that would launch kernels; a replayed function counts as one.

    With ``device``, only operations with a tensor there count: what the host does for itself is
    no launch.
    """

    def __init__(self, device=None):
        super().__init__()
        self.counted, self.quiet, self.device = collections.Counter(), 0, device
        self.transfers = 0  # from the host

    @property
    def total(self):
        return self.counted.total()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        name = function.name().partition("::")[2].partition(".")[0]
        if not self.quiet and not function.is_view and name not in _FREE:
            self.counted[name] += self._is_there((arguments, options, result))
        if name in ("_to_copy", "copy_"):
            kinds = {tensor.device.type for tensor in _tensors((arguments, result))}
            self.transfers += len(kinds) > 1
        return result

    def _is_there(self, values):
        return self.device is None or any(t.device == self.device for t in _tensors(values))


def _tensors(values):
    return [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _place(tensor):
    """Where the memory of a tensor starts; 0 for the zeros of torch that have none."""
    try:
        return tensor.untyped_storage().data_ptr()
    except RuntimeError:
        return 0


class _Log(TorchDispatchMode):
    """Writes down operations, their numbers, and where their tensors are or come from."""

    def __init__(self):
        super().__init__()
        self.lines, self.made, self._made = [], [], {}

    def _described(self, value):
        if isinstance(value, torch.Tensor):
            place = _place(value)
            return self._made.get(place, f"at {place}"), tuple(value.shape), value.dtype
        if isinstance(value, (list, tuple)):
            return tuple(map(self._described, value))
        return str(value)

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        described = self._described(arguments), self._described(list((options or {}).values()))
        before = set(map(_place, _tensors((arguments, options))))
        result = function(*arguments, **(options or {}))
        number = len(self.lines)
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, torch.Tensor):
                place = _place(tensor)
                if place and place not in before:
                    self._made[place] = f"made by {number}"
                    self.made.append(tensor)  # or its memory would be used again
        self.lines.append((function.name(), described))
        return result


class Replays:
    """Runs a recorded function again, and checks that a CUDA graph could have done so."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def first(self, function, inputs):
        return function(*inputs)

    def record(self, function, inputs):
        self.recorded += 1
        kept = [tensor.clone() for tensor in inputs]
        lines = []

        def replay(*inputs):
            for place, tensor in zip(kept, inputs, strict=True):
                place.copy_(tensor)
            self.replayed += 1
            with _counting_one():
                with _Log() as log:
                    outputs = function(*kept)
                _spoil(log.made, outputs)
            lines.append(log.lines)
            pairs = zip(lines[0], log.lines, strict=True)
            for number, (before, now) in enumerate(pairs):
                assert before == now, f"operation {number}: {before} became {now}"
            return outputs

        return replay


def _spoil(made, outputs):
    returned = set(map(_place, _tensors(outputs)))
    for tensor in made:
        if _place(tensor) not in returned:
            tensor.untyped_storage().fill_(255)  # NaN as a float


@contextmanager
def _counting_one():
    modes = [
        m
        for m in torch.utils._python_dispatch._get_current_dispatch_mode_stack()
        if isinstance(m, Launches)
    ]
    for mode in modes:
        mode.counted["replay"] += 1
        mode.quiet += 1
    yield
    for mode in modes:
        mode.quiet -= 1


@contextmanager
def as_on_a_gpu(monkeypatch, device="cpu"):
    """Let a device take the way of a GPU: packed draws, functions recorded and replayed."""
    replays = Replays()
    with monkeypatch.context() as patch:
        patch.setitem(capture.RECORDERS, device, replays)
        # torch lets an optimizer count on the device where it knows graphs
        patch.setattr(adam, "_get_capturable_supported_devices", lambda *_, **__: [device])
        yield replays
