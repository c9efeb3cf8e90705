"""From the checkpoints of `tarazu compare` to a study."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tarazu.align.checkpoints import load_tokenizer
from tarazu.study import LoadedStudy, study_from_text
from tarazu.study.comparison import Choice, Comparison, Machine, comparison_study


def load_comparison(asked: Comparison, overrides: Sequence[str]) -> tuple[LoadedStudy, Sequence[Choice]]:
    """The study of a comparison, with `key=value` overrides, and what was chosen for the user. Raises BadInput for a
    checkpoint without a tokenizer, and as a study file does."""
    unclear = [] if asked.prompt_format else asked.checkpoints
    machine = Machine(
        gpu=torch.cuda.is_available(),
        without_template=[name for name in unclear if not load_tokenizer(name, key="compare").chat_template],
    )
    made = comparison_study(asked, machine)
    return study_from_text("compare", made.text, overrides), made.choices
