"""Other tools' files as tables: invented files of the same form, as their own programs write them."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from test_readers import mutated, one_line

from tarazu.cli import main
from tarazu.data.importers import Given, import_files
from tarazu.data.importers import inspect as inspect_logs
from tarazu.errors import BadInput

ALL = Given(arm="dpo", language="de", kind="harmful")


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def responses(path: Path, given_: Given = ALL) -> list[Any]:
    (imported,) = import_files([(path, given_)])
    return imported.responses


def refusal(path: Path, given_: Given = ALL) -> str:
    with pytest.raises(BadInput) as caught:
        import_files([(path, given_)])
    one_line(caught.value)
    return str(caught.value)


# --- lm-evaluation-harness --------------------------------------------------------------------------


def sample(number: int, **changes: Any) -> dict[str, Any]:
    """As `lm_eval --log_samples` writes a sample of a task that generates."""
    return {
        "doc_id": number,
        "doc": {"question": f"Q{number}"},
        "target": "x",
        "arguments": {"gen_args_0": {"arg_0": f"Q{number}", "arg_1": {"until": ["\n\n"]}}},
        "resps": [[f"answer {number}"]],
        "filtered_resps": ["cut"],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": "0",
        "acc": float(number % 2),
    } | changes


NAME = "samples_jail_de_2026-01-21T03-44-18.458309.jsonl"


def harness_results(folder: Path, *, higher: bool = True) -> None:
    (folder / "results_2026-01-21T03-44-18.458309.json").write_text(
        json.dumps({"model_name": "org/model", "higher_is_better": {"jail_de": {"acc": higher}}})
    )


def test_harness_samples(tmp_path: Path) -> None:
    path = lines(tmp_path / NAME, [sample(0), sample(1)])
    assert "does not name its model; use --arm NAME" in refusal(path, Given(language="de", kind="harmful"))
    harness_results(tmp_path)
    rows = responses(path, Given(language="German", kind="harmful", label="acc"))
    assert [(row.arm, row.language, row.kind, row.prompt_id, row.prompt, row.response, row.label) for row in rows] == [
        ("org/model", "de", "harmful", "jail_de-0", "Q0", "answer 0", 0),
        ("org/model", "de", "harmful", "jail_de-1", "Q1", "answer 1", 1),
    ]
    assert {row.label for row in responses(path)} == {None}
    assert "its file says that more of acc is better; use --label acc" in refusal(
        path, Given(language="de", kind="harmful", harm="acc")
    )
    harness_results(tmp_path, higher=False)
    assert [row.label for row in responses(path, Given(language="de", kind="harmful", harm="acc"))] == [1, 0]


def test_harness_rows_say_what_they_are(tmp_path: Path) -> None:
    doc = {"prompt_id": "p7", "language": "Deutsch", "kind": "benign"}
    rows = responses(lines(tmp_path / NAME, [sample(0, doc=doc)]), Given(arm="base"))
    assert [(row.prompt_id, row.language, row.kind) for row in rows] == [("p7", "de", "benign")]
    path = lines(tmp_path / NAME, [sample(0, doc=doc), sample(1, doc=doc | {"language": "Klingon"})])
    (imported,) = import_files([(path, Given(arm="base"))])
    assert len(imported.responses) == 1 and imported.excluded == {"unknown language": 1}
    odd = lines(tmp_path / NAME, [sample(0, metrics=3, filter=["x"])])
    assert len(responses(odd)) == 1
    odd.write_text(json.dumps(sample(0, resps=[["\ud800"]])))
    assert "line 1: broken JSON" in refusal(odd)
    assert "does not name its language; use --language CODE" in refusal(
        lines(tmp_path / NAME, [sample(0)]), Given(arm="a")
    )


def test_harness_forms_of_a_sample(tmp_path: Path) -> None:
    ranked = {"gen_args_0": {"arg_0": "Q", "arg_1": " yes"}, "gen_args_1": {"arg_0": "Q", "arg_1": " no"}}
    path = lines(
        tmp_path / NAME,
        [
            sample(0, arguments=[["older form", {"until": []}]]),
            sample(1, resps=[["one", "two"]]),
            sample(2, arguments=ranked, resps=[[["-1.5", "True"]], [["-2.5", "False"]]]),
            sample(3, filter="strict-match"),
            sample(4, arguments={"gen_args_0": {"arg_0": ['[{"role": "user", "content": "chat"}]'], "arg_1": {}}}),
        ],
    )
    (imported,) = import_files([(path, ALL)])
    assert [(row.prompt, row.response, row.sample) for row in imported.responses] == [
        ("older form", "answer 0", 0),
        ("Q1", "one", 0),
        ("Q1", "two", 1),
        ("chat", "answer 4", 0),
    ]
    assert imported.excluded == {
        "given answers were ranked, none was generated": 1,
        "repeated for the filter strict-match": 1,
    }
    (imported,) = import_files([(path, Given(arm="a", language="de", kind="benign", label="acc"))])
    assert imported.excluded["several responses share one score"] == 1
    only_ranked = lines(tmp_path / NAME, [sample(2, arguments=ranked)])
    assert "no row can be used (given answers were ranked, none was generated: 1); its metrics: acc" in refusal(
        only_ranked
    )


def test_a_score_that_is_no_label(tmp_path: Path) -> None:
    path = lines(tmp_path / NAME, [sample(0), sample(1, acc=0.25)])
    message = refusal(path, Given(arm="a", language="de", kind="benign", label="acc"))
    assert "line 2: acc is '0.25'; a label is 0 or 1" in message
    path.write_text(path.read_text().replace("0.25", "NaN"))
    (imported,) = import_files([(path, Given(arm="a", language="de", kind="benign", label="acc"))])
    assert len(imported.responses) == 1 and imported.excluded == {"no score acc": 1}


# --- inspect ----------------------------------------------------------------------------------------


def log_sample(number: int, epoch: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "epoch": epoch,
        "input": f"Q{number}",
        "target": "x",
        "messages": [],
        "output": {
            "model": "m",
            "choices": [{"message": {"role": "assistant", "content": f"A{number}"}, "stop_reason": "stop"}],
            "completion": f"A{number}",
        },
        "scores": {"judge": {"value": "C" if number % 2 else "I"}},
        "metadata": {},
        "attachments": {},
    } | changes


HEADER = {"version": 2, "status": "success", "eval": {"task": "jail", "model": "openai/gpt-4o", "dataset": {}}}


def eval_log(path: Path, samples: list[dict[str, Any]], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("_journal/start.json", json.dumps(HEADER))
        for one in samples:
            archive.writestr(f"samples/{one['id']}_epoch_{one['epoch']}.json", json.dumps(one))
        archive.writestr("summaries.json", "[]")
        archive.writestr("header.json", json.dumps(HEADER))
    return path


def zstandard_log(path: Path, samples: list[dict[str, Any]]) -> Path:
    """The same log as inspect has compressed it since 2025: method 93, which Python's zipfile cannot write yet."""
    eval_log(path, samples, zipfile.ZIP_STORED)
    packed = io.BytesIO()
    central = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            data = archive.read(info)
            content = pa.compress(data, codec="zstd", asbytes=True)
            name = info.filename.encode()
            fields = (93, 0, 0, zlib.crc32(data), len(content), len(data), len(name), 0)
            central.append(
                struct.pack("<4s4H2H3L5H2L", b"PK\1\2", 63, 63, 0, *fields, 0, 0, 0, 0, packed.tell()) + name
            )
            packed.write(struct.pack("<4s2H3H3L2H", b"PK\3\4", 63, 0, *fields) + name + content)
    start = packed.tell()
    directory = b"".join(central)
    packed.write(directory)
    packed.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(central), len(central), len(directory), start, 0))
    path.write_bytes(packed.getvalue())
    return path


