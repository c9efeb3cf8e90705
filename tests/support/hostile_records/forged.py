"""Records that say what their scores do not: results, tolerances, theorems and environments that are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gate_records import edit

from hostile_records.registry import Outcome, Registry

HOSTILE = Registry()

NOT_COMPUTED = "no claim about this study was computed from its scores"
DIGEST = """\
import hashlib, json, sys
import pyarrow.parquet as pq
keys = ("arm", "language", "kind", "prompt_id", "seed", "sample", "reward")
table = pq.read_table(sys.argv[1] + "/scores.parquet", columns=list(keys)).to_pylist()
digest = hashlib.sha256(json.dumps(sorted([row[key] for key in keys] for row in table)).encode()).hexdigest()
"""
"""A script's digest of its scores that does not depend on the order of the rows."""


# --- parts of records ------------------------------------------------------------------------------


def add_file(record: Path, path: str, text: str, role: str) -> None:
    """Write a file and list it in the manifest. Its size and digest are filled in later."""
    (record / path).parent.mkdir(exist_ok=True)
    (record / path).write_text(text, encoding="utf-8")
    listed = {"path": path, "role": role, "media_type": "text/plain", "size": 0, "sha256": "0" * 64}
    edit(record / "manifest.json", lambda manifest: manifest["artifacts"].append(listed))


def plan(record: Path, change: Callable[[Any], None]) -> None:
    edit(record / "repro" / "repro.json", lambda repro: change(repro["depths"]))


def replace_script(record: Path, text: str) -> None:
    (record / "repro" / "analysis.py").write_text(text, encoding="utf-8")


def results_of(record: Path) -> Any:
    return json.loads((record / "results.json").read_text(encoding="utf-8"))


def set_claims(record: Path, *claims: Any) -> None:
    """Replace all claims."""
    listed = [{"kind": "empirical", "id": f"claim-{number}", **claim} for number, claim in enumerate(claims)]
    edit(record / "claims.json", lambda document: document.update(claims=listed))


def make_up(record: Path, value: float = 99.0) -> str:
    """Say that HpR of dpo is `value`, in results.json and in the claim, and return the results as text."""

    def change(results: Any) -> None:
        results["arms"]["dpo"]["HpR"] |= {"value": value, "ci_low": value - 1, "ci_high": 100.0}

    edit(record / "results.json", change)
    claim = {"statement": f"HpR of dpo is {value} percent."}
    set_claims(record, claim | {"check": {"pointer": "/arms/dpo/HpR/value", "value": value, "unit": "percent"}})
    return json.dumps(results_of(record))


def repeats(results: str) -> str:
    """A script that gives the same results for any scores."""
    return f"import sys\nopen(sys.argv[2] + '/results.json', 'w').write({results!r})\n"


def theorem(record: Path, script: str, negation: str, statement: str) -> dict[str, Any]:
    add_file(record, "proofs/author.smt2", script, "proof")
    smt = {"source": "proofs/author.smt2", "negation": negation}
    return {"kind": "mathematical", "statement": statement, "smt": smt}


# --- 1. the scores are not read ---------------------------------------------------------------------


@HOSTILE.add(1, "UNVERIFIED", "same results for other scores")
def true_results_that_the_script_only_repeats(record: Path) -> None:
    replace_script(record, repeats(json.dumps(results_of(record))))


@HOSTILE.add(1, "FALSIFIED", "the package's analysis of the same scores: computed 62.5, claimed 99")
def made_up_results_that_the_script_only_repeats(record: Path) -> None:
    replace_script(record, repeats(make_up(record)))


@HOSTILE.add(1, "BAD INPUT", "scores.parquet is missing")
def scores_that_are_not_an_input(record: Path) -> None:
    replace_script(record, repeats(make_up(record)))
    plan(record, lambda depths: depths["analysis"].update(inputs=[]))


