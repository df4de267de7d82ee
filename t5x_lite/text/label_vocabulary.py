"""The names of classes as SeqIO sees them: a name is one id, its place."""

from collections.abc import Iterable, Sequence

import seqio

# What stands for the class of an example whose label is not published.
NO_LABEL, NO_LABEL_ID = "<unk>", -1


class LabelVocabulary(seqio.PassThroughVocabulary):
    """Of the feature `classes` of a task for an encoder by itself:

        seqio.Feature(LabelVocabulary(("negative", "positive")), add_eos=False)

    Its ids are made by the task, so nothing is encoded but names.
    """

    def __init__(self, labels: Sequence[str]):
        super().__init__(len(labels))
        self.labels = tuple(labels)

    def _encode(self, s: str) -> list[int]:
        return [self.labels.index(s) if s in self.labels else NO_LABEL_ID]

    def decode(self, ids: Iterable[int]) -> str:
        """The names of classes, of an example its only one."""
        return " ".join(self._name(int(i)) for i in ids)

    def _name(self, i: int) -> str:
        return self.labels[i] if 0 <= i < len(self.labels) else NO_LABEL

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelVocabulary) and other.labels == self.labels

    def __hash__(self) -> int:
        return hash(self.labels)

    def __repr__(self) -> str:
        return f"LabelVocabulary({self.labels!r})"
