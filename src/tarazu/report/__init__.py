"""The report: results.json and a run's other files as one self-contained report.html."""

from tarazu.report.build import ReportInputs, build_report

__all__ = ["ReportInputs", "build_report"]
