"""Where original files are: a setting of the process, without TensorFlow."""

import pytest

from t5x_lite.data import task_files


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr(task_files, "_folders", ())


def test_folders_are_searched_in_the_order_given(tmp_path):
    (tmp_path / "a").mkdir()
    task_files.set_task_files(f"{tmp_path}/a,{tmp_path}")
    assert [str(folder) for folder in task_files.task_files()] == [f"{tmp_path}/a", str(tmp_path)]
    task_files.set_task_files(None)
    assert task_files.task_files() == ()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """And nothing is changed by it."""
    task_files.set_task_files(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"absent: there is no such folder.*--task_files"):
        task_files.set_task_files(f"{tmp_path},{tmp_path}/absent")
    assert [str(folder) for folder in task_files.task_files()] == [str(tmp_path)]
