"""Metrics of examples that belong together: the answers to one question, the copies of one query.

Targets are {"group": ..., "value": ...} and predictions {"value": ...}. Groups are what resamples
draw: each is carried by its first example, the others count nothing.
"""

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from t5x_lite.metrics.accuracy import all_match
from t5x_lite.metrics.classification import f1_score_with_invalid
from t5x_lite.metrics.means import ExampleScores, MeanMetric
from t5x_lite.metrics.pairs import check_pairs
from t5x_lite.metrics.squad import squad

GROUP, VALUE = "group", "value"

MetricFn = Callable[[Sequence[Any], Sequence[Any]], dict[str, float]]
Targets = Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class MeanOverGroups:
    """The mean over groups of a metric that sees one group at a time.

    Groups are of few examples here, such as the answers to one question.
    """

    metric: MetricFn
    group_key: str = GROUP
    value_key: str = VALUE

    def __call__(self, targets: Targets, predictions: Targets) -> dict[str, float]:
        """The scores by the metric's names.

        Raises:
            UserError: there are no targets, or not one prediction for each.
        """
        return self.by_example(targets, predictions).mean()

    def by_example(self, targets: Targets, predictions: Targets) -> ExampleScores:
        """The score of each group at its first example."""
        scores = list(self.of_each(targets, predictions).values())
        members = list(_groups(targets, self.group_key).values())
        values = {name: np.zeros(len(targets)) for name in scores[0]}
        for each, score in zip(members, scores, strict=True):
            for name, value in score.items():
                values[name][each[0]] = value
        return ExampleScores(values, _firsts(members, len(targets)))

    def of_each(
        self, targets: Targets, predictions: Targets
    ) -> dict[Hashable, Mapping[str, float]]:
        """The metric's scores of each group."""
        check_pairs(targets, predictions)
        values = [_values(side, self.value_key) for side in (targets, predictions)]
        return {
            group: self.metric(*([side[i] for i in members] for side in values))
            for group, members in _groups(targets, self.group_key).items()
        }


@dataclasses.dataclass(frozen=True)
class GroupsAndMean:
    """The score of each group, `<group>-<metric>`, beside the mean over groups.

    Groups that have names are few, such as languages: resamples draw their examples, unlike those
    of `MeanOverGroups`.
    """

    over_groups: MeanOverGroups

    def __call__(self, targets: Targets, predictions: Targets) -> dict[str, float]:
        """The means by the metric's names, then the scores of the groups.

        Raises:
            UserError: there are no targets, or not one prediction for each.
        """
        of_each = self.over_groups.of_each(targets, predictions)
        found: dict[str, list[float]] = {}
        for scores in of_each.values():
            for name, score in scores.items():
                found.setdefault(name, []).append(score)
        means = {name: float(np.mean(scores)) for name, scores in found.items()}
        return means | {
            f"{group}-{name}": score
            for group, scores in of_each.items()
            for name, score in scores.items()
        }


@dataclasses.dataclass(frozen=True)
class FirstOfGroup:
    """A mean over examples of which each group counts once, by its first example: ReCoRD has one
    example for each answer to a query, but a query is one question.
    """

    metric: MeanMetric

    def __call__(self, targets: Targets, predictions: Targets) -> dict[str, float]:
        """The scores by the metric's names.

        Raises:
            UserError: there are no targets, or not one prediction for each.
        """
        return self.by_example(targets, predictions).mean()

    def by_example(self, targets: Targets, predictions: Targets) -> ExampleScores:
        """The first example of each group with its score."""
        scores = self.metric.by_example(_values(targets), _values(predictions))
        firsts = _firsts(list(_groups(targets).values()), len(targets))
        return dataclasses.replace(scores, weights=scores.weights * firsts)


class F1OverAllAnswers:
    """MultiRC's F1 over the answer options of all questions; what is no label counts as wrong."""

    def __call__(self, targets: Targets, predictions: Targets) -> dict[str, float]:
        """0 to 100.

        Raises:
            UserError: there are no targets, or not one prediction for each.
        """
        return f1_score_with_invalid(_values(targets), _values(predictions))

    def sums(
        self, targets: Targets, predictions: Targets
    ) -> Float[np.ndarray, "examples statistics"]:
        """The counts of each question at its first option: options of one question are alike in how
        hard they are, so questions are drawn.
        """
        rows = f1_score_with_invalid.sums(_values(targets), _values(predictions))
        summed = np.zeros_like(rows)
        for members in _groups(targets).values():
            summed[members[0]] = rows[members].sum(axis=0)
        return summed

    def from_sums(self, sums: Float[np.ndarray, " statistics"]) -> dict[str, float]:
        """F1 of options with these counts."""
        return f1_score_with_invalid.from_sums(sums)


def mean_group_metric(
    metric_fn: MetricFn,
    group_key: str = GROUP,
    value_key: str = VALUE,
    return_subgroup_scores: bool = False,
) -> MeanOverGroups | GroupsAndMean:
    """The mean of a metric over groups of examples; all examples of a group are needed.

    Args:
        group_key: where a target says what group it is of.
        value_key: where targets and predictions have what the metric compares.
        return_subgroup_scores: adds the score of each group as `<group>-<metric>`.
    """
    metric = MeanOverGroups(metric_fn, group_key, value_key)
    return GroupsAndMean(metric) if return_subgroup_scores else metric


def deduplicate_metric(metric_fn: MeanMetric) -> FirstOfGroup:
    """A mean over examples, of each group only the first."""
    return FirstOfGroup(metric_fn)


def _groups(targets: Targets, group_key: str = GROUP) -> dict[Hashable, list[int]]:
    """The places of each group's examples, in order."""
    groups: dict[Hashable, list[int]] = {}
    for index, target in enumerate(targets):
        groups.setdefault(_key(target[group_key]), []).append(index)
    return groups


def _key(group: Any) -> Hashable:
    """A group that went through JSON is a list where it was a tuple."""
    if isinstance(group, np.ndarray):
        group = group.tolist()
    return tuple(_key(each) for each in group) if isinstance(group, list | tuple) else group


def _firsts(groups: Sequence[Sequence[int]], count: int) -> Float[np.ndarray, " count"]:
    firsts = np.zeros(count)
    firsts[[members[0] for members in groups]] = 1.0
    return firsts


def _values(examples: Targets, value_key: str = VALUE) -> list[Any]:
    return [example[value_key] for example in examples]


multirc_f1_over_all_answers = F1OverAllAnswers()
multirc_exact_match = mean_group_metric(all_match)
record = deduplicate_metric(squad)