@HOSTILE.add(1, "FALSIFIED", "the package's analysis of the same scores")
def results_copied_from_an_input(record: Path) -> None:
    add_file(record, "numbers.json", make_up(record), "data")
    replace_script(
        record, "import shutil, sys\nshutil.copy(sys.argv[1] + '/numbers.json', sys.argv[2] + '/results.json')"
    )
    plan(record, lambda depths: depths["analysis"]["inputs"].append("numbers.json"))


@HOSTILE.add(1, "BAD INPUT", "'scores.parquet' is not listed in the manifest as scores")
def scores_beside_a_decoy(record: Path) -> None:
    def change(manifest: Any) -> None:
        for artifact in manifest["artifacts"]:
            if artifact["path"] == "scores.parquet":
                artifact["role"] = "data"

    edit(record / "manifest.json", change)
    add_file(record, "decoy.parquet", "", "scores")


# --- 2. the script knows whether the scores are its own ---------------------------------------------


@HOSTILE.add(2, "UNVERIFIED", "the script does not run on other scores")
def a_script_that_fails_on_other_scores(record: Path) -> None:
    results = json.dumps(results_of(record))
    replace_script(record, f"{DIGEST}if digest != {digest_of(record)!r}: sys.exit(1)\n{repeats(results)}")


@HOSTILE.add(2, "UNVERIFIED", "the script does not run on other scores")
def a_script_that_writes_nothing_for_other_scores(record: Path) -> None:
    results = json.dumps(results_of(record))
    replace_script(record, f"{DIGEST}if digest == {digest_of(record)!r}:\n    {repeats(results).splitlines()[1]}\n")


@HOSTILE.add(2, "FALSIFIED", "the package's analysis of the same scores")
def a_script_that_knows_its_scores(record: Path) -> None:
    results = make_up(record)
    follow = "results['arms']['dpo']['HpR']['value'] = int(digest, 16) % 10000 / 100"
    text = f"{DIGEST}results = json.loads({results!r})\nif digest != {digest_of(record)!r}:\n    {follow}\n"
    replace_script(record, text + "json.dump(results, open(sys.argv[2] + '/results.json', 'w'))\n")


@HOSTILE.add(2, "FALSIFIED", "computed 62.5, claimed 99")
def a_module_beside_the_packages_script(record: Path) -> None:
    add_file(record, "repro/yaml.py", f"{repeats(make_up(record))}import os\nos._exit(0)\n", "repro")
    plan(record, lambda depths: depths["analysis"]["inputs"].append("repro/yaml.py"))


def digest_of(record: Path) -> str:
    """What `DIGEST` gives for the record's scores."""
    space: dict[str, Any] = {}
    code = DIGEST.replace("sys.argv[1]", repr(str(record)))
    exec(code, space)
    return str(space["digest"])


# --- 3. something follows the scores, and the claim does not -----------------------------------------


@HOSTILE.add(3, "UNVERIFIED", "/arms/dpo/HpR/value stays the same when the scores are replaced")
def one_number_that_follows_the_scores(record: Path) -> None:
    results = json.dumps(results_of(record))
    follow = (
        "if digest != " + repr(digest_of(record)) + ": results['arms']['sft']['HmR']['value'] = int(digest, 16) % 100\n"
    )
    write = "json.dump(results, open(sys.argv[2] + '/results.json', 'w'))\n"
    replace_script(record, f"{DIGEST}results = json.loads({results!r})\n{follow}{write}")


@HOSTILE.add(3, "UNVERIFIED", NOT_COMPUTED)
def a_claim_on_the_authors_data(record: Path) -> None:
    data = {"dpo": {"HpR": 99.0}}
    add_file(record, "data.json", json.dumps(data), "data")
    plan(record, lambda depths: depths["analysis"]["inputs"].append("data.json"))
    edit(record / "results.json", lambda results: results.update(data=data))
    set_claims(record, {"statement": "HpR of dpo is 99.", "check": {"pointer": "/data/dpo/HpR", "value": 99.0}})


