"""Lean 4 claims: the source is compiled in the sandbox, and files written by the gate check what it proves.

1. The source is screened before Lean reads it. Everything that could run code during elaboration, change how Lean reads
   the gate's files, or assume the statement is refused: macros, syntax, notation, instances (which could redefine `<`),
   attributes, evaluation, options, axioms, `sorry`, `native_decide`, and imports other than Init and Std. A claim's
   type that is not a single type is refused too.
2. Claim.lean is compiled.
3. Check.lean imports it and contains `theorem tarazu_checked_NONCE : (TYPE) := @THEOREM`, so that the kernel compares
   the theorem's statement with the claim's. It also contains `#print axioms`, whose answer may list only propext,
   Classical.choice and Quot.sound. Each check uses a new nonce, made after the source was written.
4. Two files must fail: one proves the negation of TYPE with the same theorem, and one proves TYPE with `intros;
   trivial` (a vacuous statement).

The check trusts Lean's kernel and frontend. Whether TYPE means what the claim's statement says is for a reader to
judge."""

from __future__ import annotations

import functools
import json
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from tarazu.record.claims.empirical import BadResults, read_results
from tarazu.record.claims.findings import EvidenceResult
from tarazu.record.model import Lean
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, run

AXIOMS: Final = frozenset({"propext", "Classical.choice", "Quot.sound"})
"""The axioms of Lean's own library that a proof may use."""

_REFUSED = frozenset((
    "axiom", "sorry", "sorryAx", "admit", "native_decide", "native", "ofReduceBool", "ofReduceNat",
    "trustCompiler", "skipKernelTC", "macro", "macro_rules", "syntax", "notation", "notation3", "infix",
    "infixl", "infixr", "prefix", "postfix", "declare_syntax_cat", "elab", "elab_rules", "binder_predicate",
    "unif_hint", "simproc", "dsimproc", "builtin_simproc", "builtin_dsimproc", "declare_simp_like_tactic",
    "run_cmd", "run_elab", "run_meta", "run_tac", "by_elab", "eval", "eval_expr", "initialize",
    "builtin_initialize", "register_option", "register_builtin_option", "register_simp_attr",
    "register_label_attr", "attribute", "local", "scoped", "instance", "class", "default_instance",
    "set_option", "unsafe", "unsafeCast", "unsafeIO", "partial", "opaque", "extern", "export",
    "implemented_by", "csimp", "deriving", "meta", "public", "prelude", "module", "reduceBool", "IO", "EIO",
    "BaseIO", "Lean", "Elab", "Meta", "Environment", "addDecl", "grind_pattern", "add_decl_doc",
    "gen_injective_theorems", "init_quot",
))  # fmt: skip
_NOT_IN_A_TYPE = frozenset((
    "theorem", "lemma", "def", "abbrev", "example", "structure", "inductive", "coinductive", "mutual",
    "namespace", "section", "end", "open", "by", "where", "private", "protected", "noncomputable", "let",
    "have", "show", "from", "do", "match", "fun", "nomatch", "termination_by", "decreasing_by", "in",
    "variable", "universe", "include", "omit",
))  # fmt: skip
_IMPORT = re.compile(r"^import[ \t]+(?:all[ \t]+)?(?:Init|Std)(?:\.[A-Za-z0-9_]+)*[ \t]*$", re.MULTILINE)
_WORD = re.compile(r"[^\W\d][\w!?']*")
_CLOSES = {")": "(", "]": "[", "}": "{", "⟩": "⟨"}
_LIMITS = Limits(seconds=600, memory_mib=16_384, file_mib=256, processes=128)


def lean_prefix() -> tuple[Path, str] | None:
    """The installation folder and version of the `lean` on PATH. None if there is none or it does not report them."""
    executable = shutil.which("lean")
    return _prefix_of(executable) if executable else None


