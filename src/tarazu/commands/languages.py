"""`tarazu languages`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tarazu.commands.dispatch import command, group
from tarazu.commands.options import prints_json
from tarazu.commands.output import print_json

app = group()


@dataclass(frozen=True, kw_only=True)
class LanguagesOptions:
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Show what Tarazu knows of these languages: tags, codes or names."),
    ] = None
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            help="Check one prompt file, or a folder of them, for errors and warnings. Errors give exit code 1.",
        ),
    ] = None
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also show how accurate this run's reward models are in each language."),
    ] = None
    json: Annotated[bool, prints_json("the list, or the result of the check, as JSON")] = False


@command(
    app,
    "languages",
    summary="List the 50 languages and the data that each has, look up others, or check prompt files.",
    description="List XTREME-R's 50 languages with Joshi class, resource group, tasks and the data that each has: "
    "prompts by source, and known answers, from the shipped set and from the files in the folder TARAZU_DATA. With "
    "names, show the code, class, resource group, script and family of these languages instead, and where each fact is "
    "from. With --check, check prompt files instead.",
    example="TARAZU_DATA=/data tarazu languages --run runs/hh-local",
)
def list_languages(options: LanguagesOptions) -> int:
    from tarazu.coverage import coverage
    from tarazu.study.loader import DATA_ROOT_VARIABLE
    from tarazu.summary import languages_json, languages_text

    if options.names:
        return _show(options)
    if options.check is not None:
        return _check(options.check, as_json=options.json)
    root = os.environ.get(DATA_ROOT_VARIABLE)
    sources, languages = coverage(Path(root).expanduser() if root else None, options.run)
    if options.json:
        print_json(languages_json(languages))
    else:
        print(languages_text(sources, languages), end="")
    return 0


def _show(options: LanguagesOptions) -> int:
    from tarazu.errors import BadInput
    from tarazu.languages import UnknownLanguage
    from tarazu.languages.lookup import look_up
    from tarazu.summary import looked_up_json, looked_up_text

    if options.check is not None or options.run is not None:
        raise BadInput("NAME: cannot be used with --check or --run; remove one")
    try:
        found = [look_up(name) for name in options.names or ()]
    except UnknownLanguage as error:
        raise BadInput(str(error)) from None
    if options.json:
        print_json(looked_up_json(found))
    else:
        print(looked_up_text(found), end="")
    return 0


def _check(path: Path, *, as_json: bool) -> int:
    from tarazu.data._parallel_checks import check_parallel, count_levels, report_json
    from tarazu.files import to_json

    reports = check_parallel(path)
    counts = count_levels(reports)
    if as_json:
        print_json(to_json(report_json(reports)))
        return 1 if counts["error"] else 0
    for report in reports:
        for problem in report.problems:
            print(problem)
        for check, reason in report.skipped.items():
            print(f"{report.path}: not checked ({check}): {reason}")
    totals = [f"{counts[level] or 'no'} {level}{'' if counts[level] == 1 else 's'}" for level in ("error", "warning")]
    print(f"{path}: {' and '.join(totals)}")
    return 1 if counts["error"] else 0
