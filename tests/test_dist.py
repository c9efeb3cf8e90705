"""The wheel and the source archive: a package index accepts them, and they hold the package's files and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = {
    "tarazu/data/parallel/*.jsonl": 50,
    "tarazu/models/*/model.safetensors": 2,
    "tarazu/models/*/tokenizer.json": 2,
    "tarazu/studies/*.yaml": 6,
    "tarazu/schemas/results-v*.schema.json": 1,
    "tarazu/report/page/*.j2": 1,
    "tarazu/site/page/record.html.j2": 1,
}


def execute(*command: str | Path, folder: Path = ROOT, python_path: Path | None = None) -> str:
    environment = os.environ if python_path is None else os.environ | {"PYTHONPATH": str(python_path)}
    ended = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both archives; the wheel is built from the source archive, as an installer would build it."""
    folder = tmp_path_factory.mktemp("dist")
    execute("-m", "build", "--no-isolation", "--outdir", folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> list[str]:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def package() -> set[str]:
    """The package's files as git lists them, new ones included."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "src/tarazu"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name.removeprefix("src/") for name in listed if (ROOT / name).exists()}


def test_a_package_index_accepts_both(dist: Path) -> None:
    assert sorted(path.suffix for path in dist.iterdir()) == [".gz", ".whl"]
    assert execute("-m", "twine", "check", "--strict", *dist.iterdir()).count("PASSED") == 2


def test_the_wheel_holds_the_package_and_no_more(wheel: list[str], package: set[str]) -> None:
    metadata = {name.split("/", 1)[1] for name in wheel if not name.startswith("tarazu/")}
    assert metadata == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert {name for name in wheel if name.startswith("tarazu/")} == package


def test_the_source_archive_holds_the_package_and_no_more(dist: Path, package: set[str]) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    described = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", ".gitignore"}
    assert names == described | {f"src/{name}" for name in package}


@pytest.mark.parametrize(("pattern", "count"), DATA.items())
def test_the_wheel_holds_the_data(wheel: list[str], pattern: str, count: int) -> None:
    assert len([name for name in wheel if fnmatch(name, pattern)]) == count


def test_the_commands_run_from_the_wheel_alone(dist: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        archive.extractall(unpacked)
    where = execute("-c", "import tarazu; print(tarazu.__file__)", folder=tmp_path, python_path=unpacked)
    assert where.strip() == str(unpacked / "tarazu" / "__init__.py")
    assert "arm:dpo" in execute("-m", "tarazu", "plan", "demo", folder=tmp_path, python_path=unpacked)
    scores = ROOT / "tests" / "files" / "scores.csv"
    execute("-m", "tarazu", "analyze", scores, "--out", "run", folder=tmp_path, python_path=unpacked)
    assert (tmp_path / "run" / "report.html").exists()
