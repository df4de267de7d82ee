"""The two flags about folders reach SeqIO, and a folder that is not there is not passed over."""

import pytest
import seqio
from seqio import utils

from t5x_lite.data.directories import set_directories


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.setattr(utils, "_TFDS_DATA_DIR_OVERRIDE", None)
    monkeypatch.setattr(utils, "_GLOBAL_CACHE_DIRECTORIES", [])


def test_a_cache_is_searched_and_tfds_reads_from_its_folder(tmp_path):
    cache = str(tmp_path)
    set_directories(tfds_data_dir="/tfds", cache_dirs=[cache])
    assert seqio.get_global_cache_dirs() == [cache]
    assert utils._TFDS_DATA_DIR_OVERRIDE == "/tfds"


def test_a_cache_that_is_not_there_is_an_error(tmp_path):
    """SeqIO would make the examples anew, each time, without a word."""
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        set_directories(tfds_data_dir=None, cache_dirs=[str(tmp_path / "nowhere")])
