import errno
import gzip
import hashlib
import io
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pooch
import pytest

from turncoat import data
from turncoat.data import catalogue
from turncoat.data.catalogue import Collection, Download, Entry
from turncoat.data.download import fetch_collection, folder_of_data
from turncoat.errors import TurncoatError

NOWHERE = "http://127.0.0.1:9/"  # nothing listens there
CONTENT = {"one.bin": b"first" * 1000, "two.bin": b"second" * 1000}
SUMS = {name: hashlib.md5(content).hexdigest() for name, content in CONTENT.items()}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """A source on this machine; yields its folder and address."""
    folder = tmp_path / "server"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    made = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Quiet(*given, directory=str(folder)))
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{made.server_port}/"
    made.shutdown()
    made.server_close()
    thread.join()


def plain(*mirrors):
    downloads = tuple(Download(tuple(url + name for url in mirrors), SUMS[name]) for name in CONTENT)
    return Collection("set", SUMS, downloads)


def packed(folder, url, members=CONTENT, extra=()):
    with tarfile.open(folder / "all.tar.gz", "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"inside/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in extra:
            archive.addfile(entry)
    md5 = hashlib.md5((folder / "all.tar.gz").read_bytes()).hexdigest()
    names = tuple(f"inside/{name}" for name in CONTENT)
    return Collection("set", SUMS, (Download((f"{url}all.tar.gz",), md5, names),))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def fails(collection, root, *words):
    with pytest.raises(TurncoatError) as caught:
        fetch_collection(collection, root)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), caught.value


def test_files_are_fetched_checked_and_alone(server, tmp_path, capfd):
    _, url = server
    assert contents(fetch_collection(plain(url), tmp_path / "new" / "data")) == CONTENT
    assert capfd.readouterr().out == ""


def test_the_second_mirror_is_used_when_the_first_fails(server, tmp_path):
    folder, url = server
    assert contents(fetch_collection(plain(NOWHERE, url), tmp_path / "data")) == CONTENT
    (folder / "bad").mkdir()
    for name in CONTENT:
        (folder / "bad" / name).write_bytes(b"other bytes")
    assert contents(fetch_collection(plain(f"{url}bad/", url), tmp_path / "more")) == CONTENT


def test_named_members_alone_are_taken_from_an_archive(server, tmp_path):
    folder, url = server
    climbing, link = tarfile.TarInfo("../../escaped.bin"), tarfile.TarInfo("inside/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    collection = packed(folder, url, extra=(climbing, link))
    assert contents(fetch_collection(collection, tmp_path / "data")) == CONTENT
    assert not list(tmp_path.rglob("escaped.bin"))


def test_only_what_is_absent_or_damaged_is_fetched(server, tmp_path):
    folder, url = server
    target = fetch_collection(plain(url), tmp_path / "data")
    (target / "one.bin").write_bytes(b"damaged")
    before = (target / "two.bin").stat().st_mtime_ns
    (folder / "two.bin").unlink()
    assert contents(fetch_collection(plain(url), tmp_path / "data")) == CONTENT
    assert (target / "two.bin").stat().st_mtime_ns == before
    fetch_collection(plain(NOWHERE), tmp_path / "data")  # all there: no source is asked


def test_without_a_network_one_line_says_what_to_do(tmp_path):
    root = tmp_path / "data"
    fails(
        plain(NOWHERE),
        root,
        f"{NOWHERE}one.bin",
        "no connection",
        "one.bin, two.bin into",
        str(root / "set"),
        "TURNCOAT_DATA",
    )
    assert contents(root / "set") == {}


def test_wrong_answers_replace_nothing(server, tmp_path):
    folder, url = server
    target = fetch_collection(plain(url), tmp_path / "data")
    (target / "one.bin").write_bytes(b"old")
    (folder / "one.bin").write_bytes(CONTENT["one.bin"][:-1])
    fails(plain(url), tmp_path / "data", f"{url}one.bin", "wrong checksum")
    (folder / "one.bin").unlink()
    fails(plain(url), tmp_path / "data", f"{url}one.bin", "HTTP status 404")
    assert contents(target) == {**CONTENT, "one.bin": b"old"}


def test_archives_that_lack_or_change_members_are_told(server, tmp_path):
    folder, url = server
    fails(packed(folder, url, {"one.bin": CONTENT["one.bin"]}), tmp_path / "a", "lacks inside/two.bin")
    fails(packed(folder, url, {**CONTENT, "two.bin": b"other"}), tmp_path / "b", "two.bin: MD5 is")
    assert contents(tmp_path / "b" / "set") == {"one.bin": CONTENT["one.bin"]}
    collection = packed(folder, url)
    (folder / "all.tar.gz").write_bytes(gzip.compress(b"x" * 2000, mtime=0))
    md5 = hashlib.md5((folder / "all.tar.gz").read_bytes()).hexdigest()
    broken = collection.downloads[0]._replace(md5=md5)
    fails(collection._replace(downloads=(broken,)), tmp_path / "c", "not a sound tar archive")


def test_folders_that_cannot_be_written_are_told(server, tmp_path, monkeypatch):
    _, url = server
    (tmp_path / "file").write_text("not a folder")
    fails(plain(url), tmp_path / "file", "cannot write to", "TURNCOAT_DATA")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pooch, "retrieve", full)
    fails(plain(url), tmp_path / "data", "no space left on the disk")


