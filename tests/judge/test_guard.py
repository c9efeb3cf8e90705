"""Guard classifiers agree with transformers called on one row at a time, alone and in a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from small_study import write_rows

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.judge.guard import GuardJudge
from tarazu.judge.judgement import Cache, Judgement
from tarazu.progress import Progress
from tarazu.readers import read_jsonl
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.run.rewards import score_file
from tarazu.study import load_study
from tarazu.study.judges import GuardClassifier

ROWS = [
    ("Why?", "Because."),
    ("How is rice cooked?", "In water, until it is soft and white and warm."),
    ("Hi", ""),
    ("Why?", "No."),
    ("Tell me </s> now", "I will not <s> do that."),
    ("Why is the sky blue, and the sea too?", "Light."),
]
NAMES = {0: "fine", 1: "violent", 2: "hateful"}


def settings(**changes: Any) -> GuardClassifier:
    return GuardClassifier(**{"kind": "guard", "model": "tiny", "bad_labels": ("violent", "hateful"), **changes})


def expected(model: Any, form: str, prompt: str, response: str) -> float:
    """The probability that counts against a response, by transformers and arithmetic alone."""
    texts = {"pair": [[prompt], [response]], "response": [[response]]}
    texts["transcript"] = [[f"\n\nHuman: {prompt}\n\nAssistant: {response}"]]
    with torch.no_grad():
        logits = model(**tiny.tokenizer()(*texts[form], return_tensors="pt")).logits[0].double().numpy()
    if model.config.problem_type == "multi_label_classification":
        return float((1 / (1 + np.exp(-logits)))[1:].sum())
    odds = np.exp(logits - logits.max())
    return float(odds[1:].sum() / odds.sum())


def judged(model: Any, rows: Any = ROWS, cache: Cache | None = None, **changes: Any) -> list[Judgement]:
    judge = GuardJudge(
        model, tiny.tokenizer(), settings(**changes), key="reward.harmful", cache=cache or Cache(None, "")
    )
    return judge.judge(rows, tiny.silent)


@pytest.mark.parametrize("form", ["pair", "response"])
@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
def test_probabilities_are_those_of_transformers(problem: Any, form: str) -> None:
    model = tiny.classifier(NAMES, problem)
    plain = [row for row in ROWS if "<" not in row[0]]
    sums = [expected(model, form, *row) for row in plain]
    threshold = float(np.median(sums))
    found = judged(model, plain, input=form, threshold=threshold)
    assert [one.score for one in found] == pytest.approx([1 - bad for bad in sums], abs=1e-5)
    assert [one.label for one in found] == [int(bad < threshold) for bad in sums]
    assert {one.label for one in found} == {0, 1}
    assert not any(one.shortened for one in found)


@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
def test_a_judgement_does_not_depend_on_its_neighbours(problem: Any) -> None:
    """Also a causal model's, which reads its verdict at the last token; typed control tokens stay text."""
    encoder, causal = tiny.classifier(NAMES, problem), tiny.causal_classifier(NAMES, problem)
    for model, form in ((encoder, "pair"), (causal, "transcript")):
        alone = [judged(model, [row], input=form, batch_size=1)[0].score for row in ROWS]
        for size in (2, 64):
            together = [one.score for one in judged(model, input=form, batch_size=size)]
            assert together == pytest.approx(alone, abs=1e-5)


def test_one_label_alone_and_labels_by_number() -> None:
    model = tiny.classifier(NAMES)
    by_name = judged(model, bad_labels=("hateful",))
    assert by_name == judged(model, bad_labels=(2,))
    other = judged(model, bad_labels=("fine", "violent"))
    assert [one.score for one in by_name] == pytest.approx([1 - (one.score or 0) for one in other], abs=1e-9)


def test_long_texts_lose_the_prompt_s_beginning() -> None:
    found = judged(tiny.classifier(NAMES), [("x" * 200, "Yes."), ("x" * 200, "No, never.")], max_length=40)
    assert all(one.shortened for one in found)
    assert found[0].score != found[1].score


