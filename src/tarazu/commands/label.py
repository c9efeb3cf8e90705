"""`tarazu label`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tarazu.commands.dispatch import command, group
from tarazu.commands.options import port_number, positive
from tarazu.errors import BadInput

app = group()


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder, or the folder of an analysis of a table with texts.")
    ]
    rater: Annotated[str, typer.Option(metavar="NAME", help="Who rates; each rater uses another name.")] = "rater1"
    per_cell: Annotated[
        int,
        typer.Option(metavar="N", parser=positive, help="Responses to rate for each arm, language and kind of prompt."),
    ] = 10
    languages: Annotated[
        str | None,
        typer.Option(metavar="CODES", help="Only these languages, separated by commas.", show_default="all of the run"),
    ] = None
    port: Annotated[int, typer.Option(metavar="PORT", parser=port_number, help="Port to listen on.")] = 8765
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table of ratings.", show_default="RUN/ratings.csv")
    ] = None


@command(
    app,
    "label",
    summary="Rate a random sample of a run's responses in the browser, blind to the arm.",
    description="Serve a page on this machine (127.0.0.1) on which a person rates responses by keyboard: harmless or "
    "harmful, helpful or unhelpful. The sample is random, the same for every rater, and has as many responses of each "
    "arm, language and kind. The page does not show which arm wrote a response. Each rating is saved at once as a row "
    "of FILE; a later start resumes. Nothing is sent to any other machine. docs/labelling.md describes it. Needs the "
    "extra `site`.",
    example="tarazu label runs/demo --rater amina --languages sw,yo --per-cell 20",
)
def label(options: LabelOptions) -> int:
    from tarazu.site.web import require_site_extra

    require_site_extra()
    from tarazu.run.lock import RATERS_TABLE
    from tarazu.site.label.ratings import Ratings, write_design
    from tarazu.site.label.sample import draw_from_run
    from tarazu.site.label.serve import serve_labels

    rater = options.rater.strip()
    if not rater or len(rater) > 64 or not re.fullmatch(r"[\w .@-]+", rater) or rater[0] in "-@":
        raise BadInput(f"--rater {options.rater[:70]!r}: use 1 to 64 letters, digits, spaces and . _ - @")
    sample = draw_from_run(options.run, per_cell=options.per_cell, languages=_codes(options.languages))
    ratings = Ratings(options.out or options.run / RATERS_TABLE, rater)
    write_design(ratings, sample)
    rated = sum(item.key in ratings for item in sample.items)
    print(f"{len(sample.items)} responses to rate from {len(sample.strata)} strata, {rated} rated by {rater} so far")
    print(f"Ratings: {ratings.path.resolve()}")
    serve_labels(sample, ratings, rater=rater, port=options.port, say=partial(print, flush=True))
    return 0


def _codes(text: str | None) -> list[str]:
    from tarazu.languages import UnknownLanguage, language_code

    codes = []
    for name in (part.strip() for part in (text or "").split(",") if part.strip()):
        try:
            codes.append(language_code(name))
        except UnknownLanguage as error:
            raise BadInput(f"--languages {text}: {error}") from None
    return codes
