"""The report: results.json, and what a run left beside it, as one self-contained report.html."""

from tarazu.report.build import ReportInputs, build_report

__all__ = ["ReportInputs", "build_report"]
