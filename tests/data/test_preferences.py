from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from shared_data import shared
from test_readers import mutated, one_line

from tarazu.data._parallel_checks import check_parallel
from tarazu.data._parallel_set import parallel_languages, read_parallel
from tarazu.data.preferences import load_pairs
from tarazu.data.rows import Loaded, PreferencePair
from tarazu.errors import BadInput, MissingExtra
from tarazu.study.sources import HHPairs, JsonlPairs, ParallelPairs

H, A = "\n\nHuman:", "\n\nAssistant:"
FUZZ = settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def hh(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    return {"chosen": f"{prompt}{A}{chosen}", "rejected": f"{prompt}{A}{rejected}"}


def load(settings: Any, root: Path | None = None, seed: int = 0) -> Loaded[PreferencePair]:
    loaded = load_pairs(settings, root=root, seed=seed)
    assert loaded.read == len(loaded.rows) + sum(loaded.dropped.values())
    assert 0 not in loaded.dropped.values()
    return loaded


ROWS = [
    hh(f"{H} Where do otters sleep?", " In kelp.", " Go away."),
    hh(f"{H} Hello{A} Hello, what is it?{H} How deep is the lake?", " Thirty metres.", " No idea."),
]


def test_hh_is_split_at_the_last_assistant_turn(tmp_path: Path) -> None:
    jsonl(tmp_path / "hh.jsonl.gz", ROWS)
    loaded = load(HHPairs(source="hh-rlhf", path="hh.jsonl.gz"), root=tmp_path)
    first, second = loaded.rows
    assert first.prompt == f"{H} Where do otters sleep?{A}"
    assert (first.chosen, first.rejected) == (" In kelp.", " Go away.")
    assert second.prompt == f"{H} Hello{A} Hello, what is it?{H} How deep is the lake?{A}"
    assert second.chosen == " Thirty metres."
    assert {pair.language for pair in loaded.rows} == {"en"}
    assert loaded.source == first.source == "hh-rlhf"
    assert first.prompt_id.startswith("hh-")
    assert first.prompt_id != second.prompt_id
    assert loaded.dropped == loaded.notes == {}


def test_hh_drops_are_counted_by_reason(tmp_path: Path) -> None:
    sound = ROWS[0]
    rows = [
        sound,
        sound,
        hh(f"{H} Where do otters sleep?", " Another pair.", " Bad."),
        {"chosen": f"{H} One?{A} x", "rejected": f"{H} Two?{A} y"},
        {"chosen": f"{H} One?", "rejected": f"{H} One?{A} y"},
        {"chosen": f"Intro{A} x", "rejected": f"Intro{A} y"},
        hh(f"{H}  ", " x", " y"),
        hh(f"{H} q", " ", " y"),
        hh(f"{H} q", " x", ""),
        hh(f"{H} q", " same", " same "),
    ]
    loaded = load(HHPairs(source="hh-rlhf", path=str(jsonl(tmp_path / "hh.jsonl", rows))))
    assert loaded.read == len(rows)
    assert loaded.dropped == {
        "chosen equals rejected": 1,
        "duplicate": 1,
        "empty chosen": 1,
        "empty prompt": 1,
        "empty rejected": 1,
        "no assistant turn": 1,
        "no human turn first": 1,
        "prompts differ": 1,
    }
    assert loaded.notes == {"more pairs of the same prompt": 1}
    assert loaded.rows[0].prompt_id == loaded.rows[1].prompt_id


def test_hh_folders(tmp_path: Path) -> None:
    jsonl(tmp_path / "repo/harmless-base/train.jsonl.gz", ROWS[:1])
    jsonl(tmp_path / "repo/helpful-base/train.jsonl.gz", ROWS[1:])
    jsonl(tmp_path / "repo/helpful-base/test.jsonl.gz", ROWS)
    jsonl(tmp_path / "flat/harmless-base.train.jsonl", ROWS[:1])

    def count(path: str, **more: Any) -> int:
        return len(load(HHPairs(source="hh-rlhf", path=path, **more), root=tmp_path).rows)

    assert count("repo") == 2
    assert count("repo", subset="harmless-base") == 1
    assert count("repo", subset="helpful-base", split="test") == 2
    assert count("flat", subset="harmless-base") == 1
    with pytest.raises(BadInput, match=r"contains no red-team/train\.jsonl\.gz"):
        count("repo", subset="red-team")
    for path in ("absent", "x" * 300, "a\0b"):
        with pytest.raises(BadInput):
            count(path)
    with pytest.raises(BadInput, match="contains no <subset>/train"):
        count(".")


def test_a_field_of_the_wrong_type_names_its_line(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "hh.jsonl", [ROWS[0], {"chosen": 3, "rejected": "x"}])
    with pytest.raises(BadInput, match=r"hh\.jsonl: line 2: 'chosen' is a whole number; it must be text"):
        load(HHPairs(source="hh-rlhf", path=str(path)))


def test_the_hub_is_queried_and_its_failure_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[Any] = []
    module = ModuleType("datasets")

    def load_dataset(name: str, **where: Any) -> list[dict[str, str]]:
        queries.append((name, where))
        if len(queries) > 1:
            raise ConnectionError("no route\nto host")
        return ROWS

    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    wanted = HHPairs(source="hh-rlhf", subset="harmless-base", split="test")
    assert len(load(wanted).rows) == 2
    assert queries == [("Anthropic/hh-rlhf", {"data_dir": "harmless-base", "split": "test"})]
    with pytest.raises(BadInput, match=r"Anthropic/hh-rlhf.*ConnectionError.*give `path`") as caught:
        load(wanted)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"tarazu\[models\]"):
        load(wanted)


