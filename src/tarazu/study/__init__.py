"""Studies: YAML files that determine a result, read into frozen, validated settings."""

from tarazu.study.loader import LoadedStudy, load_study, shipped_studies
from tarazu.study.schema import Study

__all__ = ["LoadedStudy", "Study", "load_study", "shipped_studies"]
