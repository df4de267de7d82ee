"""What can be a path, before anything waits for a network."""

import pytest

from t5x_lite.errors import UserError
from t5x_lite.places import check_place


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("http://host/run", "http:// is not supported"),
        ("s3://bucket/run", "s3:// is not supported"),
        ("a=http://host", "a=http:// is not supported"),
        ("file:///run", "file:// is not supported"),
        ("", "needed is a path"),
        ("a\0b", "needed is a path"),
        ("~nosuchuser/run", "there is no user 'nosuchuser'"),
    ],
)
def test_what_no_file_can_be_at_is_refused(path, message):
    """With what it was given as."""
    with pytest.raises(UserError, match=f"model_dir='.*{message}"):
        check_place("model_dir", path)


@pytest.mark.parametrize("path", [None, "run", "~/run", "./~nosuchuser", "gs://bucket/run", "a:b"])
def test_other_paths_are_let_pass(path):
    check_place("model_dir", path)
