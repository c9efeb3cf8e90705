"""Pairs in several languages: mixes with shares, known answers as pairs, and arms with their own pairs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_study import write_small_study
from test_preferences import A, H, jsonl, load

from tarazu.data._mix import sizes
from tarazu.data.preferences import load_pairs
from tarazu.data.rows import PreferencePair
from tarazu.errors import BadInput
from tarazu.run.inputs import read_inputs
from tarazu.study import load_study
from tarazu.study.sources import HubPairs, JsonlPairs, JsonlPrompts, KnownAnswerPairs, MixPairs, ParallelPairs

COUNTS = st.dictionaries(st.sampled_from(["de", "en", "fr", "sw", "yo"]), st.integers(1, 10_000), min_size=1)


@given(COUNTS, st.floats(0.5, 50), st.one_of(st.none(), st.integers(1, 50_000)))
def test_sizes_follow_the_shares(counts: dict[str, int], temperature: float, size: int | None) -> None:
    found = sizes(counts, None, temperature, size)
    total = sum(found.values())
    raw = {code: count ** (1 / temperature) for code, count in counts.items()}
    for code, count in counts.items():
        assert abs(found[code] - total * raw[code] / sum(raw.values())) < 1 + 1e-6
        if size is None:
            assert found[code] <= count
    if size is not None:
        assert total == size
    else:
        # One more pair would need a repetition.
        assert any(found[code] >= counts[code] - 1 for code in counts)


def test_sizes_in_closed_form() -> None:
    counts = {"en": 900, "sw": 100}
    assert sizes(counts, None, 1.0, None) == counts
    # 900^(1/2) : 100^(1/2) = 3 : 1.
    assert sizes(counts, None, 2.0, 400) == {"en": 300, "sw": 100}
    assert sizes(counts, None, 2.0, None) == {"en": 300, "sw": 100}
    assert sizes(counts, {"en": 1, "sw": 9}, 1.0, 1000) == {"en": 500, "sw": 500}
    assert sizes(counts, None, 1e9, 101) == {"en": 51, "sw": 50}


def rows(code: str, count: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"{code} {index}?", "chosen": f"yes {index}", "rejected": f"no {index}", "language": code}
        for index in range(count)
    ]


def mix(path: Path, **settings: Any) -> MixPairs:
    jsonl(path / "en.jsonl", rows("en", 90))
    jsonl(path / "sw.jsonl", rows("sw", 10))
    parts = tuple(JsonlPairs(source="jsonl", path=str(path / f"{code}.jsonl")) for code in ("en", "sw"))
    return MixPairs(source="mix", parts=parts, **settings)


def languages(pairs: tuple[PreferencePair, ...]) -> Counter[str | None]:
    return Counter(pair.language for pair in pairs)


def test_a_mix_draws_each_language_s_share(tmp_path: Path) -> None:
    assert languages(load(mix(tmp_path)).rows) == {"en": 90, "sw": 10}
    equal = load(mix(tmp_path, temperature=1e9))
    assert languages(equal.rows) == {"en": 10, "sw": 10}
    assert equal.dropped == {"more than the language's share": 80}
    assert load(mix(tmp_path, temperature=1e9)).rows == equal.rows, "the same seed draws the same"
    assert load(mix(tmp_path, temperature=1e9), seed=1).rows != equal.rows
    alone = load(mix(tmp_path, weights={"sw": 2.0}))
    assert languages(alone.rows) == {"sw": 10}
    assert alone.dropped == {"language not in the mix's weights": 90}


def test_a_language_with_too_few_pairs_repeats_them(tmp_path: Path) -> None:
    settings = mix(tmp_path, temperature=1e9, size=50)
    loaded = load_with_repeats(settings)
    assert languages(loaded) == {"en": 25, "sw": 25}
    taken = Counter(pair.prompt_id for pair in loaded if pair.language == "sw")
    assert sorted(taken.values()) == [2] * 5 + [3] * 5


def load_with_repeats(settings: MixPairs) -> tuple[PreferencePair, ...]:
    loaded = load_pairs(settings, root=None, seed=0)
    again = loaded.notes["taken again"]
    assert again == 15
    assert loaded.read == len(loaded.rows) - again + sum(loaded.dropped.values())
    return loaded.rows


def test_a_mix_refuses_pairs_without_a_share(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no part of the mix has a pair in 'yo'"):
        load(mix(tmp_path, weights={"en": 1.0, "yo": 1.0}))
    jsonl(tmp_path / "none.jsonl", [{"prompt": "p", "chosen": "a", "rejected": "b"}])
    nameless = JsonlPairs(source="jsonl", path=str(tmp_path / "none.jsonl"))
    with pytest.raises(BadInput, match="has no language"):
        load(MixPairs(source="mix", parts=(nameless,)))
    named = nameless.model_copy(update={"language": "sw"})
    assert languages(load(MixPairs(source="mix", parts=(named,))).rows) == {"sw": 1}


def test_a_pair_in_two_parts_is_used_once(tmp_path: Path) -> None:
    both = MixPairs(source="mix", parts=(ParallelPairs(source="parallel"), ParallelPairs(source="parallel")))
    loaded = load(both)
    assert loaded.dropped == {"duplicate": len(loaded.rows)}


def test_known_answers_as_pairs(tmp_path: Path) -> None:
    queries = [
        {"prompt_id": f"q{index}", "language": code, "prompt": f"{code} {index}?", "good": "right", "bad": "wrong"}
        for index in range(3)
        for code in ("en", "sw")
    ]
    source = JsonlPrompts(source="jsonl", path=str(jsonl(tmp_path / "q.jsonl", queries)))
    loaded = load(KnownAnswerPairs(source="known-answers", answers=source, limit=4))
    assert len(loaded.rows) == 4
    pair = next(pair for pair in loaded.rows if pair.language == "en")
    assert pair.prompt_id.startswith("q")
    number = pair.prompt_id[1:]
    assert (pair.prompt, pair.chosen, pair.rejected) == (f"{H} en {number}?{A}", " right", " wrong")
    assert pair.source == "jsonl", "so that an evaluated prompt of that source is found by its id"


MESSAGES = {
    "chosen": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because."},
    ],
}
MESSAGES["rejected"] = [*MESSAGES["chosen"][:3], {"role": "assistant", "content": "Go away."}]


def test_messages_become_transcripts(tmp_path: Path) -> None:
    prompt = f"{H} Hello{A} Hi{H} Why?{A}"
    alone = {"prompt": MESSAGES["chosen"][:3], "chosen": "Because.", "rejected": [MESSAGES["rejected"][3]]}
    for row in (MESSAGES, alone):
        path = jsonl(tmp_path / "m.jsonl", [row])
        (pair,) = load(JsonlPairs(source="jsonl", path=str(path))).rows
        assert (pair.prompt, pair.chosen, pair.rejected) == (prompt, " Because.", " Go away.")
    system = {**MESSAGES, "prompt": [{"role": "system", "content": "Be kind."}], "chosen": "a", "rejected": "b"}
    other = {**MESSAGES, "rejected": MESSAGES["rejected"][2:]}
    path = jsonl(tmp_path / "m.jsonl", [MESSAGES, system, other])
    loaded = load(JsonlPairs(source="jsonl", path=str(path)))
    assert len(loaded.rows) == 1
    assert loaded.dropped == {"prompt does not end with the user": 1, "prompts differ": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": [], "rejected": "b"}, "chosen has no message"),
        ({"chosen": ["a"], "rejected": "b"}, "a message of chosen is not an object"),
        (
            {"chosen": [{"role": "user", "content": "a"}], "rejected": "b"},
            "last message of chosen is not the assistant",
        ),
        ({"chosen": [{"role": 3, "content": "a"}], "rejected": "b"}, "a message of chosen is by '3'"),
        ({"prompt": MESSAGES["chosen"], "chosen": "a", "rejected": "b"}, "the prompt must end with the user's message"),
        ({"chosen": "a", "rejected": "b"}, "no field 'prompt'"),
    ],
)
def test_broken_messages(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = jsonl(tmp_path / "m.jsonl", [row])
    with pytest.raises(BadInput, match=message):
        load(JsonlPairs(source="jsonl", path=str(path)))


def test_pairs_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("datasets")
    queries: list[Any] = []

    def load_dataset(hub: str, name: str | None = None, *, split: str) -> list[dict[str, Any]]:
        queries.append((hub, name, split))
        return [MESSAGES]

    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    loaded = load(HubPairs(source="hub", hub="some/pairs", config="swahili", split="train", language="sw"))
    assert languages(loaded.rows) == {"sw": 1}
    assert queries == [("some/pairs", "swahili", "train")]


def test_arms_with_their_own_pairs(tmp_path: Path) -> None:
    """English-only and multilingual alignment side by side, each without the prompts that are evaluated."""
    path = write_small_study(tmp_path)
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonl(tmp_path / "sw.jsonl", [*rows("sw", 3), {**rows("sw", 1)[0], "prompt": "benign sw 0?"}])
    study["arms"]["dpo_sw"] = {
        **study["arms"]["dpo"],
        "pairs": {"source": "jsonl", "path": str(tmp_path / "sw.jsonl")},
    }
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    inputs = read_inputs(load_study(str(path), []).study)
    assert set(inputs.pairs) == {"sft", "dpo", "sft_dpo", "dpo_sw"}
    assert inputs.pairs["dpo"] is inputs.pairs["sft"]
    assert languages(inputs.pairs["dpo_sw"]) == {"sw": 3}
    own = inputs.account["arm_pairs"]["dpo_sw"]
    assert own["overlap"]["by text"] == 1
    assert own["dropped"] == {"prompt is evaluated": 1}
    assert json.dumps(inputs.account)


def test_pairs_that_no_arm_takes_are_refused(tmp_path: Path) -> None:
    path = write_small_study(tmp_path)
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    for arm in ("sft", "dpo", "sft_dpo"):
        study["arms"][arm]["pairs"] = study["data"]["pairs"]
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    with pytest.raises(BadInput, match=r"data\.pairs: no arm is trained on them"):
        load_study(str(path), [])
    del study["data"]["pairs"]
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    assert load_study(str(path), []).study.data.pairs is None
