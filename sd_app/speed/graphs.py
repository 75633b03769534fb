"""Replay a function of tensors that has been recorded once for each shape, with the same bits.

Knows nothing of U-Nets, and nothing of CUDA but through its Capture.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..failures import is_out_of_memory
from .calls import Tensors
from .capture import Capture, Captured

MAX_SHAPES = 8  # recordings kept; the one unused for longest goes
MAX_KNOWN = 64  # shapes whose calls are counted
# Calls of a shape, in the thread that is to record it, before it does; their results count like any other's.
# Libraries set themselves up in them, for each thread anew, which must not happen in a recording.
WARM_UPS = 3
# Calls that must be left in a job for its first use of a shape to be recorded. Recording takes about as long
# as a few calls, and who never comes back to a shape shall not pay for it. A judgement, not a measurement.
PAYS_FROM = 8

Function = Callable[[Tensors], tuple[Tensor, ...]]

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Known:
    """What was seen of a shape that is not recorded."""

    job: int  # the first that used it
    thread: object = None  # that called it last
    calls: int = 0  # in that thread, without another's between them
    refused: bool = False

    def count(self) -> int:
        """Count a call of the running thread; return how many that makes."""
        if self.thread is not this_thread():
            self.thread, self.calls = this_thread(), 0
        self.calls += 1
        return self.calls


class Graphs:
    """The recordings of one model's functions. Not for several threads at once."""

    def __init__(self, capture: Capture, *, limit: int = MAX_SHAPES) -> None:
        self._capture = capture
        self._limit = limit
        self._recordings: OrderedDict[Hashable, tuple[Tensors, Captured]] = OrderedDict()
        self._known: OrderedDict[Hashable, Known] = OrderedDict()
        self._job = 0

    def __len__(self) -> int:
        return len(self._recordings)

    def holds(self, name: str, shape: tuple[int, ...]) -> bool:
        """Tell whether a call is recorded whose tensor of that name has that shape."""
        return any(name in places and places[name].shape == shape for places, _ in self._recordings.values())

    @property
    def off(self) -> str:
        """Return why every call is run as it is from now on; empty while all is well."""
        return self._capture.off

    def begin_job(self) -> None:
        """Count a job: a shape that a second one uses is worth recording."""
        self._job += 1

    def run(self, function: Function, tensors: Tensors, *, kind: Hashable, left: int) -> tuple[Tensor, ...]:
        """Return function(tensors), bit for bit, from its recording once it pays.

        `kind` is all that the function depends on besides the tensors; `left` how many calls of this job,
        this one included, are to come.
        """
        if self.off:
            return function(tensors)
        key = kind, signature(tensors)
        if key in self._recordings:
            return self._replay(key, tensors)
        known = self._look_up(key)
        if known.refused:
            return function(tensors)
        if known.count() <= WARM_UPS:
            return self._capture.warm_up(lambda: function(tensors))
        if known.job == self._job and left < PAYS_FROM:
            return function(tensors)
        if not self._record(key, function, tensors):
            known.refused = True
            return function(tensors)
        return self._replay(key, tensors)

    def drop(self) -> None:
        """Forget all recordings: the weights lie elsewhere, or are about to go."""
        for _, captured in self._recordings.values():
            captured.release()
        self._recordings.clear()
        self._known.clear()
        self._capture.clear()

    def give_up(self) -> bool:
        """Forget all recordings and never make them again: memory is short. Tell whether there were any."""
        recorded = list(self._recordings)
        refused = [key for key, known in self._known.items() if known.refused]
        self.drop()
        for key in (*refused, *recorded):
            self._look_up(key).refused = True
        return bool(recorded)

    def _look_up(self, key: Hashable) -> Known:
        known = self._known.setdefault(key, Known(job=self._job))
        self._known.move_to_end(key)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return known

    def _record(self, key: Hashable, function: Function, tensors: Tensors) -> bool:
        """Record a call on copies of its tensors; tell whether that worked."""
        while len(self._recordings) >= self._limit:
            _, (_, oldest) = self._recordings.popitem(last=False)
            oldest.release()
        places = {name: tensor.clone() for name, tensor in tensors.items()}
        try:
            captured = self._capture.record(lambda: function(places))
        except RuntimeError as error:  # torch.OutOfMemoryError is one, too
            # What is really wrong comes up again in the plain call that follows.
            usual = is_out_of_memory(error)
            log.log(
                logging.INFO if usual else logging.WARNING, "A shape runs without a CUDA graph: %s", error
            )
            if self.off:
                self.drop()
            return False
        self._recordings[key] = places, captured
        return True

    def _replay(self, key: Hashable, tensors: Tensors) -> tuple[Tensor, ...]:
        self._recordings.move_to_end(key)
        places, captured = self._recordings[key]
        for name, place in places.items():
            place.copy_(tensors[name])
        captured.replay()
        # Copies: schedulers keep what the model said, and the next replay writes into the same memory.
        return tuple(output.clone() for output in captured.outputs)


_here = threading.local()


def this_thread() -> object:
    """Return what stands for the running thread; unlike its number, no later thread gets it again."""
    if not hasattr(_here, "token"):
        _here.token = object()
    return _here.token


def signature(tensors: Tensors) -> Hashable:
    """Return what decides which kernels run on tensors: names, shapes, strides and formats."""
    return tuple((name, t.shape, t.stride(), t.dtype, t.device) for name, t in sorted(tensors.items()))


def places_of(module: torch.nn.Module) -> tuple[int, ...]:
    """Return where in memory a module's weights lie: recordings read them there."""
    return tuple(t.data_ptr() for t in (*module.parameters(), *module.buffers()))