@functools.cache
def _prefix_of(lean: str) -> tuple[Path, str] | None:
    # A version manager selects the version that the working folder's project requires, so run it in the root folder.
    outputs = [
        subprocess.run([lean, option], capture_output=True, text=True, check=False, cwd="/", timeout=60)
        for option in ("--print-prefix", "--version")
    ]
    if any(output.returncode for output in outputs) or not Path(outputs[0].stdout.strip()).is_dir():
        return None
    version = re.search(r"version (\S+?),", outputs[1].stdout)
    return Path(outputs[0].stdout.strip()), version[1] if version else outputs[1].stdout.strip()[:40]


def check_sources(claims: Mapping[str, tuple[Lean, str]]) -> dict[str, EvidenceResult]:
    """The result for each claim, by its id, from its evidence and its source's text. Raises NoSandbox."""
    results = {
        name: EvidenceResult("failed", why) for name, (lean, text) in claims.items() if (why := refusal(lean, text))
    }
    pending = {name: one for name, one in claims.items() if name not in results}
    installed = lean_prefix()
    if installed is None:
        return results | {
            name: EvidenceResult("not_run", "Lean 4 is not installed: no `lean` on the PATH") for name in pending
        }
    if not pending:
        return results
    prefix, _ = installed
    nonces = {name: secrets.token_hex(16) for name in pending}
    with tempfile.TemporaryDirectory() as temporary:
        for name, (lean, text) in pending.items():
            _write(Path(temporary) / name, lean, text, nonces[name])
        Path(temporary).chmod(0o755)
        command = [
            PYTHON,
            "-m",
            "tarazu.record.claims.mathematics._elaborate",
            str(prefix / "bin" / "lean"),
            FOLDER,
            OUT,
        ]
        outcome = run(command, folder=Path(temporary), limits=_LIMITS, also=[prefix])
    try:
        answers = read_results(outcome.result) if outcome.result is not None else {}
        problem = outcome.problem
    except BadResults as error:
        answers, problem = {}, str(error)
    for name, (lean, _) in pending.items():
        answer = answers.get(name)
        if isinstance(answer, dict):
            results[name] = lean_verdict(answer, lean, nonces[name])
        else:
            results[name] = EvidenceResult("not_run", f"Lean gave no answer: {problem}")
    return results


def refusal(lean: Lean, source: str) -> str | None:
    """Why Lean may not read a source or a claim's type, or None."""
    if '"' in source:
        return f"{lean.source}: a source may not contain quotation marks, so that no string can look like a comment"
    text = _IMPORT.sub("", _without_comments(source))
    for refused in _refused(text):
        return f"{lean.source}: a source may not use {refused}"
    if re.search(r"\bimport\b", text):
        return f"{lean.source}: a source may import only Init and Std"
    for refused in _refused(lean.type):
        return f"the claim's type may not use {refused}"
    for word in _WORD.findall(lean.type):
        if word in _NOT_IN_A_TYPE:
            return f"the claim's type may not use '{word}'"
    if ":=" in lean.type or "--" in lean.type or "/-" in lean.type or not _balanced(lean.type):
        return "the claim's type is not a single type"
    return None


def lean_verdict(answers: Mapping[str, JsonValue], lean: Lean, nonce: str) -> EvidenceResult:
    """The verdict that follows from Lean's answer for each file."""
    if _exit(answers, "Claim") != 0:
        return EvidenceResult(
            "failed", f"Lean does not accept {lean.source}: {_first_error(answers, 'Claim')}", ("lean",)
        )
    if _exit(answers, "Check") != 0:
        why = _first_error(answers, "Check")
        return EvidenceResult("failed", f"{lean.theorem} does not have the claim's type: {why}", ("lean",))
    axioms = axioms_of(answers, nonce)
    if axioms is None:
        return EvidenceResult("failed", "Lean did not report which axioms the proof uses", ("lean",))
    if axioms - AXIOMS:
        return EvidenceResult("failed", f"the proof uses {', '.join(sorted(axioms - AXIOMS))}", ("lean",))
    refused = {name: _exit(answers, name) not in (0, None) for name in ("Opposite", "Trivial")}
    counted = {"tried": 2, "refused": sum(refused.values())}
    if not refused["Trivial"]:
        return EvidenceResult("vacuous", "`intros; trivial` proves the statement, so it is vacuous", ("lean",), counted)
    if not refused["Opposite"]:
        return EvidenceResult("vacuous", "the same theorem also proves the negation", ("lean",), counted)
    used = ", ".join(sorted(axioms)) or "no axioms"
    return EvidenceResult("verified", f"Lean's kernel accepts {lean.theorem} ({used})", ("lean",), counted)


