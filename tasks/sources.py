"""Where downstream tasks read: TensorFlow Datasets, or a folder of the original files.

Both give examples with the same features, so that a task has one format for both. The setting is
the process's (`t5x_lite.data.task_files`), as its vocabulary is.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import seqio
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from t5x_lite.data.source import Source
from t5x_lite.data.task_files import task_files


@runtime_checkable
class OriginalFiles(Protocol):
    """The files of a data set, found in the folders that the user names."""

    def count(self, folders: tuple[epath.Path, ...], split: str) -> int:
        """How many examples a split has."""

    def dataset(
        self, folders: tuple[epath.Path, ...], split: str, *, seed: int | None
    ) -> tf.data.Dataset:
        """Its examples with TFDS's features, shuffled by the seed if they are in memory."""


class DownstreamSource(Source):
    """A data set of TFDS, or its original files where TASK_FILES says so.

    Splits are stated, so that asking for them needs neither a download nor files. Slices of them
    (`train[:90%]`) are splits too, as in TFDS.

    Args:
        tfds_name: with its version, which decides what the examples are; None of what TFDS has not.
        splits: those of TFDS.
        files: how to read the original files.
        splits_without_labels: those whose answers are not published; they are not scored.
        newer_version: of TFDS, where the version is one that can no longer be prepared; read unless
            the version itself has been prepared.
    """

    def __init__(
        self,
        tfds_name: str | None,
        splits: Iterable[str],
        files: OriginalFiles,
        *,
        splits_without_labels: Iterable[str] = (),
        newer_version: str | None = None,
    ) -> None:
        super().__init__(splits=splits)
        self.splits_without_labels = frozenset(splits_without_labels)
        self._files = files
        self._name = tfds_name
        self._newer_version = newer_version

    @property
    def supports_arbitrary_sharding(self) -> bool:
        """Original files are sharded by example, TFDS by its files."""
        return bool(task_files())

    def list_shards(self, split: str) -> Sequence[str]:
        """The files of TFDS; of original files all examples are one."""
        return [split] if task_files() else self._prepared().list_shards(split)

    def num_input_examples(self, split: str) -> int | None:
        """As TFDS has counted them, or as many as the original files have."""
        if not (folders := task_files()):
            source = self._tfds()
            if not source.tfds_dataset.info.splits:
                raise self._absent(
                    "has not been prepared, so the number of its examples is unknown"
                )
            return source.num_input_examples(split)
        start, stop = self._range(folders, split)
        return stop - start

    def read(
        self, split: str, *, shuffle: bool, seed: int | None, shard: seqio.ShardInfo | None
    ) -> tf.data.Dataset:
        """Examples with the features that the builder of TFDS documents."""
        if not (folders := task_files()):
            source = self._prepared()
            return source.get_dataset(split, shuffle=shuffle, seed=seed, shard_info=shard)
        name, _, is_sliced = split.partition("[")
        # A slice is one of the file, so it must not depend on the seed.
        order = (seed or 0) if shuffle and not is_sliced else None
        dataset = self._files.dataset(folders, name, seed=order)
        if is_sliced:
            start, stop = self._range(folders, split)
            dataset = dataset.skip(start).take(stop - start)
        if shard is not None and shard.num_shards > 1:
            dataset = dataset.shard(shard.num_shards, shard.index)
        return dataset

    def _range(self, folders: tuple[epath.Path, ...], split: str) -> tuple[int, int]:
        """The first example of a slice, and the one behind its last, by TFDS's rules."""
        name = split.partition("[")[0]
        count = self._files.count(folders, name)
        whole = tfds.core.SplitInfo(name=name, shard_lengths=[count], num_bytes=0)
        (chosen,) = tfds.core.ReadInstruction.from_spec(split).to_absolute({name: whole})
        return chosen.from_ or 0, count if chosen.to is None else chosen.to

    def _tfds(self) -> seqio.TfdsDataSource:
        if self._name is None:
            raise FileNotFoundError(
                "TFDS does not have this data set: needed is the folder with its original files, "
                "--gin.TASK_FILES=FOLDER (t5x_lite inspect: --task_files)."
            )
        # Without splits of its own, so that slices reach TFDS too.
        released = seqio.TfdsDataSource(self._name)
        if self._newer_version is None or released.tfds_dataset.info.splits:
            return released
        return seqio.TfdsDataSource(f"{self._name.partition(':')[0]}:{self._newer_version}")

    def _prepared(self) -> seqio.TfdsDataSource:
        """The data set, downloaded where it is not there yet."""
        source = self._tfds()
        builder = source.tfds_dataset.builder
        if builder.info.splits:
            return source
        try:
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(try_download_gcs=True)
            )
        except Exception as error:  # Builders fail in ways of their own, by assertions too.
            raise self._absent(f"could not be prepared: {error}") from error
        return source

    def _absent(self, what: str) -> FileNotFoundError:
        builder = self._tfds().tfds_dataset.builder
        return FileNotFoundError(
            f"{builder.info.full_name} of TFDS {what} (in {builder.data_dir}). Say where it is "
            "prepared (--tfds_data_dir), prepare it where there is a network (`tfds build "
            f"{builder.info.full_name}`), or read the original files of the data set: "
            "--gin.TASK_FILES=FOLDER (t5x_lite inspect: --task_files)."
        )
