"""Ask little of the host per step of a GPU: one copy of its inputs, one launch of its kernels.

Kernels on small networks end sooner than the host can launch the next. A ``Captured`` function is
recorded once, as a CUDA graph, and launched as a whole from then on. ``to_device`` copies a job's
draws in one transfer that the host does not wait for. On a CPU both do nothing special.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from condensation.core import compute

Function = Callable[..., Any]  # tensors -> a tensor or a tuple of tensors
_ALIGNMENT = 16  # bytes; a tensor inside a block starts at a multiple


def to_device(values: Sequence[Any], device: torch.device) -> list[Any]:
    """Return ``values`` with their tensors on ``device``, moved in one copy that nobody waits for.

    The tensors are on the CPU. Other values stay as they are, and so does everything on a CPU.
    """
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    if device.type == "cpu" or not tensors:
        return list(values)
    block = pack(tensors, pinned=device.type == "cuda")
    moved = iter(unpack(block.to(device, non_blocking=True), tensors))
    return [next(moved) if isinstance(value, torch.Tensor) else value for value in values]


def pack(tensors: Sequence[torch.Tensor], pinned: bool = False) -> torch.Tensor:
    """Return the bytes of ``tensors``, which are on the CPU, in one block, uint8."""
    block = torch.empty(_offsets(tensors)[-1], dtype=torch.uint8, pin_memory=pinned)
    for view, tensor in zip(unpack(block, tensors), tensors, strict=True):
        view.copy_(tensor)
    return block


def unpack(block: torch.Tensor, like: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return views of a block of bytes, with the shapes and types of the tensors in it."""
    return [
        block[first : first + tensor.numel() * tensor.element_size()]
        .view(tensor.dtype)
        .view(tensor.shape)
        for first, tensor in zip(_offsets(like), like, strict=False)
    ]


def _offsets(tensors: Sequence[torch.Tensor]) -> list[int]:
    """Return where each tensor starts, and the size of all, in bytes."""
    offsets = [0]
    for tensor in tensors:
        size = tensor.numel() * tensor.element_size()
        offsets.append(offsets[-1] + math.ceil(size / _ALIGNMENT) * _ALIGNMENT)
    return offsets


def pays(device: torch.device) -> bool:
    """Return whether launches on ``device`` cost more than small kernels do.

    With deterministic algorithms everything runs as on a CPU: all of DSA's operators at once
    include the warp, whose gradient has no such algorithm.
    """
    return device.type in RECORDERS and not torch.are_deterministic_algorithms_enabled()


class Captured:
    """A function of tensors that a GPU launches as a whole.

    The first call with inputs of some shapes runs as usual, the second records a graph, and later
    calls replay it. If recording fails, all calls run as usual, and the log has a line.

    Parameters
    ----------
    function : takes tensors on the device and returns a tensor or a tuple of tensors. All else that
        it reads must keep its place in memory, and it may change that in place. What else it makes
        must be returned, because a replay sets no attributes. It must launch the same operations
        whatever the values are, and may draw from the device's generator only.
    possible : False for a function that is not like that: all calls run as usual.

    Notes
    -----
    The next call overwrites what a call returned. A recorded graph keeps its own memory.
    """

    def __init__(self, function: Function, device: torch.device, possible: bool = True):
        self.function = function
        self._recorder = RECORDERS[device.type] if possible and pays(device) else None
        self._graphs: dict[Any, Function] = {}
        self._warm: set[Any] = set()  # shapes of the inputs of earlier calls

    def __call__(self, *inputs: Any) -> Any:
        """Return the function's result for ``inputs``, which are tensors if it is recorded."""
        if self._recorder is None:
            return self.function(*inputs)
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        if replay := self._graphs.get(shapes):
            return replay(*inputs)
        if shapes not in self._warm:
            self._warm.add(shapes)
            return self._recorder.first(self.function, inputs)
        obstacle = ""
        try:
            self._graphs[shapes] = self._recorder.record(self.function, inputs)
        except Exception as error:
            obstacle = (str(error) or type(error).__name__).splitlines()[0]
        if obstacle:  # outside `except`: the error holds on to memory
            compute.warn_once(f"running without CUDA graphs: {obstacle}")
            self._recorder = None
            self._graphs.clear()
            compute.free_memory()
            return self.function(*inputs)
        return self._graphs[shapes](*inputs)


class CudaGraphs:
    """Records functions as CUDA graphs, after a first call on another stream, as torch asks."""

    def first(self, function: Function, inputs: Sequence[torch.Tensor]) -> Any:
        """Run ``function`` once where it will be recorded, so that libraries can set up."""
        stream = self._stream(inputs[0].device)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            outputs = function(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return outputs

    def record(self, function: Function, inputs: Sequence[torch.Tensor]) -> Function:
        """Return a function that replays what ``function`` launches."""
        kept = [tensor.clone() for tensor in inputs]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream(inputs[0].device)):
            outputs = function(*kept)

        def replay(*inputs: torch.Tensor) -> Any:
            for place, tensor in zip(kept, inputs, strict=True):
                place.copy_(tensor)
            graph.replay()
            return outputs

        return replay

    @staticmethod
    @functools.cache
    def _stream(device: torch.device) -> Any:
        return torch.cuda.Stream(device)


RECORDERS = {"cuda": CudaGraphs()}
