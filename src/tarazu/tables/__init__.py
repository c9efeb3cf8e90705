"""Users' tables: pairs, prompts, known answers, responses and scores, in the forms that other programs write.

`read_rows` gives the rows of csv, JSON and parquet files alike. What a file is depends on its bytes, not on its name.
"""

from tarazu.tables.cells import identifier, integer, is_missing, is_missing_number, number, truth
from tarazu.tables.forms import Form, form_of
from tarazu.tables.reading import ROW_NUMBER, Columns, Constant, NumberedRow, Table, columns_of, open_table, read_rows
from tarazu.tables.values import Values, read_values

__all__ = [
    "ROW_NUMBER",
    "Columns",
    "Constant",
    "Form",
    "NumberedRow",
    "Table",
    "Values",
    "columns_of",
    "form_of",
    "identifier",
    "integer",
    "is_missing",
    "is_missing_number",
    "number",
    "open_table",
    "read_rows",
    "read_values",
    "truth",
]