@HOSTILE.add(3, "UNVERIFIED", NOT_COMPUTED)
def claims_on_settings_and_counts_alone(record: Path) -> None:
    results = results_of(record)
    set_claims(
        record,
        {"statement": "HpR of dpo is the best.", "check": {"expression": "value('/thresholds/helpful') < 0"}},
        {"statement": "Many.", "check": {"pointer": "/arms/dpo/HpR/n", "value": results["arms"]["dpo"]["HpR"]["n"]}},
    )


# --- 4. a deeper depth -------------------------------------------------------------------------------


def offer_training(record: Path, script: str) -> None:
    """A script for depth training that reads no scores."""
    add_file(record, "repro/training.py", script, "repro")
    training = {"script": "repro/training.py", "inputs": ["study.lock.yaml"], "limits": {}}
    plan(record, lambda depths: depths.update(training=training))


@HOSTILE.add(4, "FALSIFIED", "computed 62.5, claimed 99", depth="training")
def a_training_that_repeats_made_up_results(record: Path) -> None:
    offer_training(record, repeats(make_up(record)))


@HOSTILE.add(4, "BAD INPUT", "analysis is missing", depth="training")
def a_training_without_an_analysis(record: Path) -> None:
    offer_training(record, repeats(make_up(record)))
    plan(record, lambda depths: depths.pop("analysis"))


# --- 5. theorems -------------------------------------------------------------------------------------

CAS = "(declare-const cas_dpo Real)"


def _alone(script: str, negation: str) -> Callable[[Path], None]:
    def spoil(record: Path) -> None:
        set_claims(record, theorem(record, script, negation, "CAS of dpo is 99."))

    return spoil


for name, script, negation, reason in (
    ("a_tautology", "(declare-const x Real)", "(not (< x (+ x 1.0)))", "follows from no premise"),
    ("a_premise_that_is_the_claim", CAS + "(assert (= cas_dpo 99.0))", "(not (= cas_dpo 99.0))", "says the same"),
    ("a_shadowed_name", "(declare-const x Real)", "(let ((x 1.0)) (not (= x 1.0)))", "mentions nothing"),
    (
        "premises_that_fix_the_claim",
        CAS + "(assert (<= 99.0 cas_dpo 99.0))",
        "(not (> cas_dpo 98.0))",
        "fix all values",
    ),
    ("a_true_theorem_alone", CAS + "(assert (< 0.0 cas_dpo 9.0))", "(not (< 0.0 (+ cas_dpo 1.0)))", NOT_COMPUTED),
):
    spoil = _alone(script, negation)
    spoil.__name__ = name
    HOSTILE.add(5, "UNVERIFIED", reason)(spoil)


# --- 6. another environment ---------------------------------------------------------------------------


def say_other_versions(record: Path) -> None:
    edit(record / "manifest.json", lambda manifest: manifest["environment"]["versions"].update(numpy="0.0.1"))


@HOSTILE.add(6, "UNVERIFIED", "no re-run made what results.json has at /arms/zz_false")
def an_arm_that_only_results_json_has(record: Path) -> None:
    say_other_versions(record)
    edit(record / "results.json", lambda results: results["arms"].update(zz_false=results["arms"]["dpo"]))


@HOSTILE.add(6, "FALSIFIED", "/arms/sft/HmR/value")
def a_contradiction_that_no_version_explains(record: Path) -> None:
    say_other_versions(record)
    edit(record / "results.json", lambda results: results["arms"]["sft"]["HmR"].update(value=1.0))


# --- 7. checks without content ------------------------------------------------------------------------


def _claiming(check: dict[str, Any]) -> Callable[[Path], None]:
    return lambda record: set_claims(record, {"statement": "HpR of dpo is 99 percent.", "check": check})


