"""`tarazu site ...`: arguments in, one call, exit code out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tarazu.errors import BadInput


def add_site(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command group; each subcommand sets `handler`, a function from its arguments to an exit code."""
    site = commands.add_parser(
        "site",
        help="a web site of a folder of records",
        description="Make a static site of a folder of records, or serve one with a query API. docs/site.md says "
        "what is in it.",
    )
    actions = site.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser(
        "build",
        help="write the site's files",
        description="Write a site of every record in DIR, each in a folder of its own. It shows the gate.json that it "
        "finds: take a stranger's record through `tarazu record verify` first. Exit code 1 where a folder was left "
        "out. Needs the extra `records`.",
        epilog="example: tarazu site build records --out site",
    )
    build.add_argument("records", type=Path, metavar="DIR", help="folder of records")
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make; an earlier site goes")
    build.add_argument("--url", metavar="URL", help="address that the site will have, for its feed and citations")
    build.set_defaults(handler=_build)
    serve = actions.add_parser(
        "serve",
        help="show a built site, with search and a query API",
        description="Serve a site that `tarazu site build` made: its pages, its search without JavaScript, and "
        "/api/records, /api/search and /api/openapi.json. Read-only. Needs the extra `site`.",
        epilog="example: tarazu site serve site --port 8000",
    )
    serve.add_argument("site", type=Path, metavar="DIR", help="folder of the site")
    serve.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="address to listen at (default: this machine only)"
    )
    serve.add_argument("--port", type=_port, default=8000, metavar="PORT", help="port (default: 8000)")
    serve.set_defaults(handler=_serve)


def run_site(arguments: argparse.Namespace) -> int:
    """Carry out the subcommand; its exit code."""
    code: int = arguments.handler(arguments)
    return code


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to 65535, not {text!r}")
    return int(text)


def _build(arguments: argparse.Namespace) -> int:
    from tarazu.site.build import build_site
    from tarazu.site.templates import web_address

    if arguments.url is not None and web_address(arguments.url) is None:
        raise BadInput(f"--url {arguments.url}: not a web address; it begins with https:// or http://")
    built = build_site(arguments.records, arguments.out, url=arguments.url)
    for line in built.skipped:
        print(f"left out: {line}", file=sys.stderr)
    print(f"{built.records} records: {(arguments.out / 'index.html').resolve()}")
    return 1 if built.skipped else 0


def _serve(arguments: argparse.Namespace) -> int:
    from tarazu.site.serve import serve_site

    print(f"http://{arguments.host}:{arguments.port}/ (Ctrl-C ends it)", flush=True)
    serve_site(arguments.site, host=arguments.host, port=arguments.port)
    return 0
