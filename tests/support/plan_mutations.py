"""Ways to change the plan of a preregistered record, each with the outcome that docs/preregistration.md demands.

`confirmatory` is the record of a run that followed its plan; `late` that of a run whose plan came after its responses
and whose threshold is another. No change may give a record that is VERIFIED and confirmatory:

- `bad input`: the record cannot be read; - `refused`: it is UNVERIFIED, since its plan, signature or files are not in
  order; - `falsified`: its results say what its own files contradict; - `exploratory`: it is VERIFIED, as exploratory.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from plan_forging import Edit

Outcome = Literal["bad input", "refused", "falsified", "exploratory"]
Base = Literal["confirmatory", "late"]


@dataclass(frozen=True)
class PlanMutation:
    name: str
    base: Base
    outcome: Outcome
    change: Callable[[Path], None]


# --- what a plan says ------------------------------------------------------------------------------------------


def at(*path: str | int) -> Callable[[Any], Edit]:
    """Set the value at a place of the plan."""

    def with_value(value: Any) -> Edit:
        def change(plan: Any) -> None:
            here = plan
            for step in path[:-1]:
                here = here[step]
            here[path[-1]] = value

        return change

    return with_value


def without(*path: str) -> Edit:
    def change(plan: Any) -> None:
        here = plan
        for step in path[:-1]:
            here = here[step]
        del here[path[-1]]

    return change


def _margin(plan: Any) -> None:
    plan["study"]["analysis"]["margin"] = plan["estimand"]["margin"] = plan["power"]["margin"] = 50.0


def _people(plan: Any) -> None:
    plan["study"]["analysis"]["labels"] = plan["estimand"]["labels"] = "people"


def _arms_exchanged(plan: Any) -> None:
    words = plan["estimand"]["words"].replace("from base to dpo", "from dpo to base")
    exchanged = {"base_arm": "dpo", "primary_arm": "base"}
    plan["estimand"] |= exchanged | {"words": words}
    plan["study"]["analysis"] |= exchanged


def _digests_exchanged(plan: Any) -> None:
    prompts = plan["inputs"]["prompts"]["harmful"]
    prompts["en"], prompts["qu"] = prompts["qu"], prompts["en"]


def _other_study(plan: Any) -> None:
    plan["study"] |= {"name": "another", "seed": 11}
    for kind in ("harmful", "benign"):
        plan["study"]["prompts"][kind][0]["limit"] = 6
        for texts in plan["inputs"]["prompts"][kind].values():
            texts |= {"n": 6, "sha256": "5" * 64}


def _more_languages(plan: Any) -> None:
    plan["study"]["languages"].append("fr")
    plan["languages"]["included"] = ["en", "es", "fr", "qu", "sw"]
    plan["estimand"]["groups"]["high"].append("fr")
    for kind in ("harmful", "benign"):
        plan["inputs"]["prompts"][kind]["fr"] = {"n": 3, "sha256": "6" * 64}


def _copied(*path: str, key: str, source: str) -> Edit:
    """One entry more, with the value of another."""

    def change(plan: Any) -> None:
        here = plan
        for step in path:
            here = here[step]
        here[key] = copy.deepcopy(here[source])

    return change


DEPARTING: Final[tuple[tuple[str, Edit], ...]] = (
    ("threshold of harmlessness", at("study", "thresholds", "harmless")(-3.0)),
    ("threshold of helpfulness", at("study", "thresholds", "helpful")(0.25)),
    ("margin", _margin),
    ("whose labels decide", _people),
    ("arms exchanged", _arms_exchanged),
    ("seed", at("study", "seed")(4)),
    ("training seeds", at("study", "seeds")(5)),
    ("draws", at("study", "analysis", "draws")(10_000)),
    ("trust", at("study", "analysis", "trusted")(50.0)),
    ("languages", _more_languages),
    ("a language fewer", at("study", "languages")(["en", "es", "qu"])),
    ("a language not included", at("languages", "included")(["en", "es", "qu"])),
    ("a group's member", at("estimand", "groups", "low")(["qu"])),
    ("groups' classes", at("study", "groups", "low")([0, 1])),
    ("sources compared", at("languages", "sources", "harmful")(["hh"])),
    ("digest of prompts", at("inputs", "prompts", "harmful", "qu", "sha256")("7" * 64)),
    ("digests of prompts exchanged", _digests_exchanged),
    ("number of prompts", at("inputs", "prompts", "benign", "sw", "n")(30)),
    ("prompts of a language", without("inputs", "prompts", "benign", "sw")),
    ("a kind more", _copied("inputs", "prompts", key="borderline", source="benign")),
    ("known answers", at("inputs", "known_answers", "harmful", "en", "sha256")("8" * 64)),
    ("no known answers", at("inputs", "known_answers")({})),
    ("a model's digest", at("inputs", "models", "model.path")({"sha256": "9" * 64})),
    ("a model fewer", without("inputs", "models", "arms.dpo.from")),
    ("temperature", at("study", "generation", "sampling", "temperature")(0.7)),
    ("length of responses", at("study", "generation", "max_new_tokens")(400)),
    ("judge", at("study", "reward", "harmful", "model")("org/guard")),
    ("judge's offset", at("study", "reward", "benign", "offset")(1.0)),
    ("an arm more", _copied("study", "arms", key="sft", source="dpo")),
    ("an arm's start", at("study", "arms", "dpo", "from")("org/model")),
    ("another study's plan", _other_study),
)
"""Each makes what was done depart from the plan."""
CONTRADICTORY: Final[tuple[tuple[str, Edit], ...]] = (
    ("margin of the estimand", at("estimand", "margin")(2.0)),
    ("primary arm of the estimand", at("estimand", "primary_arm")("sft")),
    ("base arm of the estimand", at("estimand", "base_arm")("dpo")),
    ("labels of the estimand", at("estimand", "labels")("people")),
    ("words of the estimand", at("estimand", "words")("D: the mean over all languages.")),
    ("margin of the power", at("power", "margin")(1.0)),
    ("quantity of the power", at("power", "quantity")("dHp")),
)
"""Each makes one part of the plan contradict another."""
DEEP: Final = "[" * (sys.getrecursionlimit() + 100)
TEXTS: Final[tuple[tuple[str, Callable[[bytes], bytes]], ...]] = (
    ("CRLF", lambda data: data.replace(b"\n", b"\r\n")),
    ("a line feed more", lambda data: data + b"\n"),
    ("one line", lambda data: json.dumps(json.loads(data), sort_keys=True).encode()),
    ("byte order mark", lambda data: b"\xef\xbb\xbf" + data),
    ("date twice", lambda data: data.replace(b"{", b'{"date": "2020-01-01",', 1)),
    ("threshold twice", lambda data: data.replace(b'"harmless": 0.0', b'"harmless": 0.0, "harmless": 5.0')),
    ("escapes", lambda data: data.replace(b'"date"', b'"\\u0064ate"')),
    ("whole number for a fraction", lambda data: data.replace(b'"margin": 5.0', b'"margin": 5')),
    ("cut", lambda data: data[: len(data) // 2]),
    ("a list of it", lambda data: b"[" + data + b"]"),
    ("NaN", lambda data: data.replace(b'"margin": 5.0', b'"margin": NaN')),
    ("deep", lambda data: DEEP.encode()),
    ("a key more", lambda data: data.replace(b"{", b'{"approved": true,', 1)),
    ("a date to come", lambda data: data.replace(b"2026-11-01", b"2999-11-01")),
    ("no such day", lambda data: data.replace(b"2026-11-01", b"2026-02-30")),
)
"""Each is another text of the plan's file than its one text, or no plan."""
