"""Where data sets and cached tasks are, if not where SeqIO and TFDS look by themselves."""

from collections.abc import Sequence

import seqio
from etils import epath


def set_directories(*, tfds_data_dir: str | None, cache_dirs: Sequence[str]) -> None:
    """Holds for all tasks of this process. A cache has to exist; TFDS makes its own folder."""
    missing = [folder for folder in cache_dirs if not epath.Path(folder).is_dir()]
    if missing:
        raise FileNotFoundError(
            f"--seqio_additional_cache_dirs: {', '.join(missing)} is no folder; needed is the "
            "--output_cache_dir that t5x_lite cache was given."
        )
    if tfds_data_dir is not None:
        seqio.set_tfds_data_dir_override(tfds_data_dir)
    seqio.add_global_cache_dirs(list(cache_dirs))