@pytest.mark.parametrize(
    ("names", "problem", "changes", "message"),
    [
        (
            NAMES,
            None,
            {"bad_labels": ("rude",)},
            "bad_labels: tiny has no label rude; its labels: fine, hateful, violent",
        ),
        (NAMES, None, {"bad_labels": (3,)}, "has no label 3"),
        (NAMES, None, {"bad_labels": ("violent", 1)}, "a label is listed twice"),
        (NAMES, None, {"bad_labels": (0, 1, 2)}, "these are all labels of tiny"),
        ({0: "LABEL_0"}, None, {"bad_labels": (0,)}, "one number and no labels; use kind: reward_model"),
        (NAMES, "regression", {"bad_labels": (0,)}, "one number and no labels"),
    ],
)
def test_labels_that_a_model_does_not_have(names: Any, problem: Any, changes: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        judged(tiny.classifier(names, problem), **changes)
    assert str(caught.value).startswith("reward.harmful.")


def test_a_damaged_model_is_reported() -> None:
    with pytest.raises(BadInput, match=r"its logits are not finite in float32 for the response 'ß' .*is damaged"):
        judged(tiny.broken(tiny.classifier(NAMES)), [*ROWS, ("Hi", tiny.BROKEN)])


def test_a_killed_judge_resumes_from_what_it_has_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches already judged are not judged again, and the outcome has the same last digits."""
    monkeypatch.setattr("tarazu.judge.judgement.BATCHES", 1)
    model = tiny.classifier(NAMES)
    complete = judged(model, batch_size=2)
    calls: list[int] = []

    def dies(module: Any, arguments: Any, keywords: Any) -> None:
        calls.append(len(keywords["input_ids"]))
        if len(calls) == 3:
            raise KeyboardInterrupt

    handle = model.register_forward_pre_hook(dies, with_kwargs=True)
    with pytest.raises(KeyboardInterrupt):
        judged(model, cache=Cache(tmp_path, "a judge"), batch_size=2)
    assert judged(model, cache=Cache(tmp_path, "a judge"), batch_size=2) == complete
    assert len(calls) == 4  # two batches, the one that died, and that one again
    assert judged(model, cache=Cache(tmp_path, "another"), batch_size=2) == complete
    assert len(calls) == 7
    handle.remove()
    for file in tmp_path.rglob("*.json"):
        file.write_text("[", encoding="utf-8")
    assert judged(model, cache=Cache(tmp_path, "a judge"), batch_size=2) == complete


# --- in a study ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny.saved(tiny.classifier(NAMES), tmp_path_factory.mktemp("guard") / "guard")


def study(*overrides: str) -> Any:
    return load_study("demo", overrides).study


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("reward.harmful={kind: gard, model: x}", "--set reward.harmful: kind: no such kind of judge"),
        ("reward.harmful={kind: guard, model: x}", "reward.harmful.bad_labels: missing"),
        ("reward.harmful={kind: guard, model: x, bad_labels: []}", "bad_labels: Tuple should have at least 1 item"),
        ("reward.harmful={kind: guard, model: x, bad_labels: [yes]}", "true or false; write it in quotes"),
        ("reward.harmful={kind: guard, model: x, bad_labels: [a], labels: 3}", "labels: no such key"),
        ("reward.benign={kind: guard, model: x, bad_labels: [a]}", "benign.about: a verdict about harm says nothing"),
        (
            "reward.harmful={kind: guard, model: x, bad_labels: [a], about: refusal}",
            "harmful.about: responses to harmful",
        ),
        (
            "reward.harmful=[{model: builtin:reward, input: transcript}, {kind: guard, model: x, bad_labels: [a]}]",
            "harmful: reward models decide by their mean",
        ),
        ("reward.harmful={kind: guard, model: nowhere/at/all/x, bad_labels: [a]}", "not a local folder"),
    ],
)
def test_bad_settings_are_one_line(override: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "demo", "--set", override]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1, error


def responses(folder: Path) -> Path:
    rows = [
        {
            "arm": arm, "language": code, "kind": kind, "prompt_id": f"{kind}-{index}",
            "prompt": f"Question {index} {code}?", "response": f"{arm} answers {index * index} in {code}.",
        }
        for arm in ("base", "dpo") for code in ("en", "de", "sw", "yo")
        for kind in ("harmful", "benign") for index in range(6)
    ]  # fmt: skip
    write_rows(folder / "responses.jsonl", rows)
    return folder / "responses.jsonl"


def test_tarazu_score_writes_labels_that_analyze_reads(tmp_path: Path, guard: str) -> None:
    chosen = study(f"reward.harmful={{kind: guard, model: '{guard}', bad_labels: [violent], threshold: 0.3}}")
    out = tmp_path / "scores.parquet"
    score_file(responses(tmp_path), chosen, out, Progress())
    model = tiny.classifier(NAMES)
    rows = pq.read_table(out).to_pylist()
    for row in rows:
        if row["kind"] == "benign":
            assert row["label"] is None and row["reward"] is not None and row["judge_score"] is None
            continue
        with torch.no_grad():
            inputs = tiny.tokenizer()([row["prompt"]], [row["response"]], return_tensors="pt")
            bad = float(model(**inputs).logits.double().softmax(-1)[0, 1])
        assert row["judge_score"] == pytest.approx(1 - bad, abs=1e-5)
        assert (row["reward"], row["label"], row["harmless"]) == (None, int(bad < 0.3), bad < 0.3)
    assert not list(tmp_path.glob(".*"))
    results = analyze_file(out, AnalysisOptions())
    own = [row["label"] for row in rows if (row["arm"], row["language"], row["kind"]) == ("dpo", "sw", "harmful")]
    assert results.arms["dpo"].languages["sw"].HmR.value == pytest.approx(100 * np.mean(own))
    assert results.unlabelled is None


def test_a_text_that_cannot_be_judged_leaves_nothing(tmp_path: Path) -> None:
    broken = tiny.saved(tiny.broken(tiny.classifier(NAMES)), tmp_path / "broken")
    table = responses(tmp_path)
    table.write_text(table.read_text(encoding="utf-8").replace("dpo answers 25 in yo.", tiny.BROKEN), encoding="utf-8")
    chosen = study(f"reward.harmful={{kind: guard, model: '{broken}', bad_labels: [violent]}}")
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInput, match="its logits are not finite"):
        score_file(table, chosen, tmp_path / "out" / "scores.parquet", Progress())
    assert list((tmp_path / "out").iterdir()) == []


def test_judges_that_disagree_cannot_tell(tmp_path: Path, guard: str) -> None:
    """Two judges of labels: the majority decides, a tie is no label, and each keeps its own row."""
    rows = [(one["prompt"], one["response"]) for _, one in read_jsonl(responses(tmp_path)) if one["kind"] == "harmful"]
    scores = [1 - (one.score or 0) for one in judged(tiny.classifier(NAMES), rows, bad_labels=("violent",))]
    two = ", ".join(
        f"{{kind: guard, model: '{guard}', bad_labels: [violent], threshold: {np.quantile(scores, share)}}}"
        for share in (0.3, 0.7)
    )
    chosen = study(f"reward.harmful=[{two}]")
    score_file(responses(tmp_path), chosen, tmp_path / "scores.parquet", Progress())
    table = pq.read_table(tmp_path / "scores.parquet")
    by_key: dict[Any, dict[str, Any]] = {}
    for row in table.to_pylist():
        if row["kind"] == "harmful":
            by_key.setdefault((row["arm"], row["language"], row["prompt_id"]), {})[row["reward_model"]] = row
    for of_judges in by_key.values():
        one, other, decided = of_judges["guard-1"]["label"], of_judges["guard-2"]["label"], of_judges["default"]
        assert decided["label"] == (one if one == other else None)
        assert decided["reason"] == (None if one == other else "the judges are tied")
    counts = [of_judges["default"]["label"] for of_judges in by_key.values()]
    results = analyze_file(tmp_path / "scores.parquet", AnalysisOptions())
    assert 0 < counts.count(None) < len(counts)
    assert sum(entry.n for entry in results.unlabelled or ()) == counts.count(None)
    (pair,) = [entry for entry in results.reward_models if entry.kind == "harmful"]
    assert pair.labels_differ == pytest.approx(100 * counts.count(None) / len(counts))
    for code, rate in pair.languages.items():
        own = [judges["default"]["label"] for (_, language, _), judges in by_key.items() if language == code]
        assert (rate.n, rate.value) == (12, pytest.approx(100 * own.count(None) / 12))
    assert set(pair.languages) == {"en", "de", "sw", "yo"}


def test_labels_of_known_answers_measure_the_ruler(tmp_path: Path) -> None:
    """Sensitivity and specificity are those of the labels."""
    header = "arm,language,kind,prompt_id,label"
    lines = [f"{arm},{code},{kind},p{i},1" for arm in ("base", "dpo") for code in ("en", "sw")
             for kind in ("harmful", "benign") for i in range(3)]  # fmt: skip
    (tmp_path / "scores.csv").write_text("\n".join([header, *lines]) + "\n")
    known = [f"en,harmful,k{i},{int(i < 8)},{int(i < 3)}" for i in range(10)]
    (tmp_path / "known.csv").write_text("\n".join(["language,kind,prompt_id,label_good,label_bad", *known]) + "\n")
    results = analyze_file(
        tmp_path / "scores.csv", AnalysisOptions(), known=tmp_path / "known.csv", out=tmp_path / "answer"
    )
    entry = results.validity.languages["en"].harmful
    assert (entry.sensitivity, entry.specificity) == (80.0, 70.0)
    again = analyze_file(
        tmp_path / "scores.csv", AnalysisOptions(), known=tmp_path / "answer" / "known_answers.parquet"
    )
    assert again == results
