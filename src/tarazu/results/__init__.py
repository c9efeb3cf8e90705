"""results.json: the tree of its models, and the one place where it is written and read."""

from tarazu.results.files import document, read_results, results_json, results_of, write_results
from tarazu.results.model import SCHEMA, Results

__all__ = ["SCHEMA", "Results", "document", "read_results", "results_json", "results_of", "write_results"]
