"""An upload on its way to disk: hashed and counted while it arrives, kept only when complete."""

import hashlib
import os
import secrets
from pathlib import Path
from typing import BinaryIO

from app.errors import Full, TooLarge
from app.models import files
from app.models.database import Database
from app.wire.rows import File


class Sink:
    """A file that the form parser writes to. `keep` makes it permanent, `discard` removes it."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._limit = limit
        self._path = folder / f".{secrets.token_hex(16)}.part"
        self._file: BinaryIO = self._path.open("xb")
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The digest of what has arrived."""
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> int:
        """Takes the next piece; TooLarge("file_too_large") beyond the limit."""
        self.size += len(chunk)
        if self.size > self._limit:
            raise TooLarge("file_too_large", param="file", limit=self._limit)
        self._digest.update(chunk)
        return self._file.write(chunk)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The form parser rewinds what it has written."""
        return self._file.seek(offset, whence)

    def read_first(self, size: int) -> bytes:
        """The beginning of the file, as it will be kept."""
        self._file.flush()
        with self._path.open("rb") as content:
            return content.read(size)

    def keep(self, name: str) -> None:
        """Makes the file permanent under this name: on disk before it is visible."""
        files.publish(self._file, self._path, self._folder / name)

    def record(self, db: Database, file: File) -> File:
        """Keeps the file and stores its row. Without room for the row its bytes go, too; after any
        other failure the row may stand, and they stay."""
        self.keep(file.path)
        try:
            return files.add(db, file)
        except Full:
            (self._folder / file.path).unlink(missing_ok=True)
            raise

    def discard(self) -> None:
        """Removes what was not kept, also when a full disk takes not even the last bytes; does
        nothing after `keep`."""
        try:
            self._file.close()
        finally:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closing is `keep`'s and `discard`'s; callers that close early change nothing."""
