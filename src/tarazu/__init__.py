"""Tarazu weighs what alignment gives in helpfulness against what it gives in harmlessness, language by language."""

__version__ = "0.1.0"
