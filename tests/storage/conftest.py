"""A bucket on the loopback."""

import pathlib
import subprocess
import sys

import pytest
from etils import epath

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def server(monkeypatch):
    """A bucket in a process of its own; epath and TensorStore of this process and its children find
    it.
    """
    process = subprocess.Popen(
        [sys.executable, str(HERE / "bucket.py"), "0"], stdout=subprocess.PIPE, text=True
    )
    address = process.stdout.readline().strip()
    for name, value in {
        "STORAGE_EMULATOR_HOST": address,
        "TENSORSTORE_GCS_HTTP_URL": address,
        "EPATH_USE_TF": "false",
        # No look for credentials, and none for kinds of buckets that this is not.
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
        "NO_GCE_CHECK": "true",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(epath.gpath, "_is_tf_installed", lambda: False)
    epath.backend.fsspec_backend._get_filesystem.cache_clear()
    yield address
    process.kill()
    process.communicate()
