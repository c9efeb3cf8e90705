"""Several processes on one training, as `accelerate launch` starts them: the first leads, the others follow."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

Found = TypeVar("Found")


def is_leader() -> bool:
    """Whether this process is the first, or the only one."""
    return bool(PartialState().is_main_process)


def from_leader(find: Callable[[], Found]) -> Found:
    """What the leader finds, in every process, each of which must ask: files and clocks may differ elsewhere."""
    state = PartialState()
    box = [find() if state.is_main_process else None]
    if state.num_processes > 1:
        broadcast_object_list(box)
    found: Found = box[0]  # type: ignore[assignment]
    return found


_LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def leave_process_group() -> None:
    """End what the processes have in common; each goes on alone, as if it had not been launched with others."""
    state = PartialState()
    if state.num_processes > 1:
        state.destroy_process_group()
        for name in _LAUNCHED:
            os.environ.pop(name, None)
        AcceleratorState._reset_state(reset_partial_state=True)