def test_limit_keeps_a_seeded_draw_in_source_order(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "p.jsonl", [{"prompt": f"q{n}", "chosen": "a", "rejected": "b"} for n in range(50)])

    def drawn(seed: int) -> list[int]:
        loaded = load(JsonlPairs(source="jsonl", path=str(path), limit=20), seed=seed)
        assert loaded.dropped == {"over the limit": 30}
        return [int(pair.prompt.removeprefix(f"{H} q").removesuffix(A)) for pair in loaded.rows]

    assert drawn(1) == drawn(1) == sorted(drawn(1))
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 20
    assert drawn(1) != list(range(20))


def test_a_jsonl_file_of_pairs(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Wie geht es?", "chosen": "Gut.", "rejected": " Schlecht.", "language": "de", "prompt_id": "mine"},
        {"prompt": f"{H} Hi{A}", "chosen": "\nHello.", "rejected": "No.", "language": None},
    ]
    first, second = load(JsonlPairs(source="jsonl", path=str(jsonl(tmp_path / "p.jsonl", rows)))).rows
    assert (first.prompt_id, first.language, first.prompt) == ("mine", "de", f"{H} Wie geht es?{A}")
    assert (first.chosen, first.rejected) == (" Gut.", " Schlecht.")
    assert (second.language, second.prompt, second.chosen) == (None, f"{H} Hi{A}", "\nHello.")
    for row, message in (
        ({**rows[0], "language": "xx"}, "line 1: unknown language 'xx'"),
        ({**rows[0], "prompt": f"{H} Hi"}, "must then end with"),
        ({"prompt": "p", "chosen": "c"}, "no field 'rejected'"),
    ):
        with pytest.raises(BadInput, match=message):
            load(JsonlPairs(source="jsonl", path=str(jsonl(tmp_path / "bad.jsonl", [row]))))


# --- the parallel set -----------------------------------------------------------------------------

INDEX = "id,kind,category,split\nh-1,harmful,lies,train\nb-1,benign,food,train\nb-2,benign,food,test\n"
ENGLISH = {"h-1": ("How do I lie?", "I will not.", "Just lie."), "b-1": ("How is rice boiled?", "In water.", "Dunno."),
           "b-2": ("How is tea made?", "In hot water.", "Dunno.")}  # fmt: skip
GREEK = {"h-1": ("Πώς να πω ψέματα;", "Όχι.", "Πες ψέματα."), "b-1": ("Πώς βράζει το ρύζι;", "Σε νερό.", "Δεν ξέρω."),
         "b-2": ("Πώς γίνεται το τσάι;", "Σε ζεστό νερό.", "Δεν ξέρω.")}  # fmt: skip


def texts(rows: dict[str, tuple[str, str, str]]) -> list[dict[str, Any]]:
    provenance = {"author": "machine", "reviewed": False}
    return [
        {**dict(zip(("id", "prompt", "good", "bad"), (key, *row), strict=True)), **provenance}
        for key, row in rows.items()
    ]


@pytest.fixture
def parallel(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    jsonl(folder / "en.jsonl", texts(ENGLISH))
    jsonl(folder / "el.jsonl", texts(dict(reversed(GREEK.items()))))
    (folder / "index.csv").write_text(INDEX)
    return folder


def test_parallel_pairs_are_the_train_split_of_every_language(parallel: Path) -> None:
    loaded = load(ParallelPairs(source="parallel", path="set"), root=parallel.parent)
    assert [(pair.language, pair.prompt_id) for pair in loaded.rows] == [
        ("el", "h-1"),
        ("el", "b-1"),
        ("en", "h-1"),
        ("en", "b-1"),
    ]
    assert loaded.rows[3].prompt == f"{H} How is rice boiled?{A}"
    assert (loaded.rows[3].chosen, loaded.rows[3].rejected) == (" In water.", " Dunno.")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("el.jsonl", texts(GREEK)[:2], "has no row 'b-2'"),
        ("el.jsonl", [*texts(GREEK), {**texts(GREEK)[0], "id": "b-9"}], "'b-9' is not in index"),
        ("el.jsonl", [*texts(GREEK), texts(GREEK)[0]], "line 4: duplicate id 'h-1'"),
        ("el.jsonl", [{**texts(GREEK)[0], "good": " "}], "line 1: good is empty"),
        ("el.jsonl", [{**texts(GREEK)[0], "author": " "}], "line 1: author is missing; write 'machine' or"),
        ("el.jsonl", [{**texts(GREEK)[0], "reviewed": True}], "line 1: reviewed is missing; write false, or"),
        ("xx.jsonl", texts(GREEK), "'xx' is not one of the 50"),
        ("index.csv", "id,kind,category,split\nh-1,harmless,lies,train\n", "line 2: kind is 'harmless'"),
        ("index.csv", "id,kind,category,split\nh-1,harmful,lies,dev\n", "line 2: split is 'dev'"),
        ("index.csv", INDEX + "h-1,harmful,lies,train\n", "line 5: duplicate id 'h-1'"),
    ],
)
def test_parallel_defects(parallel: Path, name: str, content: Any, message: str) -> None:
    if isinstance(content, str):
        (parallel / name).write_text(content)
    else:
        jsonl(parallel / name, content)
    with pytest.raises(BadInput, match=message):
        read_parallel(parallel)


