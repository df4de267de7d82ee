"""Where compiled programs are kept: in the job's folder, or where JAX's own variable says."""

import jax
import pytest
from etils import epath

from t5x_lite.partitioning import compilation_cache


@pytest.fixture
def said_of(tmp_path, monkeypatch, capsys):
    """(folder that JAX was given, what was printed); JAX's own settings stay."""
    found = {}
    monkeypatch.setattr(jax.config, "update", found.__setitem__)

    def enable(**options):
        compilation_cache.enable(epath.Path(tmp_path / "job"), **options)
        return found.get("jax_compilation_cache_dir"), capsys.readouterr().out

    return enable


def test_a_job_has_its_own_unless_jax_was_told_another(said_of, tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    own = str(tmp_path / "job" / "compilation_cache")
    folder, printed = said_of(enabled=True)
    assert folder == own and own in printed
    shared = str(tmp_path / "shared")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", shared)
    folder, printed = said_of(enabled=True)
    assert folder == shared and shared in printed
    assert (tmp_path / "shared").is_dir()


def test_turned_off_it_says_how_to_turn_it_on(said_of):
    folder, printed = said_of(enabled=False)
    assert folder is None and "COMPILATION_CACHE=True" in printed
