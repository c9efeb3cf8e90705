"""The cost of alignment: the harness's tasks on local checkpoints, compared with plain forward passes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import task_files
import tiny
import torch
from lm_eval.models.huggingface import HFLM
from shared_data import shared

from tarazu.capability import harness, squad
from tarazu.capability.harness import evaluate, load
from tarazu.capability.lm import CheckpointLM
from tarazu.errors import BadInput, MissingExtra
from tarazu.languages import LANGUAGES
from tarazu.study.capability import BENCHMARKS, CapabilitySettings, wanted


def settings(folder: Path, *names: str, **more: Any) -> CapabilitySettings:
    return CapabilitySettings(tasks=task_files.named(*names), include_path=str(folder), **more)


def loaded(chosen: CapabilitySettings) -> harness.Loaded:
    return load(chosen, wanted(chosen, ()), root=None, seed=1)


def lm(model: Any, batch_size: int = 3, row_tokens: int = 64) -> CheckpointLM:
    return CheckpointLM(model, tiny.tokenizer(), batch_size=batch_size, row_tokens=row_tokens, progress=tiny.silent)


def alone(model: Any, context: str, answer: str) -> float:
    """Log-likelihood of an answer after a context, by one forward pass without padding."""
    before = tiny.tokenizer()(context)["input_ids"]
    ids = tiny.tokenizer()(context + answer)["input_ids"]
    with torch.no_grad():
        scores = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(scores[place - 1, ids[place]]) for place in range(len(before), len(ids)))


def test_choices_are_the_most_likely_by_plain_forward_passes(tmp_path: Path) -> None:
    task_files.write_choice(tmp_path / "tasks", "en")
    model = tiny.perturbed(tiny.opt(), seed=4, size=0.2)
    rows = evaluate(loaded(settings(tmp_path / "tasks", "choice_en")), lm(model))
    assert len(rows) == task_files.ITEMS
    right = 0
    for row, doc in zip(rows, task_files.choice_rows("en"), strict=True):
        expected = [alone(model, f"{doc['premise']}, so", f" {choice}") for choice in doc["choices"]]
        assert row["said"] == pytest.approx(expected, abs=1e-4)
        best = max(range(3), key=expected.__getitem__)
        assert row["metrics"] == {"acc": 100.0 * (best == doc["label"])}
        right += best == doc["label"]
    assert 0 < right < task_files.ITEMS  # otherwise the test would be vacuous


def test_answers_are_the_greedy_ones_up_to_the_stop(tmp_path: Path) -> None:
    task_files.write_answer(tmp_path / "tasks", "en", tokens=6)
    model = tiny.perturbed(tiny.opt(), seed=2, size=0.2)
    rows = evaluate(loaded(settings(tmp_path / "tasks", "answer_en")), lm(model))
    for row, doc in zip(rows, task_files.answer_rows("en"), strict=True):
        ids = tiny.tokenizer()(f"Question: {doc['question']}\nAnswer:")["input_ids"]
        start = len(ids)
        for _ in range(6):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == 2:
                break
        text = tiny.tokenizer().decode([token for token in ids[start:] if token != 2], skip_special_tokens=True)
        assert row["said"] == [text.split("\n")[0]]
        assert row["metrics"] == {"exact_match": 100.0 * (text.split("\n")[0] == doc["answer"])}


def test_a_request_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    for code in ("en", "sw"):
        task_files.write_choice(tmp_path / "tasks", code)
        task_files.write_answer(tmp_path / "tasks", code)
    tasks = loaded(settings(tmp_path / "tasks", "answer_en", "answer_sw", "choice_en", "choice_sw"))
    model = tiny.perturbed(tiny.opt(), seed=3, size=0.2)
    found = [evaluate(tasks, lm(model, *sizes)) for sizes in ((1, 8), (7, 100), (64, 4096))]
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            if isinstance(one["said"][0], str):
                assert one == two
            else:
                assert one["said"] == pytest.approx(two["said"], abs=1e-5)


@pytest.mark.parametrize("make", [tiny.opt, tiny.llama, tiny.bloom])
def test_numbers_are_those_of_the_harness_own_model(make: Any) -> None:
    from lm_eval.api.instance import Instance

    model = make()
    theirs = HFLM(pretrained=model, tokenizer=tiny.tokenizer(), batch_size=2, device="cpu")
    pairs = [("rain fell, so ", "wet"), ("rain fell, so", " wet"), ("", "dry ground"), ("x" * 40, " y"), ("a", "b\nc")]
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=index) for index, pair in enumerate(pairs)
    ]
    expected, found = theirs.loglikelihood(requests, disable_tqdm=True), lm(model).loglikelihood(requests)
    assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


def test_a_context_longer_than_the_window_loses_its_beginning() -> None:
    from lm_eval.api.instance import Instance

    model = tiny.opt(positions=32)
    ours = lm(model)
    ((score, _),) = ours.loglikelihood(
        [Instance(request_type="loglikelihood", doc={}, arguments=("z" * 100, " abc"), idx=0)]
    )
    ids = tiny.tokenizer()("z" * 100 + " abc")["input_ids"][-32:]
    with torch.no_grad():
        scores = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    assert score == pytest.approx(sum(float(scores[place - 1, ids[place]]) for place in range(28, 32)), abs=1e-4)
    assert ours.shortened == 1


def test_every_language_of_xtreme_r_has_its_task_in_the_harness() -> None:
    shipped, _ = harness._managers(None)
    for task, benchmark in BENCHMARKS.items():
        names = {benchmark.harness.format(code=code) for code, one in LANGUAGES.items() if task in one.tasks}
        assert names <= set(shipped.task_index)
        if task != "mlqa":  # MLQA also has questions across languages
            assert names == {name for name, entry in shipped.task_index.items() if _is_of(name, entry, task)}


def _is_of(name: str, entry: Any, task: str) -> bool:
    return entry.kind.name == "TASK" and entry.yaml_path.parent.name == task


def test_xquad_of_the_harness_is_scored_though_transformers_lacks_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    rows = [{"context": "c", "question": "q", "answers": {"text": ["The red house"], "answer_start": [0]}}]
    monkeypatch.setattr(
        datasets, "load_dataset", lambda **_: datasets.DatasetDict(validation=datasets.Dataset.from_list(rows))
    )
    chosen = CapabilitySettings(tasks=["xquad_en"])
    tasks = load(chosen, wanted(chosen, ()), root=None, seed=1)
    assert tasks.tasks[0].metric == "f1"
    assert tasks.tasks[0].made.process_results(rows[0], ["red house!"]) == {"f1": 1.0, "exact_match": 1}


def test_f1_and_exact_match_by_hand() -> None:
    assert squad.f1("the red house", "a red barn") == pytest.approx(0.5)  # one of two words, both ways
    assert squad.f1("red", "red red house") == pytest.approx(2 * 1 * (1 / 3) / (1 + 1 / 3))
    assert squad.f1("", "the") == 1.0 and squad.f1("", "red") == 0.0
    assert squad.exact_match("The Red, house.", "red house") == 1
    assert squad.exact_match("red houses", "red house") == 0


def test_without_the_extra_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'tarazu\[capability\]'"):
        harness.need_lm_eval()


REFUSED = {
    "function": ({"doc_to_text": "FUNCTION"}, "!function"),
    "class": ({"class": "os.system"}, "'class' is not a key"),
    "script": ({"dataset_path": "./load.py"}, "dataset_path"),
    "pickle": ({"dataset_path": "pandas"}, "dataset_path: 'pandas'"),
    "remote code": ({"dataset_kwargs": {"trust_remote_code": True}}, "dataset_kwargs.trust_remote_code"),
    "program as measure": ({"metric_list": [{"metric": "./evil.py"}]}, "metric_list: './evil.py'"),
    "hub measure": ({"metric_list": [{"metric": "acc", "hf_evaluate": True}]}, "metric_list"),
    "filter": ({"filter_list": [{"name": "x", "filter": [{"function": "custom"}]}]}, "custom filter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_task_files_with_code_are_refused(tmp_path: Path, case: str) -> None:
    change, why = REFUSED[case]
    path = task_files.write_choice(tmp_path, "en")
    (tmp_path / "utils.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef text(doc):\n    return 'x'\n")
    task_files.write_task(tmp_path, "choice_en", task_files.choice_rows("en"), **_of(path), **change)
    path.write_text(path.read_text().replace("FUNCTION", "!function utils.text"))
    with pytest.raises(BadInput, match="capability.trust_task_code: true") as error:
        loaded(settings(tmp_path, "choice_en"))
    assert why in str(error.value) and "choice_en.yaml" in str(error.value)
    assert not (tmp_path / "ran").exists()


def _of(path: Path) -> dict[str, Any]:
    import yaml

    found = yaml.safe_load(path.read_text())
    return {key: found[key] for key in ("output_type", "doc_to_choice", "doc_to_target")}


def test_code_runs_where_the_study_trusts_it(tmp_path: Path) -> None:
    path = task_files.write_choice(tmp_path, "en")
    (tmp_path / "utils.py").write_text("def text(doc):\n    return doc['premise'].upper()\n")
    path.write_text(path.read_text().replace("'{{premise}}, so'", "!function utils.text"))
    assert "!function" in path.read_text()
    tasks = loaded(settings(tmp_path, "choice_en", trust_task_code=True))
    assert tasks.tasks[0].made.instances[0].args[0] == "EN RAIN FELL 0"


def test_a_task_that_runs_the_model_s_output_is_always_refused(tmp_path: Path) -> None:
    path = task_files.write_choice(tmp_path, "en")
    path.write_text(path.read_text() + "unsafe_code: true\n")
    with pytest.raises(BadInput, match="choice_en: runs the model's output as a program"):
        loaded(settings(tmp_path, "choice_en", trust_task_code=True))


def test_a_task_that_samples_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = task_files.write_answer(tmp_path, "en")
    path.write_text(path.read_text().replace("do_sample: false", "do_sample: true"))
    with pytest.raises(BadInput, match="answer_en: requires sampling"):
        loaded(settings(tmp_path, "answer_en"))


def test_a_template_cannot_reach_into_python(tmp_path: Path) -> None:
    path = task_files.write_choice(tmp_path, "en")
    path.write_text(path.read_text().replace("{{premise}}, so", "{{ premise.__class__.__mro__ }}"))
    with pytest.raises(BadInput, match="choice_en: cannot be read: SecurityError"):
        loaded(settings(tmp_path, "choice_en"))


def test_included_files_are_checked_and_must_be_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    path = task_files.write_choice(folder, "en")
    (folder / "common").write_text("doc_to_text: !function utils.text\n")
    path.write_text(path.read_text() + "include: common\n")
    with pytest.raises(BadInput, match="common: line 1: .*!function"):
        loaded(settings(folder, "choice_en"))
    (tmp_path / "outside").write_text("description: x\n")
    path.write_text(path.read_text().replace("include: common", "include: ../outside"))
    with pytest.raises(BadInput, match="is outside"):
        loaded(settings(folder, "choice_en"))


def test_the_digest_follows_data_shots_and_limit(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    task_files.write_choice(folder, "en")
    first = loaded(settings(folder, "choice_en"))
    assert loaded(settings(folder, "choice_en")).digest == first.digest
    assert first.requests == 3 * task_files.ITEMS
    assert loaded(settings(folder, "choice_en", limit=2)).requests == 6
    shot = loaded(settings(folder, "choice_en", shots=1))
    assert shot.digest != first.digest
    assert shot.tasks[0].made.instances[0].args[0].count("rain fell") == 2
    data = folder / "choice_en.jsonl"
    data.write_text(data.read_text().replace("rain fell 4", "snow fell 4"))
    assert loaded(settings(folder, "choice_en")).digest != first.digest


def test_a_missing_task_is_reported(tmp_path: Path) -> None:
    task_files.write_choice(tmp_path, "en")
    (tmp_path / "choice_en.jsonl").unlink()
    with pytest.raises(BadInput, match="choice_en: cannot be read"):
        loaded(settings(tmp_path, "choice_en"))
    with pytest.raises(ValueError, match="'xnli_eo' is not one of xnli"):
        CapabilitySettings(tasks=["xnli_eo"])


def test_shown_items_are_json(tmp_path: Path) -> None:
    task_files.write_choice(tmp_path / "tasks", "en")
    rows = evaluate(loaded(settings(tmp_path / "tasks", "choice_en")), lm(tiny.opt()))
    assert json.loads(json.dumps(rows)) == rows


def test_the_docs_have_the_table_of_tasks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "capability.md").read_text(encoding="utf-8")
    for task, benchmark in BENCHMARKS.items():
        codes = " ".join(code for code, language in LANGUAGES.items() if task in language.tasks)
        assert f"| {task} | `{benchmark.harness}` | {benchmark.metric} | {codes} |" in page


@pytest.mark.parametrize("name", ["xcopa_sw", "xquad_th"])
def test_the_harness_own_tasks_on_the_published_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks as the harness ships them. Only the source of their rows is changed, because there is no Hub."""
    import datasets

    task, code = name.split("_")
    rows = published(task, code)[:6]
    split = {"xcopa": "test", "xquad": "validation"}[task]
    both = datasets.DatasetDict({key: datasets.Dataset.from_list(rows) for key in {split, "validation"}})
    monkeypatch.setattr(datasets, "load_dataset", lambda **_: both)
    chosen = CapabilitySettings(tasks=[name], limit=4)
    tasks = load(chosen, wanted(chosen, ()), root=None, seed=1)
    model = tiny.opt(positions=2048)
    found = evaluate(tasks, lm(model, row_tokens=2048))
    assert len(found) == 4
    if task == "xcopa":
        for row, doc in zip(found, rows, strict=False):
            joined = {"cause": "kwa sababu", "effect": "kwa hiyo"}[doc["question"]]
            choices = [doc[key][0].lower() + doc[key][1:] for key in ("choice1", "choice2")]
            expected = [alone(model, f"{doc['premise'].strip()[:-1]} {joined}", f" {choice}") for choice in choices]
            assert row["said"] == pytest.approx(expected, abs=1e-3)
            assert row["metrics"]["acc"] == 100.0 * (expected.index(max(expected)) == doc["label"])
    else:
        for row, doc in zip(found, rows, strict=False):
            assert row["metrics"]["f1"] == pytest.approx(100 * squad.f1(row["said"][0], doc["answers"]["text"][0]))
            assert tasks.tasks[0].made.instances[row["item"]].args[0].count(doc["context"]) == 1


def published(task: str, code: str) -> list[dict[str, Any]]:
    if task == "xcopa":
        lines = shared(f"xcopa/test.{code}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]
    with gzip.open(shared(f"xquad/xquad.{code}.json.gz"), "rt", encoding="utf-8") as stream:
        articles = json.load(stream)["data"]
    return [
        {
            "context": paragraph["context"],
            "question": question["question"],
            "answers": {key: [answer[key] for answer in question["answers"]] for key in ("text", "answer_start")},
        }
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
