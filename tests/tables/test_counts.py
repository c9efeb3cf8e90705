"""Counts of a paper's table: read or refused, rates and tests, the comparison of groups, and what is not known."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import record_data
from hypothesis import given
from hypothesis import strategies as st
from made_up_scores import HIGH, LANGUAGES, LOW
from scipy import stats
from shapes import faults
from shared_data import shared
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

import tarazu
from tarazu import cli
from tarazu.errors import BadInput
from tarazu.record.build.assemble import AuthorInput, build_from_run
from tarazu.record.reading import check_artifacts, read_record
from tarazu.results import document, read_results
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.scores import read_scores, score_rows
from tarazu.stats.calibration import calibrate, ours_from_counts
from tarazu.stats.simulation import Truth
from tarazu.tables.counts import UNKNOWN_PROMPT, responses_of_percent

TABLE_1 = {  # of Pant (arXiv 2509.09055): HmR and HpR in percent, of 50 prompts a kind
    "base": (42, 22),
    "sft": (48, 56),
    "dpo": (36, 46),
    "sft_dpo": (44, 66),
}
CAS = {"base": 32, "sft": 52, "dpo": 41, "sft_dpo": 55}


def written(folder: Path, text: str, name: str = "counts.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def table_1(folder: Path, *, column: str = "percent") -> Path:
    lines = [f"arm,language,kind,{column},n"]
    for arm, rates in TABLE_1.items():
        for kind, rate in zip(("harmful", "benign"), rates, strict=True):
            lines.append(f"{arm},en,{kind},{rate if column == 'percent' else rate // 2},50")
    return written(folder, "\n".join(lines) + "\n")


def counts_of(
    folder: Path, languages: Sequence[str] = LANGUAGES, kinds: Sequence[str] = ("harmful", "benign")
) -> tuple[Path, Any]:
    """A table of counts, and the counts by (arm, language, kind)."""
    random = np.random.default_rng(3)
    made = {}
    for code in languages:
        for kind in kinds:
            rate = random.uniform(0.3, 0.6)
            for arm, change in (("base", 0.0), ("dpo", random.uniform(0.0, 0.3))):
                n = int(random.integers(40, 80))
                made[arm, code, kind] = int(random.binomial(n, rate + change)), n
    lines = ["arm,language,kind,k,n", *(f"{','.join(key)},{k},{n}" for key, (k, n) in made.items())]
    return written(folder, "\n".join(lines) + "\n"), made


def analyzed(path: Path, out: Path | None = None, **options: Any) -> dict[str, Any]:
    return document(analyze_file(path, AnalysisOptions(overrides=["analysis.draws=100"], **options), out=out))


@pytest.mark.parametrize("column", ["percent", "k"])
def test_the_source_studys_table_has_its_rates_and_tests_of_independent_arms(column: str, tmp_path: Path) -> None:
    found = analyzed(table_1(tmp_path, column=column))
    for arm, (harmless, helpful) in TABLE_1.items():
        entry = found["arms"][arm]
        assert [entry[rate]["value"] for rate in ("HmR", "HpR", "CAS")] == pytest.approx([harmless, helpful, CAS[arm]])
        low, high = proportion_confint(harmless // 2, 50, method="wilson")
        assert (entry["HmR"]["ci_low"], entry["HmR"]["ci_high"]) == (
            pytest.approx(100 * low),
            pytest.approx(100 * high),
        )
        assert entry["HmR"]["n"] == 50
    change = found["arms"]["dpo"]["languages"]["en"]["dHp"]
    low, high = confint_proportions_2indep(23, 50, 11, 50, method="newcomb")
    assert change["value"] == 24
    assert (change["ci_low"], change["ci_high"]) == (pytest.approx(100 * low), pytest.approx(100 * high))
    rows = found["comparisons"]
    assert len(rows) == 12
    for row in rows:
        index = ("HmR", "HpR").index(row["rate"])
        k, other = (TABLE_1[row[side]][index] // 2 for side in ("arm", "other"))
        assert row["p"] == pytest.approx(stats.fisher_exact([[k, 50 - k], [other, 50 - other]]).pvalue)
        assert (row["difference"], row["only_arm"], row["only_other"]) == (pytest.approx(2 * (k - other)), None, None)
    adjusted = multipletests([row["p"] for row in rows], method="holm")[1]
    assert [row["p_holm"] for row in rows] == pytest.approx(list(adjusted))
    assert found["tradeoff"]["primary"]["estimate"] is None
    for words in ("HmR changed by -6.0 points", "(100 responses)", "which do not show which responses answer the same"):
        assert words in found["sentence"]
    assert "These data distinguish sft from base, sft_dpo from base." in found["sentence"]


def test_groups_are_compared_by_the_spread_of_their_languages(tmp_path: Path) -> None:
    """Welch's t on the languages' tilts."""
    path, made = counts_of(tmp_path)
    results = analyzed(path)
    share = {key: 100 * k / n for key, (k, n) in made.items()}
    tilt = {
        code: sum(
            sign * (share["dpo", code, kind] - share["base", code, kind])
            for kind, sign in (("benign", 1), ("harmful", -1))
        )
        for code in LANGUAGES
    }
    test = stats.ttest_ind([tilt[code] for code in LOW], [tilt[code] for code in HIGH], equal_var=False)
    primary = results["tradeoff"]["primary"]
    assert primary["quantity"] == "tilt"
    assert primary["estimate"] == pytest.approx(
        np.mean([tilt[code] for code in LOW]) - np.mean([tilt[code] for code in HIGH])
    )
    assert (primary["p"], primary["df"]) == (pytest.approx(test.pvalue), pytest.approx(test.df))
    assert (primary["ci_low"], primary["ci_high"]) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert "what prompts that languages share add to it is not known" in primary["reason"]
    assert "The answer is from counts, without the responses" in results["sentence"]
    assert results["comparisons"] == []


def test_what_needs_the_responses_is_null_with_a_reason(tmp_path: Path) -> None:
    path, made = counts_of(tmp_path)
    options = AnalysisOptions(overrides=["analysis.draws=100", "analysis.mixed_model=true"])
    results = document(analyze_file(path, options))
    rows = [
        {"arm": arm, "language": code, "kind": kind, "reward": None, "label": int(index < k)}
        for (arm, code, kind), (k, n) in made.items()
        for index in range(n)
    ]
    assert faults(results, rows) == []
    checks = {row["quantity"]: row for row in results["tradeoff"]["sensitivity"]}
    for name in ("tilt_bootstrap", "tilt_mixed"):
        assert checks[name]["estimate"] is None
        assert checks[name]["reason"] == "needs the responses one by one, and these are counts"
    for name in ("tilt_untruncated", "tilt_non_degenerate", "tilt_anchored"):
        assert checks[name]["estimate"] is None and checks[name]["reason"]
    for name in ("tilt_permutation", "tilt_script"):
        assert checks[name]["estimate"] is not None
    assert results["tradeoff"]["components"]["reason"] == "counts do not show how prompts vary"
    assert results["tradeoff"]["components"]["language_sd"] is None
    assert len(results["tradeoff"]["influence"]["without"]) >= 12


def test_counts_go_all_the_way_to_a_record(tmp_path: Path) -> None:
    """And the table that is written gives the same results."""
    path, _ = counts_of(tmp_path, languages=("de", "en", "sw", "yo"), kinds=("harmful",))
    first = analyzed(path, tmp_path / "run")
    assert first["tradeoff"]["primary"]["quantity"] == "dHm"
    table = read_scores(tmp_path / "run" / "scores.parquet")
    assert set(table.prompt_id) == {UNKNOWN_PROMPT} and bool(table.counted.all())
    again = analyzed(tmp_path / "run" / "scores.parquet", primary="dpo")
    assert json.dumps(again) == json.dumps(first)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "The answer is from counts" in html
    build_from_run(tmp_path / "run", tmp_path / "record", AuthorInput(citation=record_data.CITATION))
    record = read_record(tmp_path / "record")
    assert list(check_artifacts(record)) == []
    assert record.results == read_results(tmp_path / "run" / "results.json")


def test_the_report_of_one_language_says_by_which_test(tmp_path: Path) -> None:
    lines = table_1(tmp_path).read_text(encoding="utf-8").splitlines(keepends=True)
    two = written(tmp_path, "".join(line for line in lines if "sft" not in line), "two.csv")
    analyzed(two, tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Fisher" in html and "McNemar" not in html
    assert ">None<" not in html


def test_a_data_frame_of_counts_is_analysed(tmp_path: Path) -> None:
    frame = pd.read_csv(table_1(tmp_path))
    answer = tarazu.analyze(frame, primary="dpo")
    assert answer.arms().query("arm == 'sft_dpo' and rate == 'HpR'")["value"].item() == 66


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("dpo,en,harmful,51,50", "k is 51, more than n, 50; k counts responses (percentages go into a column percent)"),
        ("dpo,en,harmful,-1,50", "k must be a whole number from 0, not '-1'"),
        ("dpo,en,harmful,4.5,50", "k must be a whole number, not '4.5'"),
        ("dpo,en,harmful,5,0", "n must be from 1 to 1,000,000, not 0"),
        ("dpo,en,harmful,5,9000000", "n must be from 1 to 1,000,000, not 9000000"),
        ("dpo,en,harmful,5,NA", "n is empty; remove the row if it was not measured"),
        ("dpo,en,harmful,,50", "k is empty; remove the row if it was not measured"),
        ("base,en,harmful,6,50", "duplicate count for (base, en, harmful), the first is line 2; add the two up"),
        ("dpo,xx,harmful,5,50", "unknown language 'xx'"),
        (
            "dpo,en,borderline,5,50",
            "counts of borderline prompts are not analysed; give the responses, or remove the row",
        ),
        ("dpo,en,harmless,5,50", "unknown kind 'harmless'; did you mean 'harmful'?"),
        (",en,harmful,5,50", "arm is empty; every row needs one"),
    ],
)
def test_a_count_that_cannot_be_is_refused(
    row: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, f"arm,language,kind,k,n\nbase,en,harmful,5,50\n{row}\n")
    assert cli.main(["analyze", str(path), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert f"{path}: line 3: {message}" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("arm,language,kind,k", "base,en,harmful,5", "has no column n"),
        ("arm,language,kind,n", "base,en,harmful,5", "has no column k"),
        (
            "arm,language,kind,percent,n",
            "base,en,harmful,42.5,50",
            "percent 42.5 of 50 is no whole number of responses",
        ),
        ("arm,language,kind,percent,n", "base,en,harmful,42,1000", "percent 42 of 1000 can be "),
        ("arm,language,kind,percent,n", "base,en,harmful,142,50", "percent must be from 0 to 100, not 142"),
        ("arm,language,kind,percent,n", "base,en,harmful,many,50", "percent must be a finite number, not 'many'"),
    ],
)
def test_a_table_of_counts_that_lacks_something_is_refused(header: str, row: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        score_rows(written(tmp_path, f"{header}\n{row}\n"))
    assert message in str(error.value) and "line 2" in str(error.value)


def test_a_table_of_responses_may_have_columns_of_these_names(tmp_path: Path) -> None:
    path = written(tmp_path, 'arm,language,kind,prompt_id,label,k,n\nbase,en,harmful,p1,1,"1,234","9,5"\n')
    (row,) = score_rows(path)
    assert (row["prompt_id"], row["label"]) == ("p1", 1) and "k" not in row


def quoted() -> str:
    """The page of file forms, as one line."""
    page = Path(__file__).parents[2] / "docs" / "formats-of-files.md"
    return " ".join(page.read_text(encoding="utf-8").replace("\n> ", " ").split())


def test_the_docs_quote_the_source_studys_table(tmp_path: Path) -> None:
    assert analyzed(table_1(tmp_path))["sentence"] in quoted()
    assert " ".join(table_1(tmp_path).read_text(encoding="utf-8").split()) in quoted()


def test_the_docs_quote_counts_of_published_responses(tmp_path: Path) -> None:
    made: Counter[tuple[bool, str, bool]] = Counter()
    with gzip.open(shared("refusals/responses.jsonl.gz"), "rt", encoding="utf-8") as lines:
        for one in map(json.loads, lines):
            if one["model"] == "llama":
                made[one["ablated"], one["language"], one["refusal"]] += 1
    rows = ["arm,language,kind,k,n"]
    for ablated, code in sorted({key[:2] for key in made}):
        k, n = made[ablated, code, True], made[ablated, code, True] + made[ablated, code, False]
        rows.append(f"{'ablated' if ablated else 'original'},{code},harmful,{k},{n}")
    path = written(tmp_path, "\n".join(rows) + "\n")
    groups = ["groups.high=[5]", "groups.low=[0,1,2,3,4]"]
    found = analyze_file(path, AnalysisOptions(overrides=groups, base="original", primary="ablated"))
    assert found.sentence in quoted()


def test_the_docs_quote_published_rewards() -> None:
    cuts = ["thresholds.harmless=0", "thresholds.helpful=2"]
    options = AnalysisOptions(overrides=cuts, base="sft", primary="dpo_127k")
    assert analyze_file(shared("ratings/korm.csv"), options).sentence in quoted()


@given(st.integers(1, 400), st.data(), st.integers(0, 2))
def test_a_rounded_percentage_gives_its_count_or_none(n: int, data: st.DataObject, digits: int) -> None:
    """Whatever is read from a rounded percentage rounds to it, and no other count does."""
    k = data.draw(st.integers(0, n))
    percent = Decimal(f"{100 * k / n:.{digits}f}")
    half = 0.5 * 10.0**-digits
    alike = [other for other in range(n + 1) if math.isclose(abs(100 * other / n - float(percent)), half, abs_tol=1e-9)
             or abs(100 * other / n - float(percent)) < half]  # fmt: skip
    try:
        assert responses_of_percent(percent, n) == k
    except ValueError as error:
        assert len(alike) > 1 and "give k" in str(error)


def test_its_interval_covers_where_languages_have_prompts_of_their_own() -> None:
    """200 studies; the complete version, also with shared prompts, is `scripts/calibrate.py`."""
    null = calibrate(Truth(high=6, low=6, prompts=50, own_prompts=True), ours_from_counts, 200, 20_261_126)
    assert null.rejected.ci_low is not None and null.rejected.ci_low < 5.0
    assert null.covered.ci_high is not None and null.covered.ci_high > 95.0
