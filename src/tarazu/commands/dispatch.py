"""How commands are declared, and how one is run.

A command is a function of one options object: a frozen dataclass whose fields are declared as typer declares
parameters, `Annotated[type, typer.Option(...)] = default`. Options that several commands share are declared once, as an
alias of such a type or as a dataclass that the others extend (options.py).
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, get_type_hints

import typer

from tarazu.errors import TarazuError, message_line

WIDTH = 100
"""Width of help pages, in columns."""

DONE, REFUSED, STOPPED = 0, 2, 130
"""Exit codes; a command whose check failed returns 1."""

O = TypeVar("O")  # noqa: E741


def group(**settings: Any) -> typer.Typer:
    """A group of commands. Help is plain text, the same on a terminal, in a pipe and in docs/cli.md."""
    context = {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH}
    return typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=context, **settings)


def command(
    app: typer.Typer, name: str, *, summary: str, description: str, example: str
) -> Callable[[Callable[[O], int]], Callable[[O], int]]:
    """Declare a command: a function from `options` to an exit code. `summary` is its line in the list of commands."""

    def declare(handler: Callable[[O], int]) -> Callable[[O], int]:
        options = get_type_hints(handler)["options"]
        hints = get_type_hints(options, include_extras=True)

        def bind(**values: Any) -> Callable[[], int]:
            return partial(handler, options(**values))

        # typer reads the parameters of a command from its signature.
        parameters = [_parameter(field, hints[field.name]) for field in _own_first(options)]
        bind.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        bind.__annotations__ = hints
        app.command(name, help=description, short_help=summary, epilog=f"Example: {example}")(bind)
        return handler

    return declare


def _own_first(options: Any) -> list[dataclasses.Field[Any]]:
    """The fields in the order of the help page: first those of this command only, then the shared ones."""
    return sorted(dataclasses.fields(options), key=lambda field: field.name not in vars(options)["__annotations__"])


def _parameter(field: dataclasses.Field[Any], hint: Any) -> inspect.Parameter:
    default: Any = inspect.Parameter.empty
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def run_command_line(app: typer.Typer, arguments: Sequence[str] | None) -> int:
    """Run the command that the arguments name, and return its exit code. Errors that a user can fix are printed as one
    line on standard error."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # A file's name may contain bytes that are not valid text.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Parsing returns the bound command, or the exit code of --help and --version.
        chosen = typer.main.get_command(app).main(arguments, prog_name="tarazu", standalone_mode=False)
        return chosen if isinstance(chosen, int) else chosen()
    except typer.TyperException as error:
        print(_usage_line(error), file=sys.stderr)
        return REFUSED
    except TarazuError as error:
        print(f"tarazu: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("\ntarazu: stopped; run the same command to continue", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # The reader of a pipe (head, less) may close it at any time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        # An error for which no reader or writer has a better message, such as a name that is too long.
        print(f"tarazu: {message_line(str(error))}", file=sys.stderr)
        return REFUSED


def _usage_line(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tarazu"
    message = message_line(error.format_message()).removesuffix(".")
    commands = getattr(context.command, "commands", None) if context is not None else None
    hint = f"commands: {', '.join(commands)}" if commands else f"see {path} --help"
    return f"{path}: {message} ({hint})"
