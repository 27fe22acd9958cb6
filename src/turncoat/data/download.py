"""Get the official files over the network, check them, and put them where loaders look."""

import errno
import hashlib
import logging
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pooch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from turncoat.data.catalogue import Collection, Download
from turncoat.errors import TurncoatError

TIMEOUT = 30  # seconds without an answer before a server counts as unreachable
CHUNK = 1 << 20


def folder_of_data() -> Path:
    """Return the folder of official files: TURNCOAT_DATA, or the platform's cache folder."""
    named = os.environ.get("TURNCOAT_DATA")
    return Path(named).expanduser() if named else Path(pooch.os_cache("turncoat"))


def fetch_collection(collection: Collection, root: Path) -> Path:
    """Fetch those files of a collection that are absent or damaged; return their folder.

    Every file is checked before it takes its place, and takes it whole or not at all.

    Raises:
        TurncoatError: if no source answers, what comes has the wrong checksum, or it cannot be written.
    """
    folder = root / collection.folder
    wanted = [name for name, md5 in collection.files.items() if md5_of(folder / name) != md5]
    try:
        for download in collection.downloads:
            members = {Path(member).name: member for member in download.members or download.urls[:1]}
            names = [name for name in members if name in wanted]
            if not names:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
                packed = _download(download, Path(scratch), collection, folder)
                _place(packed, download, {members[name]: name for name in names}, collection, folder)
    except OSError as error:
        told = "no space left on the disk" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise TurncoatError(
            f"cannot write to {folder}: {told}; set TURNCOAT_DATA to a folder with room"
        ) from error
    return folder


def md5_of(path: Path) -> str | None:
    """Return a file's MD5 sum in hex, or None where there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TurncoatError(f"{path}: cannot be read ({error.strerror or error})") from error


def where_to_put(collection: Collection, folder: Path) -> str:
    """Say how to do without the network."""
    return (
        f"to do without the network put {', '.join(collection.files)} into {folder}, or set TURNCOAT_DATA to "
        f"the folder that holds {collection.folder}/"
    )


def _download(download: Download, scratch: Path, collection: Collection, folder: Path) -> Path:
    """Fetch from the first source that gives the right bytes."""
    failures = []
    for url in download.urls:
        name = url.rsplit("/", 1)[-1]
        try:
            with _quiet_pooch(), _bar(name) as bar:
                get = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT, chunk_size=CHUNK)
                return Path(pooch.retrieve(url, f"md5:{download.md5}", name, scratch, downloader=get))
        # Errors of the connection are kinds of OSError, a wrong checksum is a ValueError.
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
                raise
            failures.append(f"{url} ({_reason(error)})")
    raise TurncoatError(f"could not fetch {' nor '.join(failures)}; {where_to_put(collection, folder)}")


def _place(
    packed: Path, download: Download, names: dict[str, str], collection: Collection, folder: Path
) -> None:
    """Put the wanted files into ``folder``: the download itself, or the named members of an archive."""
    if not download.members:
        ((_, name),) = names.items()
        with packed.open("rb") as file:
            _write(_chunks(file), folder / name, packed.parent, collection.files[name])
        return
    try:
        with tarfile.open(packed, "r:gz") as archive:
            left = dict(names)
            for member in archive:
                # Only regular files of these very names are read, and the catalogue says where they go.
                name = left.pop(member.name, "") if member.isfile() else ""
                stream = archive.extractfile(member) if name else None
                if stream is not None:
                    _write(_chunks(stream), folder / name, packed.parent, collection.files[name])
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise TurncoatError(f"{download.urls[0]}: not a sound tar archive ({error})") from error
    if left:
        raise TurncoatError(f"{download.urls[0]}: the archive lacks {', '.join(left)}")


def _chunks(stream: Any) -> Iterator[bytes]:
    """Yield what a binary stream holds, a megabyte at a time."""
    return iter(lambda: stream.read(CHUNK), b"")


def _write(chunks: Iterator[bytes], target: Path, scratch: Path, md5: str) -> None:
    """Write to a temporary file beside the target, check it, then rename it into place."""
    part = scratch / f"{target.name}.part"
    with part.open("wb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())
    found = md5_of(part)
    if found != md5:
        raise TurncoatError(f"{target.name}: MD5 is {found}, but must be {md5}; nothing was replaced")
    part.replace(target)


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP status {status}"
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return "wrong checksum"
    return f"no connection: {type(error).__name__}"


class _Bar:
    """What pooch calls while it downloads, shown with rich on the error stream."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.progress = progress
        self.total = 0
        self.task = progress.add_task(name, total=None)

    def update(self, amount: int) -> None:
        """Count bytes that have come."""
        self.progress.update(self.task, advance=amount, total=self.total or None)

    def reset(self) -> None:
        """Start again from nothing."""
        self.progress.reset(self.task, total=self.total or None)

    def close(self) -> None:
        """Do nothing: the progress display closes itself."""


@contextmanager
def _bar(name: str) -> Iterator[_Bar]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, name)


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep pooch's own messages off the screen, and leave its logger as it was."""
    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
