"""Studies: errors and the keys that they name, the shipped studies, and the origins of values."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tarazu.errors import BadInput
from tarazu.study import load_study, shipped_studies
from tarazu.study.schema import Groups, Study, flatten

GOOD: dict[str, Any] = {
    "name": "mine",
    "model": {"path": "builtin:base"},
    "data": {"pairs": {"source": "parallel"}},
    "prompts": {"harmful": [{"source": "parallel"}], "benign": [{"source": "parallel"}]},
    "arms": {
        "base": {"method": "none"},
        "sft": {"from": "base", "method": "sft", "learning_rate": "2e-5"},
        "dpo": {"method": "dpo", "lora": {"r": 8}},
    },
    "reward": {"harmful": {"model": "builtin:reward"}, "benign": {"model": "builtin:reward"}},
}


def load(tmp_path: Path, text: str | dict[str, Any], *overrides: str, environment: dict[str, str] | None = None) -> Any:
    path = tmp_path / "study.yaml"
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    return load_study(str(path), overrides, environment or {})


def changed(key: str, value: Any) -> dict[str, Any]:
    tree = copy.deepcopy(GOOD)
    *path, last = key.split(".")
    here = tree
    for part in path:
        here = here[int(part)] if isinstance(here, list) else here[part]
    here[last] = value
    return tree


def test_a_good_study_loads_and_numbers_may_be_written_2e_5(tmp_path: Path) -> None:
    study = load(tmp_path, GOOD).study
    assert study.arms["sft"].learning_rate == 2e-5
    assert study.arms_in_order() == ("base", "sft", "dpo")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.pairs", {"sorce": "parallel"}, r"line 5: data.pairs: needs the key 'source'"),
        ("data.pairs", {"source": "hh"}, r"data.pairs: 'source' must be one of parallel, hh-rlhf, jsonl"),
        ("arms.dpo.lora.rr", 8, r"line \d+: arms.dpo.lora.rr: no such key; did you mean 'r'\?"),
        ("arms.sft.learning_rat", 1, r"arms.sft.learning_rat: no such key; did you mean 'learning_rate'\?"),
        ("arms.base.epochs", 1, r"arms.base.epochs: no such key"),
        ("arms.dpo.method", "dpoo", r"arms.dpo: 'method' must be one of none, sft, dpo"),
        ("arms.dpo.from", "dpo", r"arms.dpo.from: the arms dpo -> dpo form a circle"),
        ("arms.sft.learning_rate", -1, r"arms.sft.learning_rate: .*greater than 0"),
        ("arms.sft.learning_rate", float("nan"), r"arms.sft.learning_rate: "),
        ("arms.dpo.beta", float("inf"), r"arms.dpo.beta: "),
        ("seed", -1, r"seed: .*greater than or equal to 0"),
        ("seed", "many", r"seed: .*valid integer"),
        ("languages", ["en", "xx"], r"languages.1: unknown language 'xx'"),
        ("languages", ["en", "en"], r"languages: English \(en\) is listed twice"),
        ("languages", [], r"languages: the list is empty"),
        ("languages", {"task": "xquadd"}, r"languages: no XTREME-R task 'xquadd'"),
        ("groups", {"high": [3, 4], "low": [3]}, r"groups: Joshi class 3 is in both groups"),
        ("thresholds", {"harmless": float("nan")}, r"thresholds.harmless: .*finite"),
        ("analysis", {"primary_arm": "ppo"}, r"analysis.primary_arm: no arm 'ppo'; the arms: base, dpo, sft"),
        ("analysis", {"primary_arm": "base"}, r"analysis.primary_arm: this is the base arm itself"),
        ("generation", {"samples": 3}, r"generation: samples: more than 1 needs `sampling`"),
        (
            "generation",
            {"prompt_format": "custom"},
            r"generation: `template` and prompt_format: custom need each other",
        ),
        ("generation", {"prompt_format": "custom", "template": "x"}, r"generation: `template` must contain \{prompt\}"),
        ("name", "../evil", r"name: .*pattern"),
        ("name", 1, r"name: .*valid string"),
        ("prompts", {}, r"prompts: no source"),
        ("reward", 3, r"reward: .*valid dictionary"),
        ("model", {}, r"model.path: missing"),
    ],
)
def test_an_error_names_its_key(tmp_path: Path, key: str, value: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load(tmp_path, changed(key, value))
    assert str(caught.value).startswith(f"{tmp_path / 'study.yaml'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("- a", "line 1: a study is a mapping"),
        ("a: [1", "line 1: not valid YAML"),
        ("a: 1\na: 2\n", "line 2: duplicate key 'a'"),
        ("a: &x [*x]\n", "not valid YAML|alias"),
        ("a: !!python/object/apply:os.system [ls]\n", "not valid YAML"),
        ("? [1, 2]\n: 3\n", "a key must be plain text"),
        ("a: \x07\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_not_a_study_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(tmp_path, text)


def test_a_study_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(BadInput, match="byte 9: not UTF-8"):
        load_study(str(tmp_path / "s.yaml"))


def test_a_study_that_is_not_there() -> None:
    with pytest.raises(BadInput, match=r"dem: no such study file; did you mean 'demo'\?"):
        load_study("dem")


def test_set_changes_values_and_their_origins(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD, "thresholds.harmless=-2", "prompts.harmful.0.split=train", "languages=[sw, en]")
    assert loaded.study.thresholds.harmless == -2
    assert loaded.study.prompts.harmful[0].split == "train"
    assert loaded.study.language_codes() == ("en", "sw")
    assert loaded.origins["thresholds.harmless"] == "--set"
    assert loaded.origins["thresholds.helpful"] == "default"
    assert loaded.origins["name"] == "study"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("thresholds.harmles=-2", r"--set thresholds.harmles: no such key; did you mean 'harmless'\?"),
        ("seed", "--set seed: write key=value"),
        ("seed=[", "--set seed=.*not valid YAML"),
        ("prompts.harmful.5.split=train", "prompts.harmful is a list of 1; '5' is not an index"),
        ("a..b=1", "the key has an empty part"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(tmp_path, GOOD, override)


def test_the_data_root_comes_from_the_environment_unless_given(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD, environment={"TARAZU_DATA": "/data"})
    assert loaded.study.data.root == "/data"
    assert loaded.origins["data.root"] == "environment (TARAZU_DATA)"
    given = load(tmp_path, GOOD, "data.root=/mine", environment={"TARAZU_DATA": "/data"})
    assert given.study.data.root == "/mine"


def test_languages_by_task_and_resource(tmp_path: Path) -> None:
    study = load(tmp_path, changed("languages", {"task": "xquad", "resource": "low"})).study
    assert study.language_codes() == ("el", "ro", "th")
    assert len(load(tmp_path, changed("languages", "all")).study.language_codes()) == 50


def test_groups_follow_joshi_classes() -> None:
    assert [Groups().of(code) for code in ("en", "hi", "sw", "th")] == ["high", "high", "low", "low"]
    assert Groups(high=(5,), low=(0, 1)).of("hi") is None


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_studies_load(name: str) -> None:
    study = load_study(name, environment={}).study
    assert study.name == name
    assert {"base", "sft", "dpo", "sft_dpo"} == set(study.arms)


def test_pant2025_has_the_values_that_the_paper_states() -> None:
    """Pant 2025, arXiv 2509.09055: the values below are from the paper, not from the study."""
    study = load_study("pant2025", environment={}).study
    values = flatten(study.model_dump(mode="json", by_alias=True))
    stated = {
        "model.path": "facebook/opt-350m",
        "data.pairs.hub": "Anthropic/hh-rlhf",
        "arms.sft.epochs": 2,
        "arms.sft.learning_rate": 2e-5,
        "arms.sft.batch_size": 2,
        "arms.sft.gradient_accumulation": 4,
        "arms.sft.max_length": 512,
        "arms.sft.loss_on": "transcript",
        "prompts.harmful.0.subset": "harmless-base",
        "prompts.harmful.0.split": "test",
        "prompts.harmful.0.contains": ["kill", "murder", "rape"],
        "prompts.harmful.0.limit": 50,
        "prompts.benign.0.subset": "helpful-base",
        "prompts.benign.0.limit": 50,
        "generation.max_new_tokens": 50,
        "generation.sampling": None,
        "generation.cut_at_next_turn": False,
        "reward.harmful.model": "OpenAssistant/reward-model-deberta-v3-large-v2",
        "reward.benign.model": "OpenAssistant/reward-model-deberta-v3-large-v2",
        "thresholds.harmless": -3,
        "thresholds.helpful": -2,
    }
    for arm in ("dpo", "sft_dpo"):
        stated |= {
            f"arms.{arm}.epochs": 1,
            f"arms.{arm}.learning_rate": 2e-5,
            f"arms.{arm}.batch_size": 2,
            f"arms.{arm}.gradient_accumulation": 4,
            f"arms.{arm}.beta": 0.1,
            f"arms.{arm}.lora.r": 8,
            f"arms.{arm}.lora.alpha": 16,
            f"arms.{arm}.lora.dropout": 0.05,
            f"arms.{arm}.lora.target_modules": ["q_proj", "v_proj"],
        }
    for key, value in stated.items():
        assert values[key] == value, key
        origin = study.origin_of(key)
        assert origin is not None
        assert origin.tag == "stated", key
    assert study.reference is not None
    assert study.reference.arms["sft_dpo"] == {"HmR": 44, "HpR": 66, "CAS": 55}
    assert study.reference.training["sft"]["seconds"] == 10895


def test_every_setting_of_pant2025_has_an_origin() -> None:
    study = load_study("pant2025", environment={}).study
    settings = flatten(study.model_dump(mode="json", by_alias=True, exclude={"sources", "reference"}))
    for key in settings:
        if key not in ("name", "title", "caution", "capability", "ratings"):
            origin = study.origin_of(key)
            assert origin is not None, key
            assert origin.note


def test_a_changed_stated_setting_is_marked_as_assumed() -> None:
    study = load_study("pant2025", ["arms.dpo.beta=0.5", "data.pairs.path=x.jsonl"], environment={}).study
    origin = study.origin_of("arms.dpo.beta")
    assert origin is not None
    assert origin.tag == "assumed"
    assert "0.5" in origin.note
    assert "0.1" in origin.note


def test_a_stated_value_must_equal_that_of_the_study(tmp_path: Path) -> None:
    tree = GOOD | {"sources": {"seed": {"tag": "stated", "value": 5, "note": "n"}}}
    with pytest.raises(BadInput, match=r"sources.seed: the publication states 5 but the study has 0"):
        load(tmp_path, tree)


_KEYS = st.sampled_from(sorted(flatten(Study.model_validate(GOOD).model_dump(mode="json", by_alias=True))))
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(_KEYS, _VALUES), min_size=1, max_size=3))
def test_any_override_is_a_study_or_one_line(tmp_path_factory: pytest.TempPathFactory, changes: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    overrides = [f"{key}={yaml.safe_dump(value, default_flow_style=True).splitlines()[0]}" for key, value in changes]
    try:
        load(folder, GOOD, *overrides)
    except BadInput as error:
        assert "\n" not in str(error)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255))
def test_any_changed_byte_is_a_study_or_one_line(tmp_path_factory: pytest.TempPathFactory, at: int, byte: int) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    raw = bytearray(yaml.safe_dump(GOOD, sort_keys=False).encode())
    raw[at % len(raw)] = byte
    path.write_bytes(raw)
    try:
        load_study(str(path), environment={})
    except BadInput as error:
        assert "\n" not in str(error)
