"""`make gpu-wheels`: collect the packages that `make gpu-check` needs on a GPU machine without a network.

Such a machine has torch, transformers, accelerate, peft, pandas, pyarrow and pytest. Everything else that the package
and the benchmarks import is collected into .gpu/wheels, for Python 3.12 on Linux. Ray's wheel is large and mostly Java,
so it is repacked without what is not needed into .gpu/ray.tar.xz.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / ".gpu"
PACKAGES = (
    "annotated-types", "datasets", "dill", "httpcore2", "httpx2", "jsonschema", "jsonschema-specifications",
    "langcodes", "msgpack", "multiprocess", "py3langid", "pydantic", "pydantic_core", "referencing", "rpds-py", "trl",
    "truststore", "typing-inspection", "xxhash",
)  # fmt: skip
UNUSED = ("ray/jars/", "ray/cpp/", "ray/dashboard/client/", "ray/rllib/")
"""Parts of Ray's wheel that a study does not need."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")
MOST_MIB = 64


def pinned(name: str) -> str:
    """The requirement as constraints.txt pins it."""
    plain = re.sub(r"[-_.]+", "-", name).lower()
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() == plain:
            return line
    raise SystemExit(f"constraints.txt: has no line for {name}")


def download(requirements: list[str], folder: Path) -> None:
    """Download wheels for Python 3.12 on Linux without their dependencies."""
    platforms = [part for name in PLATFORMS for part in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--implementation", "cp", *platforms, "-d", str(folder), *requirements]
    subprocess.run(command, check=True)


def main() -> int:
    wheels = OUT / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    for old in wheels.glob("*.whl"):
        old.unlink()
    download([pinned(name) for name in PACKAGES], wheels)
    with tempfile.TemporaryDirectory() as scratch:
        download([pinned("ray")], Path(scratch))
        (wheel,) = Path(scratch).glob("ray-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Path(scratch) / "ray")
            modes = {item.filename: item.external_attr >> 16 for item in archive.infolist()}
        with tarfile.open(OUT / "ray.tar.xz", "w:xz") as packed:
            for path in sorted((Path(scratch) / "ray").rglob("*")):
                name = str(path.relative_to(Path(scratch) / "ray"))
                if path.is_file() and not name.startswith(UNUSED):
                    path.chmod(modes.get(name) or 0o644)
                    packed.add(path, name)
    size = sum(path.stat().st_size for path in OUT.rglob("*") if path.is_file()) / 2**20
    print(f"{OUT.relative_to(ROOT)}: {size:.0f} MiB")
    print("there: pip install --no-index --no-deps --target SITE .gpu/wheels/*.whl; tar xJf .gpu/ray.tar.xz -C SITE")
    return 0 if size < MOST_MIB else 1


if __name__ == "__main__":
    raise SystemExit(main())