def test_the_shipped_set_is_valid() -> None:
    rows = read_parallel(None)
    assert tuple(rows) == parallel_languages()
    assert "en" in rows
    kinds = Counter((row.kind, row.split) for row in rows["en"])
    assert set(kinds) == {(kind, split) for kind in ("harmful", "benign") for split in ("train", "test")}


# --- published data and arbitrary bytes --------------------------------------------------------------


def test_published_hh_against_a_plain_count() -> None:
    path = shared("hh-rlhf/harmless-base.test.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    sides = [[text.rsplit(A, 1) for text in (row["chosen"], row["rejected"])] for row in rows]
    same = [(c[0], c[1], r[1]) for c, r in sides if c[0] == r[0]]
    full = {row for row in same if row[1].strip() and row[2].strip()}
    loaded = load(HHPairs(source="hh-rlhf", path=str(path)))
    assert loaded.read == len(rows) == 2312
    assert loaded.dropped["prompts differ"] == len(rows) - len(same)
    assert {(pair.prompt.removesuffix(A), pair.chosen, pair.rejected) for pair in loaded.rows} == full
    assert loaded.notes["more pairs of the same prompt"] == len(full) - len({row[0] for row in full})


@FUZZ
@given(content=mutated(["".join(json.dumps(row) + "\n" for row in ROWS).encode()]))
def test_any_hh_bytes_give_pairs_or_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hh.jsonl"
    path.write_bytes(content)
    try:
        load(HHPairs(source="hh-rlhf", path=str(path)))
    except BadInput as error:
        one_line(error)


@FUZZ
@given(content=mutated([b'{"prompt": "q", "chosen": "a", "rejected": "b", "language": "de", "prompt_id": "1"}\n']))
def test_any_jsonl_bytes_give_pairs_or_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(content)
    try:
        load(JsonlPairs(source="jsonl", path=str(path)))
    except BadInput as error:
        one_line(error)


@FUZZ
@given(
    index=mutated([INDEX.encode()]),
    greek=mutated(["".join(json.dumps(row) + "\n" for row in texts(GREEK)).encode()]),
)
def test_any_parallel_bytes_give_pairs_or_one_line(parallel: Path, index: bytes, greek: bytes) -> None:
    (parallel / "index.csv").write_bytes(index)
    (parallel / "el.jsonl").write_bytes(greek)
    assert all("\n" not in str(problem) for report in check_parallel(parallel) for problem in report.problems)
    try:
        load(ParallelPairs(source="parallel", path=str(parallel)))
    except BadInput as error:
        one_line(error)


@pytest.mark.parametrize("source", ["hh-rlhf", "jsonl"])
def test_a_row_without_an_answer_of_the_assistant_at_its_end_is_dropped(source: str, tmp_path: Path) -> None:
    """As other projects reported of HH-RLHF: the human's words would be learnt as the answer."""
    ill, first = "\n\nHuman: I feel ill\n\nAssistant:", "\n\nHuman: a\n\nAssistant: one"
    rows = [
        {"chosen": f"{ill} See a doctor.\n\nHuman: Thanks!", "rejected": f"{ill} Whatever."},
        {"chosen": f"{ill} See a doctor.", "rejected": f"{ill} Go.\n\nHuman: Why?"},
        {"chosen": f"{first}\n\nAssistant: two", "rejected": f"{first}\n\nAssistant: three"},
        {"chosen": f"{ill} Rest.", "rejected": f"{ill} No."},
        {
            "chosen": "\n\nHuman: b\n\nHuman: c\n\nAssistant: ok",
            "rejected": "\n\nHuman: b\n\nHuman: c\n\nAssistant: no",
        },
    ]
    path = str(jsonl(tmp_path / "rows.jsonl", rows))
    loaded = load(
        HHPairs(source="hh-rlhf", path=path) if source == "hh-rlhf" else JsonlPairs(source="jsonl", path=path)
    )
    assert loaded.dropped == {"a human turn after the answer": 2, "no human turn before the answer": 1}
    assert [pair.chosen for pair in loaded.rows] == [" Rest.", " ok"]
