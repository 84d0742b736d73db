"""Tables from files: what format a file has, what its columns hold, and its rows as frames or plain values.

Everything here streams: memory is bounded by one block of rows, whatever the file's size. Importing this package loads
neither pandas nor pyarrow; using it does.
"""

from opsml_cli.tables.formats import TableFormat, detect
from opsml_cli.tables.frames import read_frame
from opsml_cli.tables.profile import profile_table
from opsml_cli.tables.rows import read_rows, sample_rows

__all__ = ["TableFormat", "detect", "profile_table", "read_frame", "read_rows", "sample_rows"]
