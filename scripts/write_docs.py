"""Write the files that are generated from the code: docs/cli.md from --help, docs/study.md from the schema of a study,
docs/results.md from the models of results.json, the table of caps in docs/records.md from its rules, and the JSON
Schemas of results.json and of a record's files from their models, and the description of the site's API.

python scripts/write_docs.py            rewrite them (`make docs`)
python scripts/write_docs.py --check    list those that are out of date, and exit with 1 if there are any
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import typer

import tarazu
from tarazu.assessment.caps import table
from tarazu.cli import app
from tarazu.cli import main as run_command
from tarazu.record.schemas import MODELS, schema_of
from tarazu.report.words import WORDS
from tarazu.results import SCHEMA, Results
from tarazu.site.api import description
from tarazu.study.schema import Study

DOCS = Path(__file__).resolve().parent.parent / "docs"


def _commands(path: tuple[str, ...], command: Any) -> Iterator[tuple[str, ...]]:
    """The names of a command and of its subcommands."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands((*path, name), below)


def _help(path: tuple[str, ...]) -> str:
    text = io.StringIO()
    with redirect_stdout(text):
        run_command([*path, "--help"])
    return text.getvalue().rstrip()


def cli_page() -> str:
    """Every command's --help, at a fixed width."""
    os.environ["COLUMNS"] = "100"
    parts = ["# Commands", "", "Written by `make docs` from `--help`.", ""]
    for path in _commands((), typer.main.get_command(app)):
        parts += [f"## {' '.join(('tarazu', *path))}", "", "```text", _help(path), "```", ""]
    parts += [
        "## Exit codes",
        "",
        "| code | meaning |",
        "| --- | --- |",
        "| 0 | done |",
        "| 1 | a check failed |",
        "| 2 | bad input: one line on standard error names the file, the line or key, and the fix |",
        "| 130 | stopped by Ctrl-C; run the same command to continue |",
        "",
    ]
    return "\n".join(parts)


def study_page() -> str:
    """Every key of a study: type, default, meaning."""
    schema = Study.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    lines = [
        "# Studies",
        "",
        "A study is a YAML file that determines a result. Written by `make docs` from the schema; "
        "`tarazu run STUDY --set key=value` changes one value.",
        "",
    ]

    def table(node: dict[str, Any]) -> Iterator[str]:
        yield "| key | type | default | meaning |"
        yield "| --- | --- | --- | --- |"
        required = node.get("required", [])
        for key, field in node.get("properties", {}).items():
            default = "required" if key in required else f"`{_default(field)}`"
            yield f"| `{key}` | {_type(field)} | {default} | {_cell(field.get('description', ''))} |"
        yield ""

    lines += ["## Top level", "", *table(schema)]
    for name, node in definitions.items():
        if node.get("type") == "object":
            lines += [f"## {name}", "", *_told(node), *table(node)]
    return "\n".join(lines)


def results_page() -> str:
    """Every key of results.json: type, meaning."""
    schema = Results.model_json_schema(by_alias=True)
    lines = [
        "# results.json",
        "",
        "Written by `make docs` from the models in `src/tarazu/results/model.py`, through which "
        "`tarazu.results.read_results` reads a file. The JSON Schema is "
        f"`{SCHEMA}`, in `src/tarazu/schemas/results-v2.schema.json`.",
        "",
        schema["description"],
        "",
        "An undefined value is null, never 0, and a `reason` beside it says why.",
        "",
    ]

    def table(node: dict[str, Any]) -> Iterator[str]:
        yield "| key | type | meaning |"
        yield "| --- | --- | --- |"
        for key, field in node.get("properties", {}).items():
            key = key if key in node.get("required", []) else f"{key}?"
            yield f"| `{key}` | {_type(field)} | {_cell(field.get('description', ''))} |"
        yield ""

    lines += ["A key with a question mark may be absent.", "", "## Top level", "", *table(schema)]
    for name, node in schema["$defs"].items():
        lines += [f"## {name}", "", *_told(node), *table(node)]
    lines += ["## Quantities", "", "What `quantity` of an [EstimateEntry](#estimateentry) may be.", ""]
    lines += [
        "Where both arms answered harmful prompts only, the primary estimate is that of `dHm`, and the names of the "
        "others begin with `dHm_`; with benign prompts only, it is `dHp`, and they begin with `dHp_`.",
        "",
    ]
    lines += [
        "| quantity | meaning |",
        "| --- | --- |",
        *(f"| `{key}` | {words} |" for key, words in WORDS.items() if not key.startswith(("dHm_", "dHp_"))),
    ]
    return "\n".join([*lines, ""])


def _told(node: dict[str, Any]) -> list[str]:
    description = " ".join(node.get("description", "").split())
    return [_no_tags(description), ""] if description else []


def _cell(text: str) -> str:
    return _no_tags(text).replace("|", "\\|").replace("\n", "\\n")


def _no_tags(text: str) -> str:
    """Markdown in which <code> outside of backticks is a word in angle brackets, not a tag that a page hides, and
    >_translated_ is not emphasis."""
    pieces = text.split("`")
    shown = [piece.replace("<", "&lt;").replace(">_", ">\\_") for piece in pieces]
    return "`".join(piece if index % 2 else shown[index] for index, piece in enumerate(pieces))


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if default is None:
        return "null" if "default" in field else "empty"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, dict):
        return "its defaults"
    if isinstance(default, list):
        return ", ".join(map(str, default)) or "empty"
    return f"{default:g}" if isinstance(default, float) else str(default) or "empty"


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    for union in ("anyOf", "oneOf", "allOf"):
        if union in field:
            return " or ".join(_type(item) for item in field[union])
    if field.get("type") == "array":
        items = field.get("items") or {}
        return f"list of {_type(items)}" if items else "list"
    if field.get("type") == "object":
        inner = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()), None)
        return f"mapping to {_type(inner)}" if isinstance(inner, dict) else "mapping"
    limits = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = " ".join(f"{sign} {field[key]:g}" for key, sign in limits.items() if key in field)
    return " ".join(filter(None, [str(field.get("type", "any")), bounds]))


CAPS_BEGIN, CAPS_END = "<!-- caps: written by make docs -->\n", "\n<!-- end of caps -->"


def records_page() -> str:
    """docs/records.md with the table of caps as the rules have it; the rest of the page is written by hand."""
    before, rest = (DOCS / "records.md").read_text(encoding="utf-8").split(CAPS_BEGIN)
    return before + CAPS_BEGIN + table() + CAPS_END + rest.split(CAPS_END)[1]


PAGES = {"cli.md": cli_page, "records.md": records_page, "results.md": results_page, "study.md": study_page}
SCHEMAS = Path(tarazu.__file__).parent / "schemas"


def written() -> Iterator[tuple[Path, str]]:
    """Every generated file with its text."""
    for name, page in PAGES.items():
        yield DOCS / name, page()
    for name in MODELS:
        yield SCHEMAS / f"{name}.schema.json", json.dumps(schema_of(name), ensure_ascii=False, indent=2) + "\n"
    yield SCHEMAS / "openapi.json", json.dumps(description(), ensure_ascii=False, indent=2) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is out of date")
    check = parser.parse_args().check
    stale = 0
    for path, text in written():
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            print(f"{path.parent.name}/{path.name} is out of date: make docs")
            stale += 1
        elif not check:
            path.write_text(text, encoding="utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
