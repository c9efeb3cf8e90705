"""Lean 4 claims: the source is compiled in the sandbox, and a file of the gate's own says what it has proved.

1. The source's words are looked at before Lean sees it. Whatever could run code while Lean elaborates, change how Lean
   reads the gate's file, or assume what is to be proved is refused: macros, syntax, notation, instances (a new meaning
   of `<`), attributes, evaluation, options, axioms, `sorry`, `native_decide`, imports beyond Init and Std. So is a type
   that is more than one type.
2. Claim.lean is compiled.
3. Check.lean imports it: `theorem tarazu_checked_NONCE : (TYPE) := @THEOREM`, so that the kernel compares the theorem's
   statement with the claim's, and `#print axioms`, of whose answer only propext, Classical.choice and Quot.sound pass.
   The nonce is made for each check, after the source was written.
4. Two files must fail: the opposite of TYPE proved by the same theorem, and TYPE proved by `intros; trivial` (a
   statement that says nothing).

What it trusts: Lean's kernel and frontend; that TYPE says what the claim's words say, which a reader must see.
"""

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
from typing import Any, Final

from tarazu.record.claims.empirical import BadResults, read_results
from tarazu.record.claims.findings import Checked
from tarazu.record.model import Lean
from tarazu.sandbox.limits import Limits
from tarazu.sandbox.runner import FOLDER, OUT, PYTHON, run

AXIOMS: Final = frozenset({"propext", "Classical.choice", "Quot.sound"})
"""The axioms of Lean's own library that a proof may rest on."""

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
    """The folder of the Lean that `lean` on PATH stands for, and its version; None without one, or one that does not
    say."""
    found = shutil.which("lean")
    return _prefix_of(found) if found else None


@functools.cache
def _prefix_of(lean: str) -> tuple[Path, str] | None:
    # A version manager looks for the version that a project wants in the working folder: this asks from the root.
    said = [
        subprocess.run([lean, option], capture_output=True, text=True, check=False, cwd="/", timeout=60)
        for option in ("--print-prefix", "--version")
    ]
    if any(one.returncode for one in said) or not Path(said[0].stdout.strip()).is_dir():
        return None
    version = re.search(r"version (\S+?),", said[1].stdout)
    return Path(said[0].stdout.strip()), version[1] if version else said[1].stdout.strip()[:40]


def check_sources(claims: Mapping[str, tuple[Lean, str]]) -> dict[str, Checked]:
    """The verdict for each claim's id, from its evidence and its source's text. Raises NoSandbox."""
    found = {name: Checked("failed", why) for name, (lean, text) in claims.items() if (why := refusal(lean, text))}
    waiting = {name: one for name, one in claims.items() if name not in found}
    installed = lean_prefix()
    if installed is None:
        return found | {name: Checked("not_run", "Lean 4 is not installed: no `lean` on the PATH") for name in waiting}
    if not waiting:
        return found
    prefix, _ = installed
    nonces = {name: secrets.token_hex(16) for name in waiting}
    with tempfile.TemporaryDirectory() as temporary:
        for name, (lean, text) in waiting.items():
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
        said = read_results(outcome.result) if outcome.result is not None else {}
        problem = outcome.problem
    except BadResults as error:
        said, problem = {}, str(error)
    for name, (lean, _) in waiting.items():
        told = said.get(name)
        if isinstance(told, dict):
            found[name] = judged(told, lean, nonces[name])
        else:
            found[name] = Checked("not_run", f"Lean gave no answer: {problem}")
    return found


