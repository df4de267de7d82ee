"""What cannot be cached, or not there, is one error with the way out, before a worker starts."""

import fcntl
import shutil

import pytest

from t5x_lite.data import cache_plan, caching
from t5x_lite.errors import UserError
from t5x_lite.text import default_vocabulary


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch):
    def started(*args, **settings):
        raise AssertionError("a worker was started")

    monkeypatch.setattr(caching, "work_through", started)


@pytest.mark.parametrize(
    ("names", "settings", "said"),
    [
        (["plan"], {}, "Did you mean plain"),
        (["without"], {}, "no seqio.CacheDatasetPlaceholder.*Put one behind"),
        (["plain", "without"], {}, "^without: there is no seqio.CacheDatasetPlaceholder"),
        (["plain"], {"splits": ["trian"]}, "did you mean 'train'.*--split="),
        (["plain"], {"splits": ["train[:10%]"]}, "whole splits"),
        (["default"], {}, "No vocabulary was given.*cache: --vocabulary="),
    ],
)
def test_what_cannot_be_cached(cache, tmp_path, monkeypatch, names, settings, said):
    # Whatever another test made the process's own.
    monkeypatch.setattr(default_vocabulary, "_path", None)
    with pytest.raises(UserError, match=said):
        cache(names, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_cached_task_says_how_it_is_used(cache, plain_cache):
    with pytest.raises(UserError, match=f"Use it: --seqio_additional_cache_dirs={plain_cache};"):
        cache(["plain"], plain_cache, num_shards=2)


def test_a_cached_task_of_other_settings_says_which(cache, plain_cache):
    with pytest.raises(UserError, match="otherwise: seed: 0 there, 1 now; shards.train: 2 there"):
        cache(["plain"], plain_cache, seed=1, num_shards=3)


def test_a_cache_of_seqio_itself_is_left_alone(cache, plain_cache, tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(plain_cache / "plain", folder)
    (folder / "COMPLETED").write_text("")
    with pytest.raises(UserError, match="cached in .* already"):
        cache(["plain"], tmp_path)


def test_files_of_others_are_left_alone(cache, tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "train.tfrecord-00000-of-00001").write_text("")
    with pytest.raises(UserError, match=r"did not write \(train.tfrecord"):
        cache(["plain"], tmp_path)


def test_what_was_begun_goes_on_with_the_same_settings_only(cache, tmp_path):
    with pytest.raises(AssertionError, match="a worker was started"):
        cache(["plain"], tmp_path)
    with pytest.raises(UserError, match="begun otherwise: seed: 0 then, 1 now"):
        cache(["plain"], tmp_path, seed=1)
    with pytest.raises(AssertionError, match="a worker was started"):
        cache(["plain"], tmp_path)


def test_one_command_at_a_time_writes(cache, tmp_path):
    with pytest.raises(AssertionError, match="a worker was started"):
        cache(["plain"], tmp_path)
    with open(tmp_path / "plain" / "unfinished" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Another t5x_lite cache is writing"):
            cache(["plain"], tmp_path)


@pytest.mark.parametrize(
    ("files", "shards"), [(1, 16), (3, 18), (16, 16), (20, 20), (1000, 1000), (7168, 1024)]
)
def test_there_are_as_many_shards_as_files_or_a_few_for_each(files, shards):
    assert cache_plan.default_shards(files) == shards
