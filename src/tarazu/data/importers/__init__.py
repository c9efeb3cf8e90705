"""Other evaluation tools' results as tables of responses, scores and known answers."""

from tarazu.data.importers.importing import import_files, tool_of, tool_of_file, write_imported
from tarazu.data.importers.rows import Given, Imported

__all__ = ["Given", "Imported", "import_files", "tool_of", "tool_of_file", "write_imported"]
