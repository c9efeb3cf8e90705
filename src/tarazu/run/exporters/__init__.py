"""Runs in the forms of other tools."""

from tarazu.run.exporters.every_eval_ever import Exported, export_run

__all__ = ["Exported", "export_run"]
