"""What is raised where a file cannot be trusted."""

from __future__ import annotations


class DamagedFileError(ValueError):
    """A file is damaged, cut short, or not one of this package.

    Whatever is wrong with a file, :func:`sksparse.compression.load` raises this error and no other
    one, and has allocated no more than it was allowed to.

    Parameters
    ----------
    reason : str
        What does not fit.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sksparse.compression import DamagedFileError, load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "network.sks"
    ...     _ = file.write_bytes(b"something else")
    ...     try:
    ...         load(file)
    ...     except DamagedFileError as error:
    ...         print(error)
    The file is damaged or was not saved by sksparse: it has 14 bytes, fewer than its head of 32.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The file is damaged or was not saved by sksparse: {reason}.")
