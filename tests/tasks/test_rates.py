"""INV-12: the shares of SPEC B.7's table to 4 digits, and what is drawn follows the shares."""

import collections

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.tasks import rates

# Examples of the 23 tasks that Raffel et al. (2020) mixed; C4 and EnFr are beyond every limit.
GLUE = [8551, 67349, 3668, 363849, 5749, 392702, 104743, 2490]
SUPER_GLUE = [1322, 259, 9427, 250, 400, 27243, 138854, 2490, 5428]
SIZES = {
    "c4": 364_868_901,
    "en_fr": 40_850_000,
    "en_de": 4_592_289,
    "en_ro": 610_320,
    "cnn_dm": 287_113,
    "squad": 87_599,
    **{f"glue_{i}": size for i, size in enumerate(GLUE)},
    **{f"super_glue_{i}": size for i, size in enumerate(SUPER_GLUE)},
}
COLUMNS = ["c4", "en_fr", "en_de", "en_ro", "cnn_dm", "squad", "glue", "super_glue"]
TABLE = {
    "K=2^16": (0.0831, 0.0831, 0.0831, 0.0831, 0.0831, 0.0831, 0.3586, 0.1426),
    "K=2^17": (0.0953, 0.0953, 0.0953, 0.0953, 0.0953, 0.0637, 0.3306, 0.1293),
    "K=2^18": (0.1139, 0.1139, 0.1139, 0.1139, 0.1139, 0.0381, 0.3116, 0.0807),
    "K=2^19": (0.1454, 0.1454, 0.1454, 0.1454, 0.0796, 0.0243, 0.2632, 0.0515),
    "K=2^20": (0.1991, 0.1991, 0.1991, 0.1159, 0.0545, 0.0166, 0.1802, 0.0353),
    "K=2^21": (0.2493, 0.2493, 0.2493, 0.0726, 0.0341, 0.0104, 0.1128, 0.0221),
    "T=2": (0.1628, 0.1628, 0.1628, 0.0878, 0.0602, 0.0333, 0.2351, 0.0952),
    "T=4": (0.1014, 0.1014, 0.1014, 0.0744, 0.0617, 0.0458, 0.3112, 0.2028),
    "T=8": (0.0703, 0.0703, 0.0703, 0.0603, 0.0548, 0.0473, 0.3387, 0.2880),
    "equal": (0.0435, 0.0435, 0.0435, 0.0435, 0.0435, 0.0435, 0.3478, 0.3913),
}


def rate_of(row):
    kind, _, value = row.partition("=")
    if kind == "equal":
        return rates.equal()
    if kind == "T":
        return rates.temperature(float(value))
    return rates.examples_proportional(limit=2 ** int(value[2:]))


def dataset(split, shuffle_files):
    return tf.data.Dataset.from_tensors({"targets": [1]})


def task(name, size):
    return seqio.Task(
        name,
        source=seqio.FunctionDataSource(dataset, ["train"], num_input_examples={"train": size}),
        output_features={"targets": seqio.Feature(seqio.PassThroughVocabulary(99))},
    )


@pytest.mark.parametrize("row", TABLE)
def test_shares_are_the_paper_s(row):
    """All three kinds of rates over 23 tasks, through SeqIO's own mixture."""
    tasks = [task(name, size) for name, size in SIZES.items()]
    mixture = seqio.Mixture("all", tasks, default_rate=rate_of(row))
    shares = collections.Counter()
    for t in tasks:
        group = next(column for column in reversed(COLUMNS) if t.name.startswith(column))
        shares[group] += mixture.get_rate(t) / mixture.total_rate
    found = tuple(round(shares[column], 4) for column in COLUMNS)
    np.testing.assert_allclose(found, TABLE[row], atol=1.01e-4 / 2)


def test_a_task_reachable_twice_adds_up():
    """A sub-mixture passes its rate on in the shares of its tasks."""
    a, b = task("a", 100), task("b", 300)
    inner = seqio.Mixture("inner", [a, b], default_rate=rates.examples_proportional(limit=2**20))
    outer = seqio.Mixture("outer", [(inner, 8.0), (a, 1.0)])
    assert (outer.get_rate(a), outer.get_rate(b)) == (3.0, 6.0)


@pytest.mark.slow
def test_a_hundred_thousand_draws_follow_the_shares():
    """Each task's count within three standard errors of its share."""
    sizes = {"small": 1000, "middle": 4000, "large": 64_000}
    tasks = [constant_task(name, i, size) for i, (name, size) in enumerate(sizes.items())]
    mixture = seqio.Mixture("m", tasks, default_rate=rates.examples_proportional(limit=8000))
    draws = mixture.get_dataset(seed=3, shuffle=False, num_epochs=None)
    drawn = draws.batch(10_000).take(10).as_numpy_iterator()
    counts = np.bincount(np.concatenate([batch["targets"][:, 0] for batch in drawn]))
    shares = np.array([1000, 4000, 8000]) / 13_000
    errors = np.sqrt(shares * (1 - shares) / 100_000)
    assert (np.abs(counts / 100_000 - shares) < 3 * errors).all()


def constant_task(name, value, size):
    def source(split, shuffle_files, seed=None):
        return tf.data.Dataset.from_tensors({"targets": [value]})

    return seqio.Task(
        name,
        source=seqio.FunctionDataSource(source, ["train"], num_input_examples={"train": size}),
        output_features={"targets": seqio.Feature(seqio.PassThroughVocabulary(99))},
    )
