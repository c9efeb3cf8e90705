"""Studies: YAML files that determine a result, read into frozen, validated settings."""

from tarazu.study.loader import (
    LoadedStudy,
    analysis_settings,
    load_analysis,
    load_study,
    shipped_studies,
    study_from_text,
    study_text,
)
from tarazu.study.schema import AnalysisSettings, Study

__all__ = [
    "AnalysisSettings",
    "LoadedStudy",
    "Study",
    "analysis_settings",
    "load_analysis",
    "load_study",
    "shipped_studies",
    "study_from_text",
    "study_text",
]