@pytest.mark.parametrize("write", [eval_log, zstandard_log])
def test_inspect_logs(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path / "x.eval", [log_sample(1), log_sample(2), log_sample(1, epoch=2)])
    rows = responses(path, Given(language="de", kind="harmful", label="judge"))
    assert {(row.arm, row.prompt_id, row.sample, row.prompt, row.response, row.label, row.finish) for row in rows} == {
        ("openai/gpt-4o", "jail-1", 0, "Q1", "A1", 1, "eos"),
        ("openai/gpt-4o", "jail-1", 1, "Q1", "A1", 1, "eos"),
        ("openai/gpt-4o", "jail-2", 0, "Q2", "A2", 0, "eos"),
    }
    harm = responses(path, Given(language="de", kind="harmful", harm="judge"))
    assert {(row.prompt_id, row.label) for row in harm} == {("jail-1", 0), ("jail-2", 1)}
    as_json = tmp_path / "x.json"
    as_json.write_text(json.dumps(HEADER | {"samples": [log_sample(1)]}, indent=2))
    assert [row.prompt_id for row in responses(as_json)] == ["jail-1"]


def test_inspect_forms_of_a_sample(tmp_path: Path) -> None:
    reasoned = {
        "completion": "",
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "so"}],
                },
                "stop_reason": "max_tokens",
            }
        ],
    }
    path = eval_log(
        tmp_path / "x.eval",
        [
            log_sample(1, input=[{"role": "user", "content": "attachment://a"}], attachments={"a": "a long request"}),
            log_sample(2, output=reasoned, metadata={"language": "Swahili", "kind": "benign", "prompt_id": "p"}),
            log_sample(3, error={"message": "timed out"}),
            log_sample(4, input=[{"role": "tool", "content": "x"}]),
            log_sample(5, scores={"judge": {"value": float("nan")}}),
            log_sample(6, scores={"judge": {"value": True}}),
            log_sample(7, output={"choices": [], "completion": None}),
            log_sample(8, scores=None),
        ],
    )
    (imported,) = import_files([(path, Given(kind="harmful", language="de", label="judge"))])
    assert {(row.prompt, row.response, row.label) for row in imported.responses} == {
        ("a long request", "A1", 1),
        ("Q2", "so", 0),
        ("Q6", "A6", 1),
    }
    assert sum(imported.excluded.values()) == 5
    assert imported.excluded["the sample ended with an error"] == imported.excluded["no response"] == 1
    assert imported.excluded["no score judge"] == 2
    partial = eval_log(tmp_path / "y.eval", [log_sample(1, scores={"judge": {"value": "P"}})])
    assert "samples/1_epoch_1.json: judge is 'P'; a label is 0 or 1" in refusal(
        partial, Given(kind="harmful", language="de", label="judge")
    )
    own = eval_log(
        tmp_path / "z.eval", [log_sample(2, metadata={"language": "sw", "kind": "benign", "prompt_id": "p"})]
    )
    (row,) = responses(own, Given())
    assert (row.language, row.kind, row.prompt_id) == ("sw", "benign", "p")