def test_the_folder_is_the_variable_or_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TURNCOAT_DATA", str(tmp_path))
    assert folder_of_data() == tmp_path
    monkeypatch.setenv("TURNCOAT_DATA", "~/somewhere")
    assert "~" not in str(folder_of_data())
    monkeypatch.delenv("TURNCOAT_DATA")
    assert folder_of_data().name == "turncoat"


def test_status_verify_and_fetch_by_name(server, tmp_path, monkeypatch):
    _, url = server
    monkeypatch.setenv("TURNCOAT_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(catalogue.DATASETS, "mnist", Entry(catalogue.DATASETS["mnist"].read, plain(url)))

    def row():
        return next(row for row in data.status() if row.name == "mnist")

    assert [row.name for row in data.status()] == list(data.DATASETS)
    assert (row().present, row().files, row().verified, row().size) == (0, 2, False, 0)
    with pytest.raises(TurncoatError, match=r"one\.bin is missing; type: turncoat data fetch mnist"):
        data.verify("mnist")
    folder = data.fetch("mnist")
    data.verify("mnist")
    assert folder == tmp_path / "data" / "set"
    assert (row().present, row().verified, row().size) == (2, True, 11000)
    (folder / "two.bin").write_bytes(b"damaged")
    with pytest.raises(TurncoatError, match=r"two\.bin is damaged .* type: turncoat data fetch mnist"):
        data.verify("mnist")
    assert (row().present, row().verified) == (2, False)
    data.fetch("mnist")
    data.verify("mnist")
    assert data.fetch("digits") is None
    data.verify("digits")
    with pytest.raises(TurncoatError, match="did you mean 'mnist'"):
        data.fetch("mnits")


def test_load_fetches_what_is_absent(tmp_path, monkeypatch):
    monkeypatch.setenv("TURNCOAT_DATA", str(tmp_path))
    monkeypatch.setitem(catalogue.DATASETS, "mnist", Entry(catalogue.DATASETS["mnist"].read, plain(NOWHERE)))
    with pytest.raises(TurncoatError, match="could not fetch http"):
        data.load("mnist")


def test_every_official_file_has_a_source_and_a_checksum():
    for entry in catalogue.DATASETS.values():
        if entry.collection is None:
            continue
        names = [
            member.rsplit("/", 1)[-1]
            for one in entry.collection.downloads
            for member in one.members or one.urls[:1]
        ]
        assert sorted(names) == sorted(entry.collection.files)
        for one in entry.collection.downloads:
            assert all(url.startswith("https://") for url in one.urls)
        assert all(len(md5) == 32 for md5 in entry.collection.files.values())
    assert len(catalogue.CIFAR_100_CLASSES) == 100
    assert list(catalogue.CIFAR_100_CLASSES) == sorted(catalogue.CIFAR_100_CLASSES)
