"""Tarazu weighs what alignment gives in helpfulness against what it gives in harmlessness, language by language.

From Python: `tarazu.analyze(frame)` and `tarazu.load_run(folder)` (docs/notebook.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tarazu.notebook import Answer, analyze, load_run

__version__ = "0.1.0"
__all__ = ["Answer", "__version__", "analyze", "load_run"]


def __getattr__(name: str) -> Any:
    """Load the analysis when it is first used (PEP 562): `import tarazu` by itself loads nothing."""
    if name in ("Answer", "analyze", "load_run"):
        from tarazu import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'tarazu' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