def refusal(lean: Lean, source: str) -> str | None:
    """Why a source, or a claim's type, is not shown to Lean, or None."""
    if '"' in source:
        return f"{lean.source}: a source may hold no quotation marks: comments and strings are told apart without them"
    text = _IMPORT.sub("", _without_comments(source))
    for refused in _refused(text):
        return f"{lean.source}: a source may not use {refused}"
    if re.search(r"\bimport\b", text):
        return f"{lean.source}: a source may import Init and Std only"
    for refused in _refused(lean.type):
        return f"the claim's type may not use {refused}"
    for word in _WORD.findall(lean.type):
        if word in _NOT_IN_A_TYPE:
            return f"the claim's type may not use '{word}'"
    if ":=" in lean.type or "--" in lean.type or "/-" in lean.type or not _balanced(lean.type):
        return "the claim's type is not one type"
    return None


def judged(said: Mapping[str, Any], lean: Lean, nonce: str) -> Checked:
    """The verdict from what lean said of each file."""
    if _exit(said, "Claim") != 0:
        return Checked("failed", f"Lean does not accept {lean.source}: {_first_error(said, 'Claim')}", ("lean",))
    if _exit(said, "Check") != 0:
        why = _first_error(said, "Check")
        return Checked("failed", f"{lean.theorem} does not have the claim's type: {why}", ("lean",))
    axioms = axioms_of(said, nonce)
    if axioms is None:
        return Checked("failed", "Lean did not say which axioms the proof rests on", ("lean",))
    if axioms - AXIOMS:
        return Checked("failed", f"the proof rests on {', '.join(sorted(axioms - AXIOMS))}", ("lean",))
    refused = {name: _exit(said, name) not in (0, None) for name in ("Opposite", "Trivial")}
    counted = {"tried": 2, "refused": sum(refused.values())}
    if not refused["Trivial"]:
        return Checked("vacuous", "`intros; trivial` proves the statement: it says nothing", ("lean",), counted)
    if not refused["Opposite"]:
        return Checked("vacuous", "the same theorem proves the opposite", ("lean",), counted)
    rest = ", ".join(sorted(axioms)) or "no axioms"
    return Checked("verified", f"Lean's kernel accepts {lean.theorem} ({rest})", ("lean",), counted)


def axioms_of(said: Mapping[str, Any], nonce: str) -> set[str] | None:
    """What `#print axioms` answered for the gate's own theorem; None unless it answered once, and nothing was wrong."""
    messages = list(_messages(said, "Check"))
    if any(one.get("severity") != "information" for one in messages):
        return None
    pattern = re.compile(
        rf"'tarazu_checked_{nonce}' (?:does not depend on any axioms|depends on axioms: \[([^\[\]]*)\])"
    )
    answers = [found for one in messages if (found := pattern.fullmatch(str(one.get("data", "")).strip()))]
    if len(answers) != 1:
        return None
    return {name.strip() for name in (answers[0][1] or "").split(",") if name.strip()}


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
    """The text as Lean sees it: without comments, which nest. No string in it could hold their marks: there is none."""
    kept, at, depth = [], 0, 0
    while at < len(text):
        pair = text[at : at + 2]
        if pair == "/-" or (depth and pair == "-/"):
            depth += 1 if pair == "/-" else -1
            at += 2
        elif depth:
            at += 1
        elif pair == "--":
            at = (text + "\n").index("\n", at)
        else:
            kept.append(text[at])
            at += 1
    return "".join(kept)


def _refused(text: str) -> Iterator[str]:
    """Words and marks of a text that a claim may not use."""
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


def _exit(said: Mapping[str, Any], name: str) -> int | None:
    told = said.get(name)
    found = told.get("exit") if isinstance(told, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _messages(said: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """lean's messages about a file; what is not one is a message of its own, of no severity."""
    told = said.get(name)
    output = told.get("output") if isinstance(told, dict) else None
    for line in output.splitlines() if isinstance(output, str) else ():
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        yield message if isinstance(message, dict) else {"data": line[:200]}


def _first_error(said: Mapping[str, Any], name: str) -> str:
    for message in _messages(said, name):
        if message.get("severity") != "information":
            return " ".join(str(message.get("data", "")).split())[:200]
    return "it gave no reason"
