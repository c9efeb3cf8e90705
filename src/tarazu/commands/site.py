"""`tarazu site ...`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tarazu.commands.ceilings import LARGEST_MIB, MaxSize, TrustedSigners, trusted_signers
from tarazu.commands.dispatch import command, group
from tarazu.commands.options import port_number
from tarazu.commands.output import print_line
from tarazu.errors import BadInput

app = group(
    name="site",
    short_help="Build and serve a web site of a folder of records.",
    help="Build a static web site of a folder of records, or serve one with a query API. docs/site.md describes it.",
)


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    records: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of records.")]
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder to write; an earlier site there is brought up to date.")
    ]
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="The site's future address, for its feed and its citations.")
    ] = None
    trusted: TrustedSigners = field(default_factory=list)
    max_size: MaxSize = LARGEST_MIB


@command(
    app,
    "build",
    summary="Write the site's files.",
    description="Write a site of every record in DIR, each in its own folder. If an earlier build wrote the site, only "
    "records that changed are built. The site shows each record's gate.json "
    "as it is: run `tarazu record verify` on other people's records first. Exit code 1 if a folder was excluded. "
    "Needs the extra `records`.",
    example="tarazu site build records --out site",
)
def build(options: BuildOptions) -> int:
    from tarazu.site.build import build_site
    from tarazu.site.templates import web_address

    if options.url is not None and web_address(options.url) is None:
        raise BadInput(f"--url {options.url}: not a web address; it begins with https:// or http://")
    built = build_site(
        options.records,
        options.out,
        url=options.url,
        size_mib=options.max_size,
        trusted=trusted_signers(options.trusted),
    )
    for line in built.skipped:
        print_line(f"skipped: {line}", sys.stderr)
    print_line(f"{built.records} records, {built.rebuilt} of them built now: {(options.out / 'index.html').resolve()}")
    return 1 if built.skipped else 0


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    site: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the site.")]
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on. The default is reachable from this machine only.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(metavar="PORT", parser=port_number, help="Port to listen on.")] = 8000


@command(
    app,
    "serve",
    summary="Serve a built site, with search and a query API.",
    description="Serve a site that `tarazu site build` wrote: its pages, a search that needs no JavaScript, and "
    "/api/records, /api/search and /api/openapi.json. Read-only. Needs the extra `site`.",
    example="tarazu site serve site --port 8000",
)
def serve(options: ServeOptions) -> int:
    from tarazu.site.serve import serve_site

    serve_site(options.site, host=options.host, port=options.port, say=partial(print, flush=True))
    return 0
