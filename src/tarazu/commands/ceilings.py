"""Options for what a stranger's record, or a stranger's document, may use of this machine, and whose keys count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tarazu.commands.options import positive

if TYPE_CHECKING:
    from tarazu.record.attestation.collected import TrustedSigner
    from tarazu.record.ceilings import Ceilings
    from tarazu.sandbox.limits import Limits

LARGEST_MIB = 1024

MaxSize = Annotated[
    int,
    typer.Option(
        "--max-size", metavar="MIB", parser=positive, help="Most that all files of a record may have together, in MiB."
    ),
]


@dataclass(frozen=True, kw_only=True)
class DocumentOptions:
    """The most that the reader of documents may use."""

    max_seconds: Annotated[
        int,
        typer.Option(
            "--max-seconds", metavar="N", parser=positive, help="Longest time that the documents may take to read."
        ),
    ] = 120
    max_memory: Annotated[
        int,
        typer.Option(
            "--max-memory", metavar="MIB", parser=positive, help="Most memory that reading them may take, in MiB."
        ),
    ] = 4096

    def limits(self) -> Limits:
        from tarazu.record.build.look_up import READING

        return READING.model_copy(update={"seconds": self.max_seconds, "memory_mib": self.max_memory})


@dataclass(frozen=True, kw_only=True)
class CeilingOptions:
    """The most that a record's script may ask for."""

    max_seconds: Annotated[
        int | None,
        typer.Option(
            "--max-seconds",
            metavar="N",
            parser=positive,
            help="Longest time that the record's script may ask for.",
            show_default="300 from depth analysis, otherwise 3600",
        ),
    ] = None
    max_memory: Annotated[
        int | None,
        typer.Option(
            "--max-memory",
            metavar="MIB",
            parser=positive,
            help="Most memory that it may ask for, in MiB. Runs take turns where it is too little for all of them.",
            show_default="half of the machine's, at least 8192",
        ),
    ] = None
    max_disk: Annotated[
        int, typer.Option("--max-disk", metavar="MIB", parser=positive, help="Most that it may ask to write, in MiB.")
    ] = 1024
    max_processes: Annotated[
        int,
        typer.Option(
            "--max-processes", metavar="N", parser=positive, help="Most processes and threads that it may ask for."
        ),
    ] = 512
    max_size: MaxSize = LARGEST_MIB

    def ceilings(self) -> Ceilings:
        from tarazu.record.ceilings import Ceilings, half_of_memory

        return Ceilings(
            seconds=self.max_seconds,
            memory_mib=self.max_memory or half_of_memory(),
            disk_mib=self.max_disk,
            processes=self.max_processes,
            size_mib=self.max_size,
        )


# --- keys of attestations that the reader knows ------------------------------------------------------


def _named_key(text: str) -> tuple[str, str]:
    name, separator, key = text.partition("=")
    if not (separator and name.strip() and name.isprintable() and len(name) <= 200 and key):
        raise typer.BadParameter(f"must be NAME=KEY, not {text!r}")
    if key.startswith("sha256:") and not re.fullmatch("sha256:[0-9a-f]{64}", key):
        raise typer.BadParameter(f"must be NAME=sha256: and 64 hex digits, not {text!r}")
    return name.strip(), key


TrustedSigners = Annotated[
    list[Any],
    typer.Option(
        "--trusted-signer",
        metavar="NAME=KEY",
        parser=_named_key,
        help="A signer of attestations whom you know: a name that you give, and the public key (a PEM file), its id "
        "(sha256:...), or the identity that Sigstore certifies (oidc:ISSUER#IDENTITY). Repeatable.",
    ),
]


def trusted_signers(given: Sequence[tuple[str, str]]) -> tuple[TrustedSigner, ...]:
    """The signers that the option names. Raises BadInput."""
    from tarazu.record.attestation.collected import read_trusted

    return tuple(read_trusted(name, key) for name, key in given)
