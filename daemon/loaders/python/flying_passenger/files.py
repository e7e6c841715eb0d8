"""`wsgi.file_wrapper`: a file as a response body."""

import io
import os
import stat
from typing import Any, Iterator, Optional

# As much of a file as is read and sent at a time.
PIECE = 128 * 1024


class FileWrapper:
    """The parts of a file-like object; `close` closes it."""

    def __init__(self, filelike: Any, block_size: int = PIECE) -> None:
        self.filelike = filelike
        # Small blocks are the default of most applications, and only cost time.
        self.block_size = max(block_size, PIECE)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            data = self.filelike.read(self.block_size)
            if not data:
                return
            yield data

    def close(self) -> None:
        """Close the file, if it can be."""
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()

    def length(self) -> Optional[int]:
        """The bytes between the file's position and its end; None where that is not known, as for a pipe or GzipFile."""
        if not isinstance(self.filelike, (io.BufferedReader, io.BufferedRandom, io.FileIO)):
            return None
        try:
            status = os.fstat(self.filelike.fileno())
            if stat.S_ISREG(status.st_mode):
                return max(status.st_size - self.filelike.tell(), 0)
        except (OSError, ValueError):
            pass
        return None
