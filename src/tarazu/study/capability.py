"""`capability` of a study: the tasks of lm-evaluation-harness that every arm answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from tarazu.languages import LANGUAGES, by_task
from tarazu.study._settings import LanguageCode, Name, Settings


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """An XTREME-R task that the harness has: the harness's name for it in a language, and the measure that XTREME-R
    reports. `parallel`: item i is the same in every language, in translation."""

    harness: str
    metric: str
    parallel: bool


BENCHMARKS = {
    "xnli": Benchmark(harness="xnli_{code}", metric="acc", parallel=True),
    "xcopa": Benchmark(harness="xcopa_{code}", metric="acc", parallel=True),
    "xquad": Benchmark(harness="xquad_{code}", metric="f1", parallel=True),
    "mlqa": Benchmark(harness="mlqa_{code}_{code}", metric="f1", parallel=False),
    "tydiqa": Benchmark(harness="tydiqa_goldp_{code}", metric="f1", parallel=False),
}
"""By XTREME-R's name. A test compares them with the installed harness."""


class CapabilityTask(Settings):
    """One task of the harness or of `include_path`, in one language."""

    name: str = Field(min_length=1, description="The harness's name for the task.")
    language: LanguageCode = Field(description="Its language.")
    task: Name | None = Field(None, description="Its name in tables; default: the harness's name.")
    metric: str | None = Field(None, description="The measure to compare; default: the first that the task has.")


def _form(value: Any) -> str:
    return "task" if isinstance(value, dict | CapabilityTask) else "name"


TaskChoice = Annotated[
    Annotated[str, Tag("name")] | Annotated[CapabilityTask, Tag("task")],
    Discriminator(_form),
]


@dataclass(frozen=True, kw_only=True, order=True)
class Wanted:
    """A task of the harness that every arm answers. `metric` is None for the first that the task has."""

    task: str
    language: str
    name: str
    metric: str | None


class CapabilitySettings(Settings):
    """What alignment cost: tasks of lm-evaluation-harness, answered by every arm (needs the extra `capability`)."""

    tasks: tuple[TaskChoice, ...] = Field(
        min_length=1,
        description="`xnli`, `xcopa`, `xquad`, `mlqa`, `tydiqa` (each in every requested language that it has), the "
        "harness's name of one of these in one language (`xnli_sw`), or {name: ..., language: ...} for any other task.",
    )
    languages: tuple[LanguageCode, ...] | None = Field(
        None, description="Languages of the XTREME-R tasks; default: the study's."
    )
    limit: int | None = Field(
        100, ge=1, description="How many items of each task to use, from the first on; null: all."
    )
    shots: int = Field(
        0, ge=0, description="Solved examples before each item, unless the task sets their number itself."
    )
    include_path: str | None = Field(
        None,
        description="Folder of task files in the harness's format. They replace its tasks with the same name.",
    )
    trust_task_code: bool = Field(
        False, description="Allow the task files of `include_path` to run the Python code that they name or contain."
    )
    batch_size: int = Field(16, ge=1, description="How many answers are generated together.")
    row_tokens: int = Field(2048, ge=8, description="The most tokens of multiple-choice answers in one forward pass.")

    @model_validator(mode="after")
    def _consistent(self) -> CapabilitySettings:
        for choice in self.tasks:
            if isinstance(choice, str) and choice not in BENCHMARKS and of_name(choice) is None:
                raise ValueError(
                    f"tasks: '{choice}' is not one of {', '.join(BENCHMARKS)}, nor one of these in one language; write "
                    f"{{name: {choice}, language: ...}}"
                )
        if self.trust_task_code and self.include_path is None:
            raise ValueError("trust_task_code needs include_path; remove it, or set include_path")
        return self


def of_name(name: str) -> tuple[str, str] | None:
    """The XTREME-R task and the language that a name of the harness stands for; None for any other name."""
    for task, benchmark in BENCHMARKS.items():
        for code, language in LANGUAGES.items():
            if task in language.tasks and benchmark.harness.format(code=code) == name:
                return task, code
    return None


def wanted(settings: CapabilitySettings, languages: tuple[str, ...]) -> list[Wanted]:
    """The requested tasks, each once, sorted by task and language. `languages` are the study's."""
    codes = settings.languages or languages
    tasks: dict[str, Wanted] = {}
    for choice in settings.tasks:
        if isinstance(choice, CapabilityTask):
            known = of_name(choice.name)
            metric = choice.metric or (BENCHMARKS[known[0]].metric if known else None)
            one = Wanted(task=choice.task or choice.name, language=choice.language, name=choice.name, metric=metric)
            tasks[choice.name] = one
            continue
        known = of_name(choice)
        places = [known] if known else [(choice, code) for code in codes if code in by_task(choice)]
        for task, code in places:
            benchmark = BENCHMARKS[task]
            name = benchmark.harness.format(code=code)
            tasks.setdefault(name, Wanted(task=task, language=code, name=name, metric=benchmark.metric))
    return sorted(tasks.values(), key=lambda one: (one.task, one.language, one.name))
