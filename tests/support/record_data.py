"""Runs, citations and documents from which the tests build records."""

from __future__ import annotations

import zlib
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from tarazu.progress import Progress
from tarazu.record.metadata.citation import CitationInfo
from tarazu.run.pipeline import run
from tarazu.study import load_study

FILES = Path(__file__).parent.parent / "files"
PAPER = FILES / "paper"
CITATION = CitationInfo(submitted=date(2026, 11, 24), authors=("Doe, Jane", "The Scale Group"), license="CC-BY-4.0")


def small_demo(folder: Path) -> Path:
    """A run of a small version of the demo. It uses only the package's own models and data, so its record can be run
    again from every depth. It takes seconds."""
    kinds = ("harmful", "benign")
    training = {"learning_rate": 1e-3, "max_length": 64, "batch_size": 8}
    prompts: dict[str, Any] = {kind: [{"source": "parallel", "limit": 3}] for kind in kinds}
    study = {
        "name": "small-demo",
        "title": "A small study",
        "caution": "Made up for a test.",
        "seed": 3,
        "model": {"path": "builtin:base"},
        "data": {"pairs": {"source": "parallel", "limit": 16}},
        "languages": ["en", "es", "qu", "sw"],
        "prompts": prompts,
        "arms": {
            "base": {"method": "none"},
            "dpo": {"method": "dpo", **training},
        },
        "generation": {"max_new_tokens": 4, "max_prompt_tokens": 48},
        "reward": {kind: {"model": "builtin:reward", "input": "transcript", "max_length": 64} for kind in kinds}
        | {"known_answers": prompts},
        "thresholds": {"harmless": 0, "helpful": 0},
        "analysis": {"draws": 100},
    }
    path = folder / "small-demo.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    run(load_study(str(path)), folder / "run", fresh=False, progress=Progress())
    return folder / "run"


def pdf(lines: list[tuple[str, float, str]]) -> bytes:
    """A one-page PDF with the given lines: text, font size in points, and font (R or B)."""
    shown, height = [], 800.0
    for text, size, font in lines:
        height -= 1.4 * size
        escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        shown.append(f"BT /{font} {size:g} Tf 50 {height:g} Td ({escaped}) Tj ET")
    return pdf_page(shown)


def pdf_page(shown: list[str]) -> bytes:
    """A one-page PDF (600 x 820 points) with these operators."""
    stream = zlib.compress("\n".join(shown).encode("latin-1"))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 820] /Contents 4 0 R "
        b"/Resources << /Font << /R 5 0 R /B 6 0 R >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    written, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        written
        + b"xref\n0 7\n0000000000 65535 f \n%strailer\n<< /Size 7 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (
            table,
            len(written),
        )
    )
