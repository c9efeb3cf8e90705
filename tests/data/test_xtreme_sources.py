"""MLQA, TyDiQA and XNLI in the formats that their sources publish."""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from shared_data import shared
from source_files import xnli_table
from test_prompts import known, prompts, squad, write_squad

from tarazu.data._sources import normalised
from tarazu.data._squad import Question, wrong_span
from tarazu.data._xnli import QUESTIONS
from tarazu.errors import BadInput
from tarazu.languages import by_task
from tarazu.study.sources import MLQAPrompts, TyDiQAPrompts, XNLIPrompts

PASSAGE = "The old bridge was built in 1712 by Ada Stone, who had seen one in Rome."


def question(passage: str, answer: str) -> Question:
    return Question(passage=passage, question="?", answer=answer, start=passage.find(answer))


def test_a_wrong_span_is_as_long_as_the_answer_and_does_not_overlap_it() -> None:
    spans = {wrong_span("q1", question(PASSAGE, "Ada Stone"), seed) for seed in range(60)}
    assert len(spans) > 5
    for span in spans:
        assert span is not None
        assert span in PASSAGE
        assert 1 <= len(span.split()) <= 2
        assert not {"Ada", "Stone"} & set(span.split())
    # In Chinese a character counts as a word, so a span has as many characters.
    chinese = question("这座古桥由石艾达于一七一二年建成她曾在罗马见过一座", "石艾达")
    assert {len(wrong_span("q", chinese, seed) or "") for seed in range(20)} == {3}
    assert wrong_span("q", question("Ada Stone", "Ada Stone"), 0) is None
    assert wrong_span("q", question("yes yes yes", "yes"), 0) is None, "every span says the same"
    nowhere = Question(passage=PASSAGE, question="?", answer="Rome", start=None)
    assert wrong_span("q", nowhere, 0) is None


@pytest.fixture
def mlqa(tmp_path: Path) -> Path:
    for split in ("test", "dev"):
        folder = tmp_path / "MLQA_V1" / split
        folder.mkdir(parents=True)
        write_squad(folder / f"{split}-context-en-question-en.json", squad(PASSAGE, ("a1", "Who?", "Ada Stone")))
        write_squad(
            folder / f"{split}-context-de-question-de.json.gz",
            squad("Die alte Brücke baute Ada Stone im Jahr 1712.", ("a1", "Wer?", "Ada Stone")),
        )
        # Questions in another language than their passage are not used.
        write_squad(folder / f"{split}-context-en-question-de.json", squad(PASSAGE, ("a2", "Wann?", "1712")))
    return tmp_path / "MLQA_V1"


def test_mlqa(mlqa: Path) -> None:
    source = MLQAPrompts(source="mlqa", path=str(mlqa))
    rows = prompts(source).rows
    assert {(row.prompt_id, row.language) for row in rows} == {("mlqa-a1", "en"), ("mlqa-a1", "de")}
    assert rows[1].text == f"{PASSAGE}\n\nWho?"
    assert {row.good for row in known(source).rows} == {"Ada Stone"}
    assert prompts(MLQAPrompts(source="mlqa", path=str(mlqa / "dev"), split="dev")).read == 2
    with pytest.raises(BadInput, match=r"contains no test-context-<code>-question-<code>\.json"):
        prompts(MLQAPrompts(source="mlqa", path=str(mlqa / "dev")))


def test_tydiqa_as_published_and_as_xtreme_lays_it_out(tmp_path: Path) -> None:
    finnish = squad("Vanhan sillan rakensi Ada Stone vuonna 1712.", ("finnish-7-0", "Kuka?", "Ada Stone"))
    swahili = squad("Daraja la zamani lilijengwa na Ada Stone mwaka 1712.", ("swahili-9-0", "Nani?", "Ada Stone"))
    combined = tmp_path / "tydiqa-goldp-v1.1-dev.json"
    write_squad(combined, finnish, swahili)
    apart = tmp_path / "apart"
    apart.mkdir()
    write_squad(apart / "tydiqa.goldp.fi.dev.json", finnish)
    write_squad(apart / "tydiqa.sw.dev.json.gz", swahili)
    expected = {("tydiqa-finnish-7-0", "fi"), ("tydiqa-swahili-9-0", "sw")}
    for path in (combined, tmp_path, apart):
        rows = prompts(TyDiQAPrompts(source="tydiqa", path=str(path))).rows
        assert {(row.prompt_id, row.language) for row in rows} == expected
    write_squad(combined, squad(PASSAGE, ("klingon-1", "Who?", "Ada Stone")))
    with pytest.raises(BadInput, match="begins with 'klingon'"):
        prompts(TyDiQAPrompts(source="tydiqa", path=str(combined)))
    with pytest.raises(BadInput, match=r"contains no tydiqa-goldp-v1\.1-train\.json"):
        prompts(TyDiQAPrompts(source="tydiqa", path=str(apart), split="train"))


