"""What a disk refuses: folders that cannot be made or written to, and no room."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.errors import Full, SettingsError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LEAST_BYTES = 1024 * 1024  # what SQLite and Redis want for a few jobs


def is_full(folder: Path) -> bool:
    """Whether less than a mebibyte or no inode is left for us where `folder` is."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    has_inodes = found.f_files == 0 or found.f_favail > 0  # some file systems count none
    return found.f_bavail * found.f_frsize < _LEAST_BYTES or not has_inodes


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """For a start that writes into the data directory: SettingsError("data_dir_unwritable") or
    Full("disk_full") instead of an OSError."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise Full("disk_full", places=str(folder)) from error
        reason = error.strerror or str(error)
        raise SettingsError("data_dir_unwritable", path=str(folder), reason=reason) from error


def make_folder(data_dir: Path) -> Path:
    """The data directory, made if it is not there, for nobody else to read; raises as `writable`
    does, also for one that is there and may not be written to."""
    with writable(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.TemporaryFile(dir=data_dir).close()
    return data_dir
