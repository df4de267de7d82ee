"""A store that does not answer is no store without the file, and is named within seconds."""

import threading
import types

import pytest
from etils import epath

from t5x_lite import storage


def client(action, name="gcsfs.core"):
    """An action as code of a module, such as a store's client."""
    return types.FunctionType(action.__code__, action.__globals__ | {"__name__": name})


class HttpError(Exception):
    """As gcsfs has it: no OSError."""


def fail(*unused, **settings):
    raise HttpError("500: the server has an error\nand a page of details")


def test_a_server_that_fails_is_no_absent_file(monkeypatch):
    """A run would begin afresh where its checkpoints lie."""
    monkeypatch.setattr(epath.gpath.PosixGPath, "stat", client(fail))
    monkeypatch.setattr(epath.gpath.PosixGPath, "iterdir", client(fail))
    for ask in (storage.exists, storage.listed):
        with pytest.raises(OSError, match=r"500: the server has an error \(HttpError\)$"):
            ask(epath.Path("gs://bucket/run"))


class NotFoundError(Exception):
    """As TensorFlow has it: no OSError either."""


def miss(*unused):
    raise NotFoundError("gs://bucket/run: no such object")


def test_what_a_client_does_not_find_is_not_there(monkeypatch):
    """Under whatever name it says so."""
    backend = "etils.epath.backend"
    monkeypatch.setattr(epath.gpath.PosixGPath, "stat", client(miss, backend))
    monkeypatch.setattr(epath.gpath.PosixGPath, "iterdir", client(miss, backend))
    assert not storage.exists(epath.Path("gs://bucket/run"))
    assert storage.listed(epath.Path("gs://bucket/run")) == []


def test_errors_of_others_keep_their_kind():
    """A bug is no trouble with the network."""
    with pytest.raises(HttpError), storage.os_errors():
        fail()
    with pytest.raises(OSError, match="server has an error"), storage.os_errors():
        client(fail)()
    with pytest.raises(FileNotFoundError), storage.os_errors():
        raise FileNotFoundError


def test_a_store_that_does_not_answer_is_named(monkeypatch, capsys):
    """Once, however often it is asked; one that answers in time is not."""
    monkeypatch.setattr(storage, "_SLOW_SECONDS", 0.05)
    monkeypatch.setattr(storage, "_last_line", -1e9)
    said = threading.Event()
    say = storage._say_slow
    monkeypatch.setattr(storage, "_say_slow", lambda path: (say(path), said.set()))
    with storage.answering("gs://bucket/run"):
        pass
    with storage.answering("/local"):
        assert not said.wait(0.2)
    for _ in range(2):
        said.clear()
        with storage.answering("gs://bucket/run"):
            assert said.wait(10)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("WARNING: no answer about gs://bucket/run for 0.05 s")


def test_a_store_that_fails_while_tensors_travel_is_named(monkeypatch, capsys):
    """Their own client would try again in silence; nothing is asked of a disk, nor afterwards."""
    monkeypatch.setattr(storage, "_SLOW_SECONDS", 0.02)
    monkeypatch.setattr(storage, "_last_line", -1e9)
    asked = threading.Event()

    def refuse(path):
        asked.set()
        raise OSError("the object store: 500")

    monkeypatch.setattr(storage, "exists", refuse)
    with storage.watched("/local"):
        assert not asked.wait(0.2)
    said = threading.Event()
    warn = storage._warn
    monkeypatch.setattr(storage, "_warn", lambda text: (warn(text), said.set()))
    with storage.watched("gs://bucket/run"):
        assert said.wait(10)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("WARNING: gs://bucket/run: the object store: 500")


def test_what_is_written_is_whole_or_as_before(tmp_path, monkeypatch):
    """Also when the disk is full in the middle."""
    path = epath.Path(tmp_path / "file")
    storage.write_whole(path, b"old")
    monkeypatch.setattr(storage.os, "fsync", fail)
    with pytest.raises(HttpError):
        storage.write_whole(path, b"new")
    assert path.read_bytes() == b"old"


def test_what_is_not_there_lists_as_empty(tmp_path):
    """In a store a prefix without objects is no folder; both are asked in one way."""
    folder = epath.Path(tmp_path / "none")
    assert storage.listed(folder) == []
    storage.make_folder(folder / "a" / "b")
    storage.write_whole(folder / "c", b"")
    assert storage.listed(folder) == [folder / "a", folder / "c"]