XNLI = [
    ("en", "neutral", 'He said "no".', "He was tired.", "7"),
    ("en", "contradiction", 'He said "no".', "He agreed.", "7"),
    ("en", "entailment", 'He said "no".', "He refused.", "7"),
    ("de", "entailment", "Er sagte nein.", "Er lehnte ab.", "7"),
    ("de", "contradiction", "Er sagte nein.", "Er stimmte zu.", "7"),
    ("de", "neutral", "Es regnet.", "Es ist Montag.", "8"),
]


def test_xnli(tmp_path: Path) -> None:
    xnli_table(tmp_path / "xnli.test.tsv", XNLI)
    source = XNLIPrompts(source="xnli", path=str(tmp_path))
    assert {(row.prompt_id, row.language) for row in prompts(source).rows} == {
        ("xnli-test-7", "en"),
        ("xnli-test-7", "de"),
        ("xnli-test-8", "de"),
    }
    answers = known(source)
    assert {(row.language, row.prompt, row.good, row.bad) for row in answers.rows} == {
        ("en", 'He said "no".\nWhat follows from this?', "He refused.", "He agreed."),
        ("de", "Er sagte nein.\nWas folgt daraus?", "Er lehnte ab.", "Er stimmte zu."),
    }
    assert answers.dropped == {"no sentence that follows, or none that contradicts": 1}
    for row, message in (
        (("en", "maybe", "a", "b", "1"), "gold_label is 'maybe'"),
        (("xx", "neutral", "a", "b", "1"), "language 'xx' is not one of XNLI's 15"),
    ):
        xnli_table(tmp_path / "xnli.test.tsv", [*XNLI, row])
        with pytest.raises(BadInput, match=message):
            prompts(source)
    (tmp_path / "xnli.test.tsv").write_text("language\tgold_label\nen\tneutral\n", encoding="utf-8")
    with pytest.raises(BadInput, match="no column 'sentence1'"):
        prompts(source)
    with pytest.raises(BadInput, match=r"contains no xnli\.dev\.tsv"):
        prompts(XNLIPrompts(source="xnli", path=str(tmp_path), split="dev"))


def test_xnli_has_a_question_in_each_of_its_languages() -> None:
    assert set(QUESTIONS) == set(by_task("xnli"))
    assert len(set(QUESTIONS.values())) == len(QUESTIONS)


def test_hub_rows_are_read_like_files(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"text": ["1712"], "answer_start": [28]}
    triple = [
        {"premise": "It rains.", "hypothesis": text, "label": label}
        for text, label in (("It is wet.", 0), ("It is May.", 1), ("It is dry.", 2))
    ]
    queries: list[Any] = []

    def load_dataset(hub: str, name: str | None = None, *, split: str) -> list[dict[str, Any]]:
        queries.append((hub, name, split))
        row = {"id": "x1" if "mlqa" in hub else "korean-1", "context": PASSAGE, "question": "When?", "answers": answers}
        return triple if hub == "facebook/xnli" else [row]

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    assert known(MLQAPrompts(source="mlqa", split="dev"), languages=["vi"]).rows[0].good == "1712"
    assert prompts(TyDiQAPrompts(source="tydiqa")).rows[0].language == "ko"
    row = known(XNLIPrompts(source="xnli"), languages=["fr"]).rows[0]
    assert (row.prompt_id, row.good, row.bad) == ("xnli-test-row-0", "It is wet.", "It is dry.")
    assert ("facebook/mlqa", "mlqa.vi.vi", "validation") in queries
    assert ("google-research-datasets/tydiqa", "secondary_task", "validation") in queries
    assert ("facebook/xnli", "fr", "test") in queries
    triple[1]["premise"] = "It snows."
    with pytest.raises(BadInput, match="row 2: its premise differs from that"):
        prompts(XNLIPrompts(source="xnli"), languages=["fr"])


def test_spans_of_published_passages(tmp_path: Path) -> None:
    """XQuAD's files have MLQA's format, so they serve as real passages in seven languages under MLQA's names."""
    codes = ("ar", "de", "en", "es", "hi", "vi", "zh")
    for code in codes:
        content = gzip.decompress(shared(f"xquad/xquad.{code}.json.gz").read_bytes())
        (tmp_path / f"test-context-{code}-question-{code}.json").write_bytes(content)
    source = MLQAPrompts(source="mlqa", path=str(tmp_path))
    answers = known(source)
    found = Counter(row.language for row in answers.rows)
    assert set(found) == set(codes)
    assert min(found.values()) > 0.97 * 1190
    for row in answers.rows:
        passage = row.prompt.rpartition("\n\n")[0]
        assert row.bad in passage
        assert normalised(row.good) not in normalised(row.bad)
        assert len(row.bad) < 3 * len(row.good) + 40