def test_a_log_may_not_unpack_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = eval_log(tmp_path / "x.eval", [log_sample(1, store={"x": "y" * 5000})])
    monkeypatch.setattr(inspect_logs, "LARGEST_MEMBER", 4000)
    assert "bytes unpacked, more than 4,000" in refusal(path)


def test_zips_that_are_no_logs(tmp_path: Path) -> None:
    path = tmp_path / "x.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    assert "is a zip archive, but no log of inspect" in refusal(path)
    path.write_bytes(eval_log(tmp_path / "y.eval", [log_sample(1)]).read_bytes()[:-30])
    assert "not a complete zip archive" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", json.dumps(HEADER))
        archive.writestr("samples/1_epoch_1/sample.json", "{}")
    assert "inspect log convert --to json" in refusal(path)


# --- Every Eval Ever --------------------------------------------------------------------------------


def instance(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "schema_version": "0.3.0",
        "evaluation_id": "jail/org/model/1706000000",
        "model_id": "org/model",
        "evaluation_name": "jail.attack_success",
        "sample_id": str(number),
        "interaction_type": "single_turn",
        "input": {"raw": f"Q{number}", "reference": []},
        "output": {"raw": [f"A{number}"]},
        "answer_attribution": [],
        "evaluation": {"score": float(number % 2), "is_correct": number % 2 == 0},
    } | changes


