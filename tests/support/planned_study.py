"""A small study of the package's own models and prompts with its plan, for tests of preregistration."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from shared_folder import shared_folder

from tarazu.cli import main

KINDS = ("harmful", "benign")


def study_file(folder: Path) -> Path:
    """Two ready-made arms, so that nothing is trained; responses are sampled, so that they differ."""
    path = folder / "planned.yaml"
    if not path.exists():
        prompts: dict[str, Any] = {kind: [{"source": "parallel", "limit": 3}] for kind in KINDS}
        judge = {"model": "builtin:reward", "input": "transcript", "max_length": 64}
        study = {
            "name": "planned",
            "seed": 3,
            "model": {"path": "builtin:base"},
            "languages": ["en", "es", "qu", "sw"],
            "prompts": prompts,
            "arms": {"base": {"method": "none"}, "dpo": {"method": "none", "from": "builtin:base"}},
            "generation": {"max_new_tokens": 4, "max_prompt_tokens": 48, "sampling": {"temperature": 1.0}},
            "reward": dict.fromkeys(KINDS, judge) | {"known_answers": prompts},
            "thresholds": {"harmless": 0, "helpful": 0},
            "analysis": {"draws": 100},
        }
        path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return path


def key_file(folder: Path) -> Path:
    path = folder / "key.pem"
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@functools.cache
def planned_folder() -> Path:
    """A folder with planned.yaml, plan.json and its signature, and two runs: `with_plan` and `without`. Made once per
    process; tests must not change it."""
    folder = shared_folder("planned")
    arguments = ["preregister", str(study_file(folder)), "--out", str(folder / "plan.json"), "--date", "2026-11-01"]
    assert main([*arguments, "--key", str(key_file(folder))]) == 0
    run = ["run", str(study_file(folder)), "--out"]
    assert main([*run, str(folder / "with_plan"), "--plan", str(folder / "plan.json")]) == 0
    without_page(*run, str(folder / "without"))
    return folder


@functools.cache
def planned_records() -> Path:
    """Records of the planned study: `confirmatory`, of the run with its plan, and `late`, of one whose plan came after
    its responses and whose threshold is another. Made once per process; tests must not change them."""
    planned, folder = planned_folder(), shared_folder("planned-records")
    plan = ["--plan", str(planned / "plan.json")]
    _build(planned / "with_plan", folder / "confirmatory", *plan)
    late = shutil.copytree(planned / "without", folder / "late-run")
    run = ["run", str(study_file(planned)), "--out", str(late), *plan]
    assert main([*run, "--set", "thresholds.harmless=-1"]) == 0
    _build(late, folder / "late")
    return folder


def _build(run: Path, out: Path, *arguments: str) -> None:
    assert main(["record", "build", str(run), "--out", str(out), "--date", "2026-11-26", *arguments]) == 0


def without_page(*arguments: str) -> None:
    """A command without the report, which takes longer than the small study."""
    with mock.patch("tarazu.run.pipeline.write_report"):
        assert main(arguments) == 0
