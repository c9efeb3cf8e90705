"""Training with several processes started by `accelerate launch`. The first process is the leader."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

T = TypeVar("T")


def is_leader() -> bool:
    """Whether this is the first or the only process."""
    return bool(PartialState().is_main_process)


def from_leader(compute: Callable[[], T]) -> T:
    """The value that `compute` returns in the leader, broadcast to every process. All processes must call this.

    Files and clocks may differ between processes, so decisions that depend on them are made by the leader.
    """
    state = PartialState()
    box = [compute() if state.is_main_process else None]
    if state.num_processes > 1:
        broadcast_object_list(box)
    value: T = box[0]  # type: ignore[assignment]
    return value


_LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def leave_process_group() -> None:
    """Leave the process group, so that this process continues as if it had been started alone."""
    state = PartialState()
    if state.num_processes > 1:
        state.destroy_process_group()
        for name in _LAUNCHED:
            os.environ.pop(name, None)
        AcceleratorState._reset_state(reset_partial_state=True)
