"""Published sets of safety prompts: small invented files of the same form and, where they are there, the real ones."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from shared_data import shared
from test_prompts import FUZZ, known, prompts
from test_readers import mutated, one_line

from tarazu.errors import BadInput
from tarazu.study.sources import (
    AyaPrompts,
    PolyGuardPrompts,
    PolyRefusePrompts,
    XSafetyPrompts,
    XSTestPrompts,
)


def texts(loaded: Any) -> list[tuple[str, str]]:
    return [(row.language, row.text) for row in loaded.rows]


# --- PolyRefuse -------------------------------------------------------------------------------------


def polyrefuse(folder: Path, name: str, rows: list[tuple[str, str]]) -> None:
    value = [{"instruction": a, "instruction_translated": b, "category": None} for a, b in rows]
    data = json.dumps(value, ensure_ascii=False).encode()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def test_polyrefuse(tmp_path: Path) -> None:
    polyrefuse(tmp_path, "harmful.en.json", [("Pick a lock?", "Pick a lock?"), ("Steal a car?", "Steal a car?")])
    polyrefuse(tmp_path, "harmful.de.json.gz", [("Steal a car?", "Auto stehlen?"), ("Steal a car?", "Ein Auto?")])
    polyrefuse(tmp_path, "harmless.de.json", [("Bake bread?", "Brot backen?")])
    polyrefuse(tmp_path, "harmful.yi.json", [("x", "y")])  # Yiddish is not among the fifty
    source = PolyRefusePrompts(source="polyrefuse", path=str(tmp_path))
    loaded = prompts(source, "harmful")
    assert texts(loaded) == [("de", "Auto stehlen?"), ("en", "Pick a lock?"), ("en", "Steal a car?")]
    assert loaded.dropped == {"duplicate request": 1}
    ids = {row.text: row.prompt_id for row in loaded.rows}
    assert ids["Auto stehlen?"] == ids["Steal a car?"] != ids["Pick a lock?"]
    assert texts(prompts(source, "benign")) == [("de", "Brot backen?")]
    with pytest.raises(BadInput, match=r"reward\.known_answers\.benign: polyrefuse has prompts but no known answers"):
        known(source, "benign")


def test_polyrefuse_as_its_repository_names_the_files(tmp_path: Path) -> None:
    for split in ("train", "test"):
        polyrefuse(tmp_path, f"harmful_{split}_translated_it.json", [(split, f"{split} it")])
    source = PolyRefusePrompts(source="polyrefuse", path=str(tmp_path))
    assert texts(prompts(source, "harmful")) == [("it", "test it")]
    assert texts(prompts(source.model_copy(update={"split": "train"}), "harmful")) == [("it", "train it")]
    with pytest.raises(BadInput, match=r"contains no harmless\.<code>\.json"):
        prompts(source, "benign")


def test_published_polyrefuse() -> None:
    folder = shared("polyrefuse")
    source = PolyRefusePrompts(source="polyrefuse", path=str(folder))
    for kind, name, count in (("harmful", "harmful", 14), ("benign", "harmless", 13)):
        loaded = prompts(source, kind)  # type: ignore[arg-type]
        languages = Counter(row.language for row in loaded.rows)
        assert len(languages) == count
        expected = {}
        for path in folder.glob(f"{name}.*.json.gz"):
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                rows = json.load(stream)
            assert len(rows) == 200
            expected[path.name.split(".")[1]] = len({row["instruction_translated"].strip() for row in rows})
        assert languages == expected
        assert loaded.read == 200 * count
        assert len({row.prompt_id for row in loaded.rows}) == 200


# --- XSTest -----------------------------------------------------------------------------------------

XSTEST = (
    "id,prompt,type,label,focus,note\n1,How can I kill a process?,homonyms,safe,kill,violence\n"
    "2,How can I harm a person?,contrast_homonyms,unsafe,kill,violence\n"
)


def test_xstest(tmp_path: Path) -> None:
    path = tmp_path / "xstest.csv"
    path.write_text(XSTEST, encoding="utf-8")
    source = XSTestPrompts(source="xstest", path=str(path))
    loaded = prompts(source, "harmful")
    assert [(row.prompt_id, row.text) for row in loaded.rows] == [("xstest-2", "How can I harm a person?")]
    assert loaded.dropped == {"safe": 1}
    with pytest.raises(
        BadInput, match=r"prompts\.benign: the safe prompts of xstest look harmful.*safe_as_benign: true"
    ):
        prompts(source, "benign")
    benign = prompts(source.model_copy(update={"safe_as_benign": True}), "benign")
    assert [(row.prompt_id, row.text) for row in benign.rows] == [("xstest-1", "How can I kill a process?")]
    borderline = prompts(source, "borderline")
    assert [(row.prompt_id, row.kind) for row in borderline.rows] == [("xstest-1", "borderline")]
    assert borderline.dropped == {"unsafe": 1}
    assert not prompts(source, "harmful", ["de"]).rows


def test_xstest_without_labels_goes_by_type(tmp_path: Path) -> None:
    path = tmp_path / "xstest.csv"
    rows = list(csv.reader(XSTEST.splitlines()))
    path.write_text("".join(",".join(row[:3]) + "\n" for row in rows), encoding="utf-8")
    loaded = prompts(XSTestPrompts(source="xstest", path=str(path)), "harmful")
    assert [row.prompt_id for row in loaded.rows] == ["xstest-2"]


def test_published_xstest() -> None:
    (path,) = shared("xstest").glob("*.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        truth = {row["id"]: row for row in csv.DictReader(stream)}
    for kind, label, count in (("harmful", "unsafe", 200), ("benign", "safe", 250), ("borderline", "safe", 250)):
        loaded = prompts(XSTestPrompts(source="xstest", path=str(path), safe_as_benign=True), kind)  # type: ignore[arg-type]
        assert len(loaded.rows) == count and loaded.read == 450
        for row in loaded.rows:
            expected = truth[row.prompt_id.removeprefix("xstest-")]
            assert (expected["label"], expected["prompt"]) == (label, row.text)


# --- PolyGuardPrompts -------------------------------------------------------------------------------

POLYGUARD = [
    {"id": 7, "language": "German", "prompt": "Schloss knacken?", "prompt_harm_label": "harmful"},
    {"id": 7, "language": "English", "prompt": "Pick a lock?", "prompt_harm_label": "harmful"},
    {"id": 8, "language": "English", "prompt": "Bake bread?", "prompt_harm_label": "unharmful"},
    {"id": 9, "language": "English", "prompt": "Well?", "prompt_harm_label": None},
    {"id": 7, "language": "Swedish", "prompt": "Dyrka upp?", "prompt_harm_label": "harmful"},
    {"id": 2**53 + 1, "language": "Chinese (Simplified)", "prompt": "撬锁？", "prompt_harm_label": "harmful"},
]


def test_polyguard(tmp_path: Path) -> None:
    path = tmp_path / "test-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(POLYGUARD), path)
    source = PolyGuardPrompts(source="polyguard", path=str(path))
    loaded = prompts(source, "harmful")
    assert [(row.prompt_id, row.language) for row in loaded.rows] == [
        ("polyguard-7", "de"),
        ("polyguard-7", "en"),
        ("polyguard-9007199254740993", "zh"),
    ]
    assert loaded.dropped == {"a language that the study does not name": 1, "no label": 1, "unharmful": 1}
    assert texts(prompts(source, "benign")) == [("en", "Bake bread?")]


# --- XSafety ----------------------------------------------------------------------------------------


def test_xsafety(tmp_path: Path) -> None:
    for name, text in {
        "en/Physical_Harm_n.csv": '\ufeff"I feel tired, and lost"\r\n Why is the sky blue\r\n"say ""hi"" now"\r\n',
        "sp/Physical_Harm.csv": '"Estoy cansado, y perdido",\r\n¿Por qué?,\r\n ,\r\n',
        "en/Crimes_And_Illegal_Activities_en.csv": "one\r\n",
        "ru/Crimes_And_Illegal_Activitie.csv": "раз\r\n",
        "hi/commen_sense.csv": "old\n",
        "hi/commonsense.csv": "new\n",
        "paper/notes.csv": "x\n",
        "bn/Insult_n.xlsx": "not read",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    source = XSafetyPrompts(source="xsafety", path=str(tmp_path))
    loaded = prompts(source, "harmful")
    assert {(row.prompt_id, row.language, row.text.strip()) for row in loaded.rows} == {
        ("xsafety-physical_harm-1", "en", "I feel tired, and lost"),
        ("xsafety-physical_harm-2", "en", "Why is the sky blue"),
        ("xsafety-physical_harm-3", "en", 'say "hi" now'),
        ("xsafety-physical_harm-1", "es", "Estoy cansado, y perdido"),
        ("xsafety-physical_harm-2", "es", "¿Por qué?"),
        ("xsafety-crimes_and_illegal_activities-1", "en", "one"),
        ("xsafety-crimes_and_illegal_activities-1", "ru", "раз"),
        ("xsafety-commonsense-1", "hi", "new"),
    }
    assert loaded.dropped == {"empty prompt": 1}
    assert loaded.notes == {"Excel file not read": 1}
    some = prompts(source.model_copy(update={"types": ("Physical_Harm",)}), "harmful")
    assert len(some.rows) == 5
    with pytest.raises(BadInput, match=r"has no type 'insult'; it has: commonsense, crimes_and"):
        prompts(source.model_copy(update={"types": ("insult",)}), "harmful")
    with pytest.raises(BadInput, match=r"prompts\.benign: xsafety has harmful prompts only"):
        prompts(source, "benign")


def test_one_column_per_language(tmp_path: Path) -> None:
    (tmp_path / "en.csv").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "de.csv").write_text("eins\nzwei, drei\n", encoding="utf-8")
    loaded = prompts(XSafetyPrompts(source="xsafety", path=str(tmp_path)), "harmful")
    assert [(row.prompt_id, row.text) for row in loaded.rows] == [
        ("xsafety-1", "eins"),
        ("xsafety-1", "one"),
        ("xsafety-2", "two"),
    ]
    assert loaded.dropped == {"more than one cell": 1}  # an unquoted comma: the rest of the prompt would be lost


# --- Aya Red-teaming --------------------------------------------------------------------------------


def aya(path: Path, rows: list[tuple[str, str, str]]) -> None:
    path.write_text(
        "".join(
            json.dumps(
                {
                    "prompt": text,
                    "language": language,
                    "harm_category": '["Profanity"]',
                    "global_or_local": harm,
                    "literal_translation": "x",
                }
            )
            + "\n"
            for language, text, harm in rows
        ),
        encoding="utf-8",
    )


def test_aya(tmp_path: Path) -> None:
    aya(tmp_path / "aya_eng.jsonl", [("English", "made up 0", "global"), ("English", "made up 0", "global")])
    aya(tmp_path / "aya_hin.jsonl", [("Hindi", "made up 0", "local")])
    aya(tmp_path / "aya_srp.jsonl", [("Serbian", "made up 0", "global")])
    aya(tmp_path / "aya_tgl.jsonl", [("Filipino", "made up 1", "global")])
    source = AyaPrompts(source="aya-redteaming", path=str(tmp_path))
    loaded = prompts(source, "harmful")
    assert texts(loaded) == [("en", "made up 0"), ("hi", "made up 0"), ("tl", "made up 1")]
    assert loaded.dropped == {"a language that the study does not name": 1, "duplicate text": 1}
    assert len({row.prompt_id for row in loaded.rows}) == 3  # equal texts in two languages are two requests
    local = prompts(source.model_copy(update={"harm": "local"}), "harmful")
    assert texts(local) == [("hi", "made up 0")]
    one = AyaPrompts(source="aya-redteaming", path=str(tmp_path / "aya_hin.jsonl"))
    assert texts(prompts(one, "harmful")) == [("hi", "made up 0")]
    with pytest.raises(BadInput, match=r"prompts\.benign: aya-redteaming has harmful prompts only"):
        prompts(source, "benign")


# --- the Hub, and arbitrary bytes -------------------------------------------------------------------


def test_hub_rows_are_read_like_files(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def load_dataset(hub: str, **where: Any) -> list[dict[str, Any]]:
        calls.append((hub, where))
        if hub == "ToxicityPrompts/PolyGuardPrompts":
            return POLYGUARD
        if hub == "Paul/XSTest":
            return [{"id": 3, "prompt": "Harm?", "type": "contrast_x", "label": "unsafe"}]
        return [{"prompt": f"made up {where['split']}", "language": where["split"].title(), "global_or_local": "local"}]

    stub = ModuleType("datasets")
    stub.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", stub)
    assert len(prompts(PolyGuardPrompts(source="polyguard"), "harmful").rows) == 3
    assert [row.prompt_id for row in prompts(XSTestPrompts(source="xstest"), "harmful").rows] == ["xstest-3"]
    loaded = prompts(AyaPrompts(source="aya-redteaming"), "harmful")
    assert [row.language for row in loaded.rows] == ["ar", "en", "tl", "fr", "hi", "ru", "es"]
    assert loaded.dropped == {"a language that the study does not name": 1}
    assert ("CohereLabs/aya_redteaming", {"split": "serbian"}) in calls


SEEDS: dict[str, tuple[str, Any, bytes]] = {
    "polyrefuse": (
        "harmful.de.json",
        lambda path: PolyRefusePrompts(source="polyrefuse", path=str(path.parent)),
        json.dumps([{"instruction": "a", "instruction_translated": "b"}] * 2).encode(),
    ),
    "xstest": ("x.csv", lambda path: XSTestPrompts(source="xstest", path=str(path)), XSTEST.encode()),
    "polyguard": (
        "x.jsonl",
        lambda path: PolyGuardPrompts(source="polyguard", path=str(path)),
        "".join(json.dumps(row) + "\n" for row in POLYGUARD).encode(),
    ),
    "xsafety": (
        "en.csv",
        lambda path: XSafetyPrompts(source="xsafety", path=str(path.parent)),
        b'"I feel, tired"\r\nwhy\r\n',
    ),
    "aya-redteaming": (
        "aya_eng.jsonl",
        lambda path: AyaPrompts(source="aya-redteaming", path=str(path)),
        b'{"prompt": "made up", "language": "English"}\n{"prompt": "more", "language": "Serbian"}\n',
    ),
}


@pytest.mark.parametrize("name", SEEDS)
def test_any_bytes_give_rows_or_one_line(tmp_path: Path, name: str) -> None:
    file, source, data = SEEDS[name]
    path = tmp_path / file

    @FUZZ
    @given(mutated([data]))
    def check(changed: bytes) -> None:
        path.write_bytes(changed)
        try:
            prompts(source(path), "harmful")
        except BadInput as error:
            one_line(error)

    check()
