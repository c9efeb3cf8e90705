"""`tarazu preregister`, and what other commands do with its plans."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tarazu.commands.dispatch import command, group
from tarazu.commands.options import SHIPPED_STUDY, Overrides, past_day
from tarazu.commands.output import need_models
from tarazu.errors import BadInput

if TYPE_CHECKING:
    from tarazu.preregistration.reading import FrozenPlan
    from tarazu.study import LoadedStudy

app = group()


@dataclass(frozen=True, kw_only=True)
class PreregisterOptions:
    study: Annotated[str, typer.Argument(metavar="STUDY", help=f"The study: {SHIPPED_STUDY}.")]
    out: Annotated[Path, typer.Option(metavar="FILE", help="The plan to write (.json). It is not overwritten.")]
    overrides: Overrides = field(default_factory=list)
    pilot: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A finished run whose variance the power analysis uses.")
    ] = None
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Sign the plan with this Ed25519 key: PEM, without a password. Writes a file beside it.",
        ),
    ] = None
    made: Annotated[
        Any,
        typer.Option(
            "--date", metavar="YYYY-MM-DD", parser=past_day, help="The plan's date. Your word.", show_default="today"
        ),
    ] = None


@command(
    app,
    "preregister",
    summary="Freeze a study's plan before any response exists.",
    description="Write a study's plan: its settings, digests of its prompts, known answers and models, what D "
    "estimates, in which languages, and with what power. `run --plan` binds it to the responses before the first one; "
    "the results then say whether they are confirmatory, and what departs from the plan. Publish the file's SHA-256, "
    "which is printed, where others can see its date (docs/preregistration.md). Needs the extra `models`.",
    example="tarazu preregister demo --out plan.json --key key.pem",
)
def preregister(options: PreregisterOptions) -> int:
    from tarazu.study import load_study

    loaded = load_study(options.study, options.overrides)
    need_models()
    from tarazu.files import to_json, write_text
    from tarazu.preregistration.reading import FrozenPlan, plan_text, signature_of
    from tarazu.run.preregistration.making import make_plan, plan_summary

    out, beside = options.out, signature_of(options.out)
    for path in (out, beside):
        if path.exists():
            raise BadInput(f"{path}: exists already, and a plan is not overwritten; choose another --out")
    plan = make_plan(loaded, (options.made or date.today()).isoformat(), options.pilot)
    text = plan_text(plan)
    signature = None
    if options.key is not None:
        from tarazu.record.signing import PLAN, sign_digest

        sha256 = FrozenPlan(plan=plan, text=text).sha256
        signature = sign_digest(f"sha256:{sha256}", options.key, PLAN)
        write_text(beside, to_json(signature.model_dump(mode="json")))
    frozen = FrozenPlan(plan=plan, text=text)
    write_text(out, text)
    print(plan_summary(frozen, signature.key_id if signature else None, out), end="")
    return 0


def signed_plan(path: Path | None) -> FrozenPlan | None:
    """The plan of `--plan`, whose signature is valid if there is one. Raises BadInput."""
    if path is None:
        return None
    from tarazu.preregistration.reading import read_plan, signature_of

    frozen = read_plan(path)
    if frozen.signature is not None:
        from tarazu.record.signing import PLAN, BadSignature, check_signature

        try:
            check_signature(signature_of(path), f"sha256:{frozen.sha256}", PLAN)
        except BadSignature as error:
            raise BadInput(f"{signature_of(path)}: is not valid: {error}; sign the plan again, or remove it") from None
    return frozen


def with_plan(loaded: LoadedStudy, plan: FrozenPlan | None) -> LoadedStudy:
    """A study together with its plan, if there is one."""
    if plan is None:
        return loaded
    from tarazu.run.preregistration.binding import PlannedStudy

    return PlannedStudy(study=loaded.study, origins=loaded.origins, plan=plan)
