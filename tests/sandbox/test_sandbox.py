"""The sandbox from outside: its results, its reasons when it is unavailable, and its use by an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from gate_records import drafted_record

from tarazu.record.verify.gate import verify
from tarazu.sandbox import runner as sandbox
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, NoSandbox, run

LIMITS = Limits(seconds=10, memory_mib=1024, file_mib=16, processes=32)


@pytest.fixture(autouse=True)
def _clear_cache() -> None:
    sandbox.unavailable.cache_clear()


def test_a_result_is_returned_unchanged(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "data.bin").write_bytes(bytes(range(256)) * 10_000)
    code = f"import shutil; shutil.copy('{FOLDER}/data.bin', '{OUT}/results.json'); print('hello'); raise SystemExit(0)"
    outcome = run([PYTHON, "-c", code], folder=tmp_path, limits=LIMITS)
    assert (outcome.ended, outcome.exit_code, outcome.stdout) == ("done", 0, "hello\n")
    assert outcome.result == (tmp_path / "data.bin").read_bytes()


def test_packages_below_tmp_are_visible_and_nothing_else_there_is(tmp_path: Path) -> None:
    """A checkout may be below /tmp, which the sandbox replaces with its own."""
    package, other = Path(tempfile.mkdtemp(dir="/tmp")), Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        for folder in (package, other, tmp_path):
            folder.chmod(0o755)
            (folder / "name.txt").write_text(folder.name)
        code = (
            f"import os; assert not os.path.exists('{other}'); text = open('{package}/name.txt').read(); "
            f"open('{OUT}/results.json', 'w').write(text)"
        )
        outcome = run([PYTHON, "-c", code], folder=tmp_path, limits=LIMITS, also=[package])
    finally:
        shutil.rmtree(package)
        shutil.rmtree(other)
    assert outcome.result == package.name.encode(), outcome.stderr


def test_the_result_of_a_failed_program_is_dropped(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    code = f"open('{OUT}/results.json', 'w').write('{{}}'); raise SystemExit('gave up')"
    outcome = run([PYTHON, "-c", code], folder=tmp_path, limits=LIMITS)
    assert (outcome.ended, outcome.exit_code, outcome.result) == ("failed", 1, None)
    assert "gave up" in outcome.problem


def test_the_environment_inside_is_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("SECRET", "x")
    code = f"import json, os; json.dump([dict(os.environ), os.getcwd()], open('{OUT}/results.json', 'w'))"
    outcome = run([PYTHON, "-c", code], folder=tmp_path, limits=LIMITS)
    assert outcome.result is not None
    environment, folder = json.loads(outcome.result)
    assert folder == "/tmp" and environment["HOME"] == "/tmp" and "SECRET" not in environment


def test_missing_bubblewrap_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install bubblewrap" in (sandbox.unavailable() or "")
    with pytest.raises(NoSandbox, match="bubblewrap is not installed"):
        run([PYTHON, "-c", ""], folder=tmp_path, limits=LIMITS)


def test_a_failing_bubblewrap_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert "No permissions to create new namespace" in (sandbox.unavailable() or "")


def test_a_python_prefix_above_the_home_directory_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert "contains the home directory" in (sandbox.unavailable() or "")


def test_a_missing_filter_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    assert "tarazu[records]" in (sandbox.unavailable() or "")


def test_an_ordinary_user_is_sandboxed_too(tmp_path: Path) -> None:
    # As root, the test enters a user namespace in which this process is an ordinary user without privileges.
    attacks = ("read_secrets.py", "write_outside.py", "gain_privileges.py")
    for name in attacks:
        shutil.copy(Path(__file__).parent / "hostile" / name, tmp_path)
    (tmp_path / "target.txt").write_text(str(tmp_path.parent), encoding="utf-8")
    tmp_path.chmod(0o755)
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom tarazu.sandbox.limits import Limits\n"
        "from tarazu.sandbox.runner import *\n"
        "limits = Limits(seconds=10, memory_mib=1024, file_mib=16, processes=32)\n"
        "assert os.geteuid() != 0\n"
        f"for name in {attacks}:\n"
        "    outcome = run([PYTHON, f'{FOLDER}/{name}', FOLDER, OUT], folder=Path(sys.argv[1]), limits=limits)\n"
        "    print(outcome.result.decode() if outcome.result else outcome)\n"
    )
    inside = [sys.executable, "-c", code, str(tmp_path)]
    if os.geteuid() == 0:
        inside = ["bwrap", "--unshare-user", "--uid", "1000", "--gid", "1000", "--dev-bind", "/", "/", *inside]
    done = subprocess.run(inside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ['{"succeeded": []}'] * len(attacks)


def test_nothing_is_verified_without_a_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "unavailable", lambda: "bubblewrap is not installed")
    record = drafted_record(tmp_path)
    report = verify(record)
    assert report.status == "UNVERIFIED" and "bubblewrap is not installed" in report.reason
    assert {claim.verdict for claim in report.claims} == {"not_run"}
    assert report.sandbox == {"unavailable": "bubblewrap is not installed"}