def axioms_of(answers: Mapping[str, JsonValue], nonce: str) -> set[str] | None:
    """The axioms that `#print axioms` listed for the gate's theorem. None unless it answered once and without
    errors."""
    messages = list(_messages(answers, "Check"))
    if any(one.get("severity") != "information" for one in messages):
        return None
    pattern = re.compile(
        rf"'tarazu_checked_{nonce}' (?:does not depend on any axioms|depends on axioms: \[([^\[\]]*)\])"
    )
    matches = [match for one in messages if (match := pattern.fullmatch(str(one.get("data", "")).strip()))]
    if len(matches) != 1:
        return None
    return {name.strip() for name in (matches[0][1] or "").split(",") if name.strip()}


def _write(folder: Path, lean: Lean, source: str, nonce: str) -> None:
    head = "import Claim\nset_option autoImplicit false\n"
    checked = f"tarazu_checked_{nonce}"
    files = {
        "Claim": source,
        "Check": f"{head}theorem {checked} : ({lean.type}) := @{lean.theorem}\n#print axioms {checked}\n",
        "Opposite": f"{head}theorem {checked} : ¬ ({lean.type}) := @{lean.theorem}\n",
        "Trivial": f"{head}theorem {checked} : ({lean.type}) := by intros; trivial\n",
    }
    folder.mkdir(mode=0o755)
    for name, text in files.items():
        (folder / f"{name}.lean").write_text(text, encoding="utf-8")


def _without_comments(text: str) -> str:
    """Remove comments, which can be nested. The text contains no strings, so none can contain comment marks."""
    kept, position, depth = [], 0, 0
    while position < len(text):
        pair = text[position : position + 2]
        if pair == "/-" or (depth and pair == "-/"):
            depth += 1 if pair == "/-" else -1
            position += 2
        elif depth:
            position += 1
        elif pair == "--":
            position = (text + "\n").index("\n", position)
        else:
            kept.append(text[position])
            position += 1
    return "".join(kept)


def _refused(text: str) -> Iterator[str]:
    """Words and characters in a text that a claim may not use."""
    for mark in ("#", "@[", "«", "`", '"'):
        if mark in text:
            yield f"'{mark}'"
    for word in _WORD.findall(text):
        if word in _REFUSED:
            yield f"'{word}'"


def _balanced(text: str) -> bool:
    opened: list[str] = []
    for letter in text:
        if letter in _CLOSES.values():
            opened.append(letter)
        elif letter in _CLOSES and (not opened or opened.pop() != _CLOSES[letter]):
            return False
    return not opened


def _exit(answers: Mapping[str, JsonValue], name: str) -> int | None:
    answer = answers.get(name)
    code = answer.get("exit") if isinstance(answer, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _messages(answers: Mapping[str, JsonValue], name: str) -> Iterator[dict[str, JsonValue]]:
    """Lean's messages about a file. A line that is not a JSON message becomes a message without a severity."""
    answer = answers.get(name)
    output = answer.get("output") if isinstance(answer, dict) else None
    for line in output.splitlines() if isinstance(output, str) else ():
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        yield message if isinstance(message, dict) else {"data": line[:200]}


def _first_error(answers: Mapping[str, JsonValue], name: str) -> str:
    for message in _messages(answers, name):
        if message.get("severity") != "information":
            return " ".join(str(message.get("data", "")).split())[:200]
    return "it gave no reason"
