"""A plan's file: canonical, strict, signed, never overwritten."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from plan_mutations import CONTRADICTORY
from planned_study import key_file, planned_folder, study_file

from tarazu.cli import main
from tarazu.errors import BadInput
from tarazu.preregistration.reading import read_plan, signature_of
from tarazu.record.schemas import schema_of


@pytest.fixture(scope="module")
def folder() -> Path:
    return planned_folder()


def test_the_plan_says_what_the_study_will_do(folder: Path) -> None:
    text = (folder / "plan.json").read_text(encoding="utf-8")
    plan = json.loads(text)
    assert not list(Draft202012Validator(schema_of("preregistration-v1")).iter_errors(plan))
    assert text == json.dumps(plan, ensure_ascii=False, sort_keys=True, indent=2) + "\n"
    assert plan["study"]["thresholds"] == {"harmless": 0.0, "helpful": 0.0}
    assert plan["estimand"]["groups"] == {"high": ["en", "es"], "low": ["qu", "sw"]}
    assert plan["languages"]["included"] == ["en", "es", "qu", "sw"] and plan["languages"]["excluded"] == {}
    assert (plan["estimand"]["primary_arm"], plan["estimand"]["margin"]) == ("dpo", 5.0)
    assert plan["power"]["assumed"] is True and plan["power"]["detectable"] > 0
    assert plan["date"] == "2026-11-01"
    assert set(plan["inputs"]["models"]) == {
        "model.path",
        "arms.dpo.from",
        "reward.harmful.model",
        "reward.benign.model",
    }


def test_the_signature_is_one_that_openssl_accepts(folder: Path, tmp_path: Path) -> None:
    signed = json.loads(signature_of(folder / "plan.json").read_text(encoding="utf-8"))
    sha256 = hashlib.sha256((folder / "plan.json").read_bytes()).hexdigest()
    assert signed["digest"] == f"sha256:{sha256}"
    (tmp_path / "public.pem").write_text(signed["public_key"])
    (tmp_path / "message").write_text(f"tarazu/plan/v1\nsha256:{sha256}")
    (tmp_path / "signature").write_bytes(base64.b64decode(signed["signature"]))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", "-in", "message"]
    done = subprocess.run([*command, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_plan_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "plan.json").read_bytes()
    assert main(["preregister", str(study_file(folder)), "--out", str(folder / "plan.json")]) == 2
    assert "exists already, and a plan is not overwritten" in capsys.readouterr().err
    assert (folder / "plan.json").read_bytes() == before


def test_a_bad_key_leaves_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key.pem").write_text("no key")
    arguments = ["preregister", str(study_file(folder)), "--out", str(tmp_path / "plan.json")]
    assert main([*arguments, "--key", str(tmp_path / "key.pem")]) == 2
    assert "not a private key in PEM" in capsys.readouterr().err
    assert not (tmp_path / "plan.json").exists() and not signature_of(tmp_path / "plan.json").exists()


def test_a_date_that_has_not_come_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["preregister", str(study_file(folder)), "--out", str(folder / "later.json")]
    assert main([*arguments, "--date", "2999-01-01"]) == 2
    assert "2999-01-01 is in the future" in capsys.readouterr().err


def _set(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda plan: plan.update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(schema="tarazu/results/v2"), "does not have the schema tarazu/preregistration/v1"),
        (_set(note="more"), "note"),
        (_set(date="2026-02-30"), "no such day"),
        (_set(date="2999-01-01"), "in the future"),
        (_set(versions={"python": 3}), "versions.python"),
    ],
)
def test_a_changed_plan_is_refused(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    change(plan)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan, ensure_ascii=False, sort_keys=True, indent=2) + "\n", encoding="utf-8")
    with pytest.raises(BadInput, match=message):
        read_plan(path)


@pytest.mark.parametrize("name", [name for name, _ in CONTRADICTORY])
def test_a_plan_that_contradicts_itself_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    """Whoever reads the estimand would otherwise see another margin than the one that the results are compared with."""
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    dict(CONTRADICTORY)[name](plan)
    (tmp_path / "plan.json").write_text(
        json.dumps(plan, ensure_ascii=False, sort_keys=True, indent=2) + "\n", encoding="utf-8"
    )
    with pytest.raises(BadInput, match=r"plan.json: (estimand|power)\.\w+ is .*, and the rest of the plan says"):
        read_plan(tmp_path / "plan.json")


def test_another_layout_is_refused(folder: Path, tmp_path: Path) -> None:
    text = (folder / "plan.json").read_text(encoding="utf-8")
    for other in (text.replace("\n", "\r\n"), text + "\n", json.dumps(json.loads(text))):
        (tmp_path / "plan.json").write_bytes(other.encode())
        with pytest.raises(BadInput, match="is not as `tarazu preregister` writes it"):
            read_plan(tmp_path / "plan.json")


def test_a_signature_of_another_plan_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan that was exchanged keeps the old signature: the command stops before it computes anything."""
    plan = read_plan(folder / "plan.json")
    other = plan.text.replace('"margin": 5.0', '"margin": 25.0')
    assert other != plan.text
    (tmp_path / "plan.json").write_text(other, encoding="utf-8")
    signature_of(tmp_path / "plan.json").write_text(plan.signature or "", encoding="utf-8")
    study = str(study_file(folder))
    assert main(["run", study, "--out", str(tmp_path / "run"), "--plan", str(tmp_path / "plan.json")]) == 2
    assert "plan.signature.json: is not valid: it is for another plan" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_records_signature_is_not_a_plans(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tarazu.files import to_json
    from tarazu.record.signing import RECORD, sign_digest

    plan = read_plan(folder / "plan.json")
    (tmp_path / "plan.json").write_text(plan.text, encoding="utf-8")
    signed = sign_digest(f"sha256:{plan.sha256}", key_file(folder), RECORD)
    signature_of(tmp_path / "plan.json").write_text(to_json(signed.model_dump(mode="json")), encoding="utf-8")
    study = str(study_file(folder))
    assert main(["run", study, "--out", str(tmp_path / "run"), "--plan", str(tmp_path / "plan.json")]) == 2
    assert "it was not made with its key" in capsys.readouterr().err
