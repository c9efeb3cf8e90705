"""Levels, dimensions, tiers, review and monitor of records with a known state."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import site_data
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from typed_results import typed

import tarazu
from tarazu.assessment.assess import assess, review_monitor, write_assessment
from tarazu.assessment.dimensions import quality_dimensions
from tarazu.assessment.facts import Facts, read_facts
from tarazu.assessment.levels import verification_levels
from tarazu.assessment.review import REVIEWERS, review, review_by_model
from tarazu.assessment.tier import tier_of
from tarazu.cli import main
from tarazu.commands.record import write_outputs
from tarazu.errors import BadInput, TarazuError
from tarazu.record.contracts import TierInputs
from tarazu.record.corrections import correct
from tarazu.record.reading import Record, read_record
from tarazu.results import document


@pytest.fixture(scope="module")
def built() -> Path:
    return site_data.built_once()


@pytest.fixture
def record(built: Path, tmp_path: Path) -> Record:
    """A copy that a test may change."""
    shutil.copytree(built, tmp_path / "record")
    return read_record(tmp_path / "record")


def level_of(facts: Facts, claim: str) -> int:
    return next(one.level for one in verification_levels(facts).claims if one.id == claim)


def test_without_a_gate_only_values_are_inspected(record: Record) -> None:
    facts = read_facts(record)
    levels = verification_levels(facts)
    assert level_of(facts, "hmr-dpo") == 4
    assert level_of(facts, "highest-hmr") == level_of(facts, "alone") == level_of(facts, "scale-a") == 1
    assert levels.paper_level == 4
    summary = levels.claim_summary
    assert summary.sandbox_executed_claims == summary.externally_reviewed_or_formally_verified_claims == 0
    assert facts.verified == ()


def test_a_gate_raises_each_claim_by_its_kind(record: Record) -> None:
    facts = read_facts(site_data.put_gate(record))
    assert [level_of(facts, name) for name in ("hmr-dpo", "highest-hmr", "more-helpful")] == [5, 5, 5]
    assert [level_of(facts, name) for name in ("scale-a", "scale-b", "alone")] == [3, 3, 2]
    assert level_of(facts, "cas-lies-between-hmr-and-hpr") == 5
    levels = verification_levels(facts)
    # Six theorems are in every record, so they raise nothing. Nobody attests a re-run, so L6 is not reached.
    assert levels.paper_level == 5
    assert levels.claim_summary.source_grounded_claims == 3
    assert levels.claim_summary.cross_source_corroborated_claims == 2
    assert levels.claim_summary.independently_reproduced_claims == 0
    assert [one.level for one in levels.unsupported_upper_levels] == [6, 7]
    assert all(one.reason for one in levels.unsupported_upper_levels)
    assert "Checked by z3. Only Lean's check reaches L7." in {one.basis for one in levels.claims}
    proved = read_facts(site_data.put_gate(record, checker="lean"))
    assert level_of(proved, "cas-lies-between-hmr-and-hpr") == 7 and verification_levels(proved).paper_level == 5


def test_a_renamed_theorem_of_the_package_does_not_count(record: Record) -> None:
    path = record.path / "claims.json"
    claims = json.loads(path.read_text(encoding="utf-8"))
    theorems = [claim for claim in claims["claims"] if claim["kind"] == "mathematical"]
    claims["claims"] = [{**claim, "id": f"mine-{i}", "origin": "author"} for i, claim in enumerate(theorems)]
    path.write_text(json.dumps(claims), encoding="utf-8")
    facts = read_facts(site_data.put_gate(site_data.reseal(record.path)))
    assert facts.verified == ()
    assert verification_levels(facts).paper_level == 0


def test_a_failed_claim_limits_the_record(record: Record) -> None:
    facts = read_facts(site_data.put_gate(record, "FALSIFIED", hmr_dpo="failed"))
    assessed = assess(facts)
    assert level_of(facts, "hmr-dpo") == 1
    assert assessed.verification_levels.paper_level == 4
    assert assessed.quality_tiers.tier == "QUARANTINE_CANDIDATE"
    assert assessed.quality_dimensions.reproducibility_status.score == 0
    assert assessed.quality_dimensions.evidence_strength.level == "LOW"
    assert [one.trigger for one in assessed.review_monitor.active_triggers] == ["failed_rerun"]


def test_a_changed_byte_is_quarantine_at_level_0(record: Record) -> None:
    site_data.put_gate(record)
    path = record.path / "sources" / "a.md"
    path.write_bytes(path.read_bytes().replace(b"brass", b"steel"))
    assessed = assess(read_facts(read_record(record.path)))
    assert assessed.verification_levels.paper_level == 0
    assert assessed.quality_tiers.tier == "QUARANTINE_CANDIDATE"
    assert assessed.quality_tiers.inputs.verified_claim_count == 0
    assert [one.trigger for one in assessed.review_monitor.active_triggers] == ["changed_source"]
    assert "sources/a.md" in assessed.review_monitor.active_triggers[0].message


def test_a_gate_about_another_manifest_does_not_count(record: Record) -> None:
    gate = (site_data.put_gate(record).path / "gate.json").read_bytes()
    correct(record.path, kind="METADATA", note="The title was wrong.")
    (record.path / "gate.json").write_bytes(gate)
    facts = read_facts(read_record(record.path))
    assert facts.stale
    assert facts.status == "UNVERIFIED"
    assert facts.verified == ()
    assert [one.trigger for one in review_monitor(facts).active_triggers] == ["correction"]


def test_a_newer_version_is_a_trigger(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = read_facts(site_data.put_gate(record))
    assert review_monitor(facts).state == "CURRENT"
    monkeypatch.setattr(tarazu, "__version__", "0.10.0")
    assert [one.trigger for one in review_monitor(facts).active_triggers] == ["newer_tool"]
    monkeypatch.setattr(tarazu, "__version__", "0.0.9")
    assert review_monitor(facts).state == "CURRENT"


@given(
    score=st.one_of(st.sampled_from([0, 4.99, 5, 7.49, 7.5, 8.49, 8.5, 10]), st.floats(0, 10)),
    claims=st.integers(0, 8),
    level=st.sampled_from(["UNASSESSED", "LOW", "MEDIUM", "HIGH"]),
    falsified=st.booleans(),
    intact=st.booleans(),
)
def test_the_tier_is_the_first_match(score: float, claims: int, level: Any, falsified: bool, intact: bool) -> None:
    inputs = TierInputs(review_score=score, verified_claim_count=claims, artifact_types=(), reproducibility_level=level)
    tier, basis = tier_of(inputs, falsified=falsified, intact=intact)
    conditions = {
        "QUARANTINE_CANDIDATE": falsified or not intact,
        "FLAGSHIP_CANDIDATE": score >= 8.5 and claims >= 5 and level == "HIGH",
        "DOI_GRADE": score >= 7.5 and claims >= 1,
        "PUBLIC_RECORD": score >= 5.0,
        "WATCHLIST": True,
    }
    assert tier == next(name for name, holds in conditions.items() if holds)
    assert basis


def test_reproducibility_is_high_only_if_the_gate_is_verified(record: Record) -> None:
    facts_by_status = {None: read_facts(record)}
    for status in ("UNVERIFIED", "FALSIFIED", "VERIFIED"):
        facts_by_status[status] = read_facts(site_data.put_gate(record, status))
    levels = {
        status: quality_dimensions(facts).reproducibility_status.level for status, facts in facts_by_status.items()
    }
    assert levels == {None: "LOW", "UNVERIFIED": "LOW", "FALSIFIED": "LOW", "VERIFIED": "HIGH"}


@pytest.mark.parametrize(
    ("depth", "scripts", "score"),
    [
        ("analysis", {"analysis": "package"}, 8.0),
        ("training", {"analysis": "package", "training": "package"}, 10.0),
        ("responses", {"analysis": "package", "responses": "package"}, 9.0),
        # An author's script from a deeper depth could repeat known results, so it adds nothing.
        ("training", {"analysis": "package", "training": "author"}, 8.0),
        ("analysis", {"analysis": "author"}, 7.0),
        ("training", {"analysis": "author", "training": "package"}, 7.0),
        ("training", {}, 7.0),
    ],
)
def test_reproducibility_depends_on_whose_script_ran(
    record: Record, depth: str, scripts: dict[str, str], score: float
) -> None:
    record = site_data.put_gate(record)
    path = record.path / "gate.json"
    gate = json.loads(path.read_text(encoding="utf-8")) | {"depth": depth, "scripts": scripts}
    path.write_text(json.dumps(gate), encoding="utf-8")
    assessed = assess(read_facts(read_record(record.path)))
    status = assessed.quality_dimensions.reproducibility_status
    assert status.score == score and (status.level == "HIGH") == (score > 7)
    # Level and tier say whose script it was.
    for depth_run, by in scripts.items():
        words = (
            f"{depth_run}: {'package' + chr(39) + 's analysis' if by == 'package' else 'author' + chr(39) + 's script'}"
        )
        assert words in assessed.verification_levels.basis and words in assessed.quality_tiers.basis


def test_claims_with_the_same_check_count_once(record: Record) -> None:
    path = record.path / "claims.json"
    claims = json.loads(path.read_text(encoding="utf-8"))
    one = next(claim for claim in claims["claims"] if claim["id"] == "hmr-dpo")
    claims["claims"] = [{**one, "id": f"copy-{number}", "statement": f"Version {number}."} for number in range(6)]
    path.write_text(json.dumps(claims), encoding="utf-8")
    facts = read_facts(site_data.put_gate(site_data.reseal(record.path)))
    assert len(facts.verified) == 6 and assess(facts).quality_tiers.inputs.verified_claim_count == 1
    # Other spellings of the place, and other statements about the same result.
    value = one["check"]["value"]
    texts = [f"HmR('dpo') > {value - 5}", f"HmR('dpo')>{value - 6}", f"within(HmR('dpo'), {value}, 0.1)"]
    checks = [one["check"], *({"expression": text} for text in texts)]
    claims["claims"] = [{**one, "id": f"copy-{number}", "check": check} for number, check in enumerate(checks)]
    path.write_text(json.dumps(claims), encoding="utf-8")
    facts = read_facts(site_data.put_gate(site_data.reseal(record.path)))
    assessed = assess(facts)
    assert len(facts.verified) == 4 and assessed.quality_tiers.inputs.verified_claim_count == 1
    assert "1 of 1 claims" in assessed.verification_levels.basis


def test_theorems_of_authors_and_context_raise_no_level(record: Record) -> None:
    path = record.path / "claims.json"
    claims = json.loads(path.read_text(encoding="utf-8"))
    theorems = [claim for claim in claims["claims"] if claim["kind"] == "mathematical"]
    theorems[0]["smt"]["negation"] = "(not (<= least greatest))"
    path.write_text(json.dumps(claims), encoding="utf-8")
    record = site_data.put_gate(site_data.reseal(record.path), checker="lean", hmr_dpo="context")
    facts = read_facts(record)
    assert level_of(facts, theorems[0]["id"]) == 1 and level_of(facts, theorems[1]["id"]) == 7
    assert level_of(facts, "hmr-dpo") == 4
    counted = {claim.id for claim in facts.own}
    assert not counted & {"hmr-dpo", *(claim["id"] for claim in theorems)}
    assert verification_levels(facts).claim_summary.externally_reviewed_or_formally_verified_claims == len(theorems) - 1


def test_numerical_consistency_counts_failed_checks(record: Record) -> None:
    facts = read_facts(record)
    intact = quality_dimensions(facts).numerical_consistency
    assert intact.score == 10
    results = document(record.results)
    results["arms"]["dpo"]["languages"]["de"]["CAS"]["value"] += 1
    rate = results["arms"]["sft"]["HmR"]
    rate["value"] = (rate["ci_high"] + 100) / 2
    changed = dataclasses.replace(record, results=typed(results), document=results)
    broken = dataclasses.replace(facts, record=changed)
    assessed = quality_dimensions(broken).numerical_consistency
    total = int(intact.basis.split()[0])
    # Three checks fail: a mean, an interval, and the claim about that rate.
    assert assessed.score == pytest.approx(round(10 * (total - 3) / total, 2))
    for named in ("CAS of dpo in de", "interval of HmR of sft", "hmr-sft"):
        assert named in assessed.basis


def test_a_review_is_a_mean_of_shares_and_every_missed_rule_has_a_fix(record: Record) -> None:
    assessed = review(read_facts(record))
    scores = []
    for one in assessed.reviews:
        weights = {True: 0, False: 0, None: 0}
        for check in one.checks:
            weights[check.passed] += check.weight
            assert check.finding
            assert bool(check.fix) == (check.passed is False)
        scores.append(10 * weights[True] / (weights[True] + weights[False]))
        assert one.score == pytest.approx(scores[-1], abs=0.005)
    assert assessed.score == pytest.approx(sum(scores) / len(REVIEWERS), abs=0.006)
    assert "not peer review" in assessed.notice
    ids = [rule.id for reviewer in REVIEWERS for rule in reviewer.rules]
    assert len(ids) == len(set(ids)) > 35


UNDEFINED = {"value": None, "ci_low": None, "ci_high": None, "n": 0, "n_languages": 0, "reason": "no benign prompt"}


@pytest.mark.parametrize(
    ("check", "place", "value"),
    [
        ("intervals", ("arms", "dpo", "HmR", "ci_low"), None),
        ("counts", ("arms", "dpo", "CAS", "n"), 0),
        ("answer", ("tradeoff", "primary", "p"), None),
        ("power", ("tradeoff", "primary", "mde"), None),
        ("multiplicity", ("tradeoff", "secondary", 0, "p_holm"), None),
        ("languages", ("tradeoff", "primary", "n_low"), 4),
        ("both-kinds", ("arms", "sft", "HpR"), UNDEFINED),
        ("sensitivity", ("tradeoff", "sensitivity", 5, "verdict"), "differs"),
    ],
)
def test_each_rule_reads_its_own_value(record: Record, check: str, place: tuple[Any, ...], value: Any) -> None:
    def answer(results: dict[str, Any]) -> bool | None:
        facts = dataclasses.replace(read_facts(record), record=dataclasses.replace(record, results=typed(results)))
        return next(one.passed for reviewed in review(facts).reviews for one in reviewed.checks if one.id == check)

    results = document(record.results)
    assert answer(results) is True
    parent = results
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    assert answer(results) is False


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_changed_results_are_refused_or_assessed(built: Path, data: st.DataObject) -> None:
    """If any value of results.json changes, the file is refused in one line or can be assessed."""
    record = read_record(built)
    results = document(record.results)
    for _ in range(data.draw(st.integers(1, 3))):
        here = results
        while True:
            key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
            if not isinstance(here[key], dict | list) or not here[key] or data.draw(st.integers(0, 9)) == 0:
                break
            here = here[key]
        here[key] = data.draw(st.none() | st.floats(0, 100) | st.floats(allow_nan=False) | st.text(max_size=4))
    try:
        read = typed(results)
    except BadInput as error:
        assert str(error).startswith("results.json: ") and "\n" not in str(error)
        return
    facts = Facts(
        record=dataclasses.replace(record, results=read, document=results),
        defects=(),
        events=(),
        chain=None,
        gate=None,
        stale=False,
    )
    assert 0 <= assess(facts).review.score <= 10


def test_the_file_matches_its_schemas(record: Record) -> None:
    facts = read_facts(site_data.put_gate(record))
    write_assessment(facts, assess(facts))
    written = json.loads((record.path / "assessment.json").read_text(encoding="utf-8"))
    folder = Path(tarazu.__file__).parent / "schemas"
    parts = {
        "assessment-v2": written,
        "verification-levels-v1": written["verification_levels"],
        "quality-dimensions-v1": written["quality_dimensions"],
        "quality-tiers-v1": written["quality_tiers"],
        "automated-review-v2": written["review"],
        "review-monitor-v1": written["review_monitor"],
    }
    for name, part in parts.items():
        schema = json.loads((folder / f"{name}.schema.json").read_text(encoding="utf-8"))
        assert list(Draft202012Validator(schema).iter_errors(part)) == []
        if "contract" in part:
            assert part["contract"] == name


def test_the_command_writes_both_outputs_and_reports_a_broken_gate(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "assess", str(record.path)]) == 0
    output = capsys.readouterr().out
    assert "Triage, not peer review" in output
    assert "Is the manifest signed?" not in output
    assert (record.path / "assessment.json").is_file()
    assert (record.path / "record.html").is_file()
    assert read_facts(read_record(record.path)).defects == ()
    (record.path / "gate.json").write_text('{"status": "VERIFIED"}', encoding="utf-8")
    assert main(["record", "assess", str(record.path)]) == 2
    assert "gate.json" in capsys.readouterr().err


# --- the language model ---------------------------------------------------------------------------


class _Model(BaseHTTPRequestHandler):
    answer = "{}"
    requests: list[Any] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append((self.path, self.headers.get("Authorization"), body))
        text = self.answer.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Model)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    _Model.requests.clear()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def _completion(content: str) -> str:
    return json.dumps({"choices": [{"message": {"content": content}}]})


def test_a_language_model_adds_a_review_and_changes_no_score(
    record: Record, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TARAZU_JUDGE_KEY", "secret")
    without = write_outputs(record.path)
    _Model.answer = _completion('Here it is: {"score": 0.5, "findings": ["Say <b>more</b>."]}')
    assessed = write_outputs(record.path, judge_url=address, judge_model="tiny")
    assert assessed.review.score == without.review.score
    assert assessed.quality_tiers == without.quality_tiers
    added = assessed.review.reviews[-1]
    assert (added.kind, added.score, added.findings) == ("language_model", 0.5, ("Say <b>more</b>.",))
    assert len(assessed.review.reviews) == len(without.review.reviews) + 1
    path, key, body = _Model.requests[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "tiny")
    assert record.manifest.work.abstract in json.loads(body["messages"][1]["content"])["abstract"]
    assert "Answer with one JSON object and nothing else" in body["messages"][0]["content"]
    page = (record.path / "record.html").read_text(encoding="utf-8")
    assert "language model; does not count" in page
    assert "Say &lt;b&gt;more&lt;/b&gt;." in page


@pytest.mark.parametrize(
    "answer",
    [
        "no JSON",
        "[]",
        _completion("nothing"),
        _completion('{"score": 11, "findings": []}'),
        _completion('{"score": "high"}'),
        "[" * 9999,
    ],
)
def test_an_answer_in_another_form_is_refused(record: Record, address: str, answer: str) -> None:
    _Model.answer = answer
    with pytest.raises(TarazuError, match="answer"):
        review_by_model(read_facts(record), address, "tiny")


def test_invalid_and_unreachable_addresses_are_reported(record: Record) -> None:
    facts = read_facts(record)
    with pytest.raises(BadInput, match="not a web address"):
        review_by_model(facts, "file:///etc/passwd", "tiny")
    with pytest.raises(TarazuError, match="no answer"):
        review_by_model(facts, "http://127.0.0.1:9/v1", "tiny")
    with pytest.raises(BadInput, match="both or neither"):
        write_outputs(record.path, judge_url="http://127.0.0.1:9/v1")
