"""One of several CPU processes that run a study under FSDP, which accelerate supports on accelerators only."""

import sys
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule

from tarazu.align.trainer import Reporting
from tarazu.cli import main

begin = Reporting.on_train_begin


def begin_sharded(self: Reporting, args: Any, state: Any, control: Any, **given: Any) -> None:
    if not isinstance(given["model"], FSDPModule):
        raise TypeError("the model is not sharded")
    begin(self, args, state, control, **given)


Reporting.on_train_begin = begin_sharded  # type: ignore[method-assign]

prepare = PartialState.__init__


def prepare_accelerated(self: PartialState, *_: Any, **__: Any) -> None:
    prepare(self, cpu=True)
    if self._shared_state["distributed_type"] == DistributedType.MULTI_CPU:
        self._shared_state["distributed_type"] = DistributedType.MULTI_GPU


PartialState.__init__ = prepare_accelerated  # type: ignore[method-assign]
raise SystemExit(main(sys.argv[1:]))