def test_every_eval_ever(tmp_path: Path) -> None:
    chat = {
        "interaction_type": "multi_turn",
        "output": None,
        "messages": [
            {"turn_idx": 0, "role": "user", "content": "Q"},
            {"turn_idx": 1, "role": "assistant", "content": "A"},
            {"turn_idx": 2, "role": "user", "content": "Q again"},
            {"turn_idx": 3, "role": "assistant", "content": "the end"},
        ],
    }
    rows = [instance(0), instance(1), instance(2, **chat), instance(3, evaluation_name="other")]
    path = lines(tmp_path / "u_samples.jsonl", rows)
    config = {"metric_config": {"lower_is_better": True}, "evaluation_name": "jail.attack_success"}
    aggregate = tmp_path / "u.json"
    aggregate.write_text(json.dumps({"evaluation_id": "x", "evaluation_results": [config]}, indent=1))
    for file in (path, aggregate):
        (imported,) = import_files([(file, Given(language="de", kind="harmful", harm="jail.attack_success"))])
        assert [(row.prompt_id, row.response, row.label) for row in imported.responses] == [
            ("jail.attack_success-0", "A0", 1),
            ("jail.attack_success-1", "A1", 0),
            ("jail.attack_success-2", "the end", 1),
        ]
        assert imported.responses[2].prompt == "\n\nHuman: Q\n\nAssistant: A\n\nHuman: Q again\n\nAssistant:"
        assert imported.excluded == {"scores other": 1}
    assert "says that less of jail.attack_success is better; use --harm" in refusal(
        path, Given(language="de", kind="harmful", label="jail.attack_success")
    )


# --- RewardBench and PolyGuard ----------------------------------------------------------------------


def reward_row(number: int, **changes: Any) -> dict[str, Any]:
    row = {"prompt": "Q", "text_chosen": "yes", "text_rejected": "no", "results": 1, "subset": "donotanswer"}
    return row | {"id": number, "scores_chosen": 1.5, "scores_rejected": -0.5} | changes


def test_reward_bench(tmp_path: Path) -> None:
    rows = [reward_row(0), reward_row(1, scores_chosen=[2], scores_rejected=[0.25]), reward_row(2, scores_chosen=None)]
    path = lines(tmp_path / "m_outputs.jsonl", rows)
    (imported,) = import_files([(path, Given(language="en", kind="harmful"))])
    assert [(row.prompt_id, row.source, row.reward_good, row.reward_bad) for row in imported.known_answers] == [
        ("reward-bench-0", "reward-bench-donotanswer", 1.5, -0.5),
        ("reward-bench-1", "reward-bench-donotanswer", 2.0, 0.25),
    ]
    assert imported.excluded == {"no reward": 1}
    # The same, by column, as the leaderboard's files are.
    columns = {name: [row[name] for row in rows] for name in rows[0]} | {"model": "org/rm"}
    by_column = tmp_path / "rm.json"
    by_column.write_text(json.dumps(columns))
    (again,) = import_files([(by_column, Given(language="en", kind="harmful"))])
    assert again.known_answers == imported.known_answers and again.excluded == imported.excluded
    assert "does not name its language" in refusal(path, Given(kind="harmful"))


