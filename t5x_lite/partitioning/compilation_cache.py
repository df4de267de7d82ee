"""JAX's persistent compilation cache: a second run of the same job does not compile again."""

import os

import jax
from etils import epath

from t5x_lite.display.progress import say


def enable(directory: epath.Path, *, enabled: bool) -> None:
    """Keeps compiled programs under a job's own directory, or in the one that JAX's own variable
    JAX_COMPILATION_CACHE_DIR names (so that jobs share them), or says that it does not.
    """
    if not enabled:
        say("compilation cache: off (--gin.COMPILATION_CACHE=True turns it on)")
        return
    shared = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    path = epath.Path(shared) if shared else directory / "compilation_cache"
    path.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    say(f"compilation cache: {path} (--gin.COMPILATION_CACHE=False turns it off)")
