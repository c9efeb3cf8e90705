"""Engines by name: their packages, their promises, and how to open them. An engine's package is imported when used."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tarazu.errors import MissingExtra
from tarazu.respond.engine import EXACT, NOT_EXACT, Engine
from tarazu.study.generation import Generation

_PACKAGE = {
    "transformers": "transformers",
    "ctranslate2": "ctranslate2",
    "continuous": "transformers",
    "vllm": "vllm",
    "openai": "httpx2",
}
_EXTRA = {"ctranslate2": "ctranslate2", "vllm": "vllm"}


def need_engine(settings: Generation) -> None:
    """Raises MissingExtra if the engine's package is not installed."""
    extra = _EXTRA.get(settings.engine)
    if extra is not None and find_spec(_PACKAGE[settings.engine]) is None:
        raise MissingExtra(extra, _PACKAGE[settings.engine])


def engine_facts(settings: Generation, dtype: str) -> dict[str, str]:
    """What results report about the engine: its name, its package's version, and whether its tokens equal those of
    plain generate. Raises MissingExtra."""
    need_engine(settings)
    exact = settings.engine == "transformers" and dtype == "float32" and settings.sampling is None
    return {
        "engine": settings.engine,
        "version": f"{_PACKAGE[settings.engine]} {version(_PACKAGE[settings.engine])}",
        "promise": EXACT if exact else NOT_EXACT,
    }


@contextmanager
def open_engine(
    load_model: Callable[[], Any], tokenizer: Any, settings: Generation, *, arm: str, folder: Path, scratch: Path
) -> Iterator[Engine]:
    """Open the engine for a model.

    A server identifies the model by `folder`, its checkpoint, and `arm`, its name. Engines that convert the checkpoint
    do so in a folder under `scratch`, which is removed at the end. An engine that queries a server loads no model.
    """
    need_engine(settings)
    with ExitStack() as stack:
        if settings.engine == "openai":
            from tarazu.respond._openai import OpenAIEngine

            server = OpenAIEngine(tokenizer, settings, {"arm": arm, "folder": str(folder.resolve())})
            stack.callback(server.close)
            yield server
            return
        model = load_model()
        if settings.engine == "transformers":
            from tarazu.respond._transformers import TransformersEngine

            yield TransformersEngine(model, tokenizer, settings)
            return
        if settings.engine == "continuous":
            from tarazu.respond._continuous import ContinuousEngine

            yield ContinuousEngine(model, tokenizer, settings)
            return
        scratch.mkdir(parents=True, exist_ok=True)
        # Named like other unfinished files, so that a folder left by a killed run is cleaned up.
        converted = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix=f".{arm}.", suffix=".partial", dir=scratch))
        )
        if settings.engine == "ctranslate2":
            from tarazu.respond._ctranslate2 import CTranslate2Engine

            yield CTranslate2Engine(model, tokenizer, settings, converted)
        else:
            from tarazu.respond._vllm import VLLMEngine

            yield VLLMEngine(model, tokenizer, settings, converted)