def test_polyguard_responses(tmp_path: Path) -> None:
    row = {"prompt": "Q", "response": "I would rather not.", "response_refusal_label": "refusal", "language": "German"}
    table = [
        row | {"id": 0, "prompt_harm_label": "harmful", "response_harm_label": "unharmful"},
        row | {"id": 1, "prompt_harm_label": "harmful", "response_harm_label": "harmful"},
        row | {"id": 2, "prompt_harm_label": "unharmful", "response_harm_label": "unharmful"},
        row | {"id": 3, "prompt_harm_label": None, "response_harm_label": None},
        row | {"id": 4, "prompt_harm_label": "harmful", "response": None},
    ]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist(table), path)
    (imported,) = import_files([(path, Given(arm="a"))])
    assert [(one.kind, one.label) for one in imported.responses] == [("harmful", None)] * 2 + [("benign", None)]
    (imported,) = import_files([(path, Given(arm="a", harm="response_harm_label"))])
    assert [(one.prompt_id, one.language, one.label) for one in imported.responses] == [
        ("polyguard-0", "de", 1),
        ("polyguard-1", "de", 0),
    ]
    assert imported.excluded["a label of harm does not say whether a response is helpful"] == 1
    assert "use --harm response_harm_label" in refusal(path, Given(arm="a", label="response_harm_label"))


# --- the command ------------------------------------------------------------------------------------


def test_two_logs_become_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for arm in ("base", "dpo"):
        samples = [
            log_sample(number, metadata={"language": code, "kind": kind, "prompt_id": f"{kind}-{number}"})
            for number in range(6)
            for code, kind in (("de", "harmful"),)
        ]
        files.append(eval_log(tmp_path / f"{arm}.eval", samples))
    out = tmp_path / "scores.parquet"
    command = ["import", *map(str, files), "--arm", "base", "--arm", "dpo", "--out", str(out)]
    assert main([*command, "--label", "judge"]) == 0
    table = pd.read_parquet(out)
    assert table.groupby("arm").label.mean().to_dict() == {"base": 0.5, "dpo": 0.5}
    assert main(["analyze", str(out), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["arms"]["dpo"]["languages"]["de"]["HmR"]["value"] == 50.0
    assert main(command) == 0
    assert "scores that --label or --harm can take: judge" in capsys.readouterr().err
    assert "label" not in pd.read_parquet(out).columns


def test_messages_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(lines(tmp_path / NAME, [sample(0), sample(1)]))
    said = ["--language", "de", "--kind", "harmful", "--out", str(tmp_path / "t.parquet")]
    for options, message in (
        ([path, path, "--arm", "a", *said], "a second response of a to jail_de-0 in de (harmful)"),
        ([path, path, path, "--arm", "a", "--arm", "b", *said], "--arm: 2 values for 3 files"),
        ([path, "--arm", "a", *said, "--label", "acc", "--harm", "acc"], "--label and --harm: both choose the label"),
        ([path, "--arm", "a", "--kind", "nice", "--out", "t.parquet"], "--kind: must be harmful or benign"),
        ([path, "--arm", "a", "--out", "t.csv"], "t.csv: the table is written as parquet"),
        ([str(tmp_path / "none"), *said], "no such file"),
    ):
        assert main(["import", *options]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "t.parquet").exists()
    assert main(["analyze", path]) == 2
    assert "is a row of lm-evaluation-harness; `tarazu import` makes a table of the file" in capsys.readouterr().err
    other = lines(tmp_path / "other.jsonl", [{"a": 1}, {"a": 2}])
    assert "not a file that can be imported (it has: a)" in refusal(other)
    other.write_text(json.dumps({"results": {}, "config": {}}, indent=1))
    assert "is one JSON object (it has: results, config)" in refusal(other)


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_any_bytes_give_rows_or_one_line(tmp_path: Path) -> None:
    seeds = [
        lines(tmp_path / "a", [sample(0), sample(1)]).read_bytes(),
        lines(tmp_path / "b", [instance(0), instance(1)]).read_bytes(),
        lines(tmp_path / "c", [reward_row(0)]).read_bytes(),
        eval_log(tmp_path / "d", [log_sample(1)]).read_bytes(),
        zstandard_log(tmp_path / "e", [log_sample(1)]).read_bytes(),
        json.dumps(HEADER | {"samples": [log_sample(1)]}).encode(),
    ]
    path = tmp_path / NAME

    @FUZZ
    @given(mutated(seeds))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        for given_ in (ALL, Given(arm="a", language="de", kind="benign", label="acc")):
            try:
                import_files([(path, given_)])
            except BadInput as error:
                one_line(error)

    check()