for name, outcome, reason, check in (
    ("a_wide_within", "UNVERIFIED", "from 39 to 159", {"expression": "within(HpR('dpo'), 99, 60)"}),
    ("a_wide_difference", "UNVERIFIED", "from 39 to 159", {"expression": "abs(HpR('dpo') - 99) < 60"}),
    ("a_wide_range", "UNVERIFIED", "from 39 to 159", {"expression": "39 < HpR('dpo') < 159"}),
    ("a_range_to_the_end", "UNVERIFIED", "from 39 to 100", {"expression": "39 < HpR('dpo') <= 100"}),
    (
        "a_wide_range_negated",
        "UNVERIFIED",
        "from 39 to 159",
        {"expression": "not (HpR('dpo') <= 39 or HpR('dpo') >= 159)"},
    ),
    (
        "a_wide_square",
        "UNVERIFIED",
        "from 39 to 159",
        {"expression": "(HpR('dpo') - 99) * (HpR('dpo') - 99) < 3600"},
    ),
    ("not_equal", "UNVERIFIED", "nearly all values", {"expression": "HpR('dpo') != 0"}),
    ("not_equal_to_another", "UNVERIFIED", "", {"expression": "HpR('dpo') != HpR('base')"}),
    (
        "an_or_with_an_idle_side",
        "UNVERIFIED",
        "holds for all values at /arms/dpo/HpR/value",
        {"expression": "HpR('dpo') > 99 or HpR('base') > 0"},
    ),
    (
        "an_or_by_max",
        "UNVERIFIED",
        "holds for all values at /arms/dpo/HpR/value",
        {"expression": "max(HpR('dpo') - 99, HpR('base')) > 0"},
    ),
    (
        "an_or_of_one_value",
        "UNVERIFIED",
        "'HpR('dpo') > 99' makes no difference",
        {"expression": "HpR('dpo') > 99 or HpR('dpo') > 2"},
    ),
    (
        "another_unit",
        "UNVERIFIED",
        "the unit 'per mille; furlongs' is not that of /arms/dpo/HpR/value, percent",
        {"pointer": "/arms/dpo/HpR/value", "value": 62.5, "unit": "per mille; furlongs"},
    ),
    ("a_tight_band", "VERIFIED", "", {"expression": "within(HpR('dpo'), 62.5, 0.05)"}),
    ("an_order", "VERIFIED", "", {"expression": "HpR('dpo') > HpR('base')"}),
    ("a_bound", "VERIFIED", "", {"expression": "HpR('dpo') > 39"}),
):
    spoil = _claiming(check)
    spoil.__name__ = name
    stated: Outcome = "VERIFIED" if outcome == "VERIFIED" else "UNVERIFIED"
    HOSTILE.add(7, stated, reason)(spoil)


# --- 22. another machine ---------------------------------------------------------------------------------


@HOSTILE.add(22, "FALSIFIED", "computed 62.5, claimed 99", depth="training")
def a_miss_that_no_machine_explains(record: Path) -> None:
    honest = json.dumps(results_of(record))
    make_up(record)
    edit(
        record / "results.json",
        lambda results: results["arms"]["dpo"]["HpR"].update(json.loads(honest)["arms"]["dpo"]["HpR"]),
    )
    offer_training(record, repeats(honest))
    edit(record / "manifest.json", lambda manifest: manifest["environment"]["hardware"].update(cores=12345))


# --- honest neighbours -------------------------------------------------------------------------------------


@HOSTILE.add(1, "VERIFIED", "author's script")
def an_honest_script_of_the_author(record: Path) -> None:
    script = record / "repro" / "analysis.py"
    replace_script(record, script.read_text(encoding="utf-8") + "\n# Read and checked by hand.\n")


@HOSTILE.add(5, "VERIFIED", "package's analysis")
def a_theorem_a_setting_and_a_count_beside_a_result(record: Path) -> None:
    results = results_of(record)
    set_claims(
        record,
        {"statement": "HpR of dpo is 62.5.", "check": {"pointer": "/arms/dpo/HpR/value", "value": 62.5}},
        {"statement": "The threshold.", "check": {"pointer": "/thresholds/helpful", "value": -2.0}},
        {"statement": "Rows.", "check": {"pointer": "/arms/dpo/HpR/n", "value": results["arms"]["dpo"]["HpR"]["n"]}},
        theorem(
            record,
            "(declare-const x Real)(declare-const y Real)(assert (< 0.0 x y))",
            "(not (< 0.0 (+ x y)))",
            "The sum of two positive numbers is positive.",
        ),
    )
