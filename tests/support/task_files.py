"""Task files in lm-evaluation-harness's formats, with their data, for tests without a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from small_study import write_rows

ITEMS = 5
CODES = ("de", "en", "sw", "yo")


def write_task(folder: Path, name: str, rows: list[dict[str, Any]], **task: Any) -> Path:
    """A task file that reads `rows` as its validation split; returns its path."""
    folder.mkdir(exist_ok=True)
    write_rows(folder / f"{name}.jsonl", rows)
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"validation": f"{name}.jsonl"}},
        "validation_split": "validation",
        **task,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")
    return path


def choice_rows(code: str) -> list[dict[str, Any]]:
    return [
        {
            "premise": f"{code} rain fell {index}",
            "choices": [f"wet {index}", "dry ground", f"{code} dust"],
            "label": index % 3,
        }
        for index in range(ITEMS)
    ]


def write_choice(folder: Path, code: str, name: str | None = None) -> Path:
    """Multiple choice, as XNLI and XCOPA are."""
    return write_task(
        folder,
        name or f"choice_{code}",
        choice_rows(code),
        output_type="multiple_choice",
        doc_to_text="{{premise}}, so",
        doc_to_choice="choices",
        doc_to_target="label",
        metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    )


def answer_rows(code: str) -> list[dict[str, Any]]:
    return [{"question": f"{code} {index}?", "answer": f"a{index}"} for index in range(ITEMS)]


def write_answer(folder: Path, code: str, tokens: int = 6) -> Path:
    """Answers written out, as in XQuAD; what is right is an exact match."""
    return write_task(
        folder,
        f"answer_{code}",
        answer_rows(code),
        output_type="generate_until",
        doc_to_text="Question: {{question}}\nAnswer:",
        doc_to_target="answer",
        generation_kwargs={"until": ["\n"], "do_sample": False, "max_gen_toks": tokens},
        metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    )


def named(*names: str) -> list[dict[str, str]]:
    """What a study writes for such tasks: their names end in a language."""
    return [{"name": name, "language": name[-2:], "task": name[:-3]} for name in names]
