"""INV-12: the mixtures have the paper's shares, and what is drawn follows them; no data is read."""

import collections

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.data.mixture_shares import mixture_shares
from t5x_lite.tasks import mixtures
from t5x_lite.tasks.example_counts import GLUE, SUPER_GLUE, SUPERVISED

COLUMNS = {
    "wmt15_enfr_v003": "EnFr",
    "wmt_t2t_ende_v003": "EnDe",
    "wmt16_enro_v003": "EnRo",
    "cnn_dailymail_v002": "CNNDM",
    "squad_v010_allanswers": "SQuAD",
    **dict.fromkeys(GLUE, "GLUE"),
    **dict.fromkeys(SUPER_GLUE, "SuperGLUE"),
}
# SPEC B.7: C4, EnFr, EnDe, EnRo, CNNDM, SQuAD, GLUE, SuperGLUE.
TABLE = {
    "all_proportional_k_2_16": (0.0831, 0.0831, 0.0831, 0.0831, 0.0831, 0.0831, 0.3586, 0.1426),
    "all_proportional_k_2_17": (0.0953, 0.0953, 0.0953, 0.0953, 0.0953, 0.0637, 0.3306, 0.1293),
    "all_proportional_k_2_18": (0.1139, 0.1139, 0.1139, 0.1139, 0.1139, 0.0381, 0.3116, 0.0807),
    "all_proportional_k_2_19": (0.1454, 0.1454, 0.1454, 0.1454, 0.0796, 0.0243, 0.2632, 0.0515),
    "all_proportional_k_2_20": (0.1991, 0.1991, 0.1991, 0.1159, 0.0545, 0.0166, 0.1802, 0.0353),
    "all_proportional_k_2_21": (0.2493, 0.2493, 0.2493, 0.0726, 0.0341, 0.0104, 0.1128, 0.0221),
    "all_temperature_2": (0.1628, 0.1628, 0.1628, 0.0878, 0.0602, 0.0333, 0.2351, 0.0952),
    "all_temperature_4": (0.1014, 0.1014, 0.1014, 0.0744, 0.0617, 0.0458, 0.3112, 0.2028),
    "all_temperature_8": (0.0703, 0.0703, 0.0703, 0.0603, 0.0548, 0.0473, 0.3387, 0.2880),
    "all_equal": (0.0435, 0.0435, 0.0435, 0.0435, 0.0435, 0.0435, 0.3478, 0.3913),
}


def shares(name):
    return {row.name: row.share for row in mixture_shares(name)}


def rates(name):
    return {row.name: row.rate for row in mixture_shares(name)}


def drawn(name):
    return {task for task, share in shares(name).items() if share}


def by_column(name):
    total = collections.Counter()
    for task, share in shares(name).items():
        total["C4" if task.startswith("c4_") else COLUMNS.get(task, "evaluated only")] += share
    return total


@pytest.mark.parametrize("suffix", ["", "_c4_v310"])
@pytest.mark.parametrize("name", TABLE)
def test_shares_of_the_23_tasks_are_the_papers(name, suffix):
    """To all four digits, for every limit, temperature and the equal mixture."""
    found = by_column(name + suffix)
    columns = ["C4", "EnFr", "EnDe", "EnRo", "CNNDM", "SQuAD", "GLUE", "SuperGLUE"]
    assert [f"{found[column]:.4f}" for column in columns] == [f"{x:.4f}" for x in TABLE[name]]
    assert found["evaluated only"] == 0 and len(drawn(name + suffix)) == 23


def test_the_benchmarks_have_the_released_weights():
    """SPEC B.7: sums, some shares, and the evaluation tasks at rate 0."""
    assert sum(rates("glue_v002_proportional").values()) == 949_101
    assert sum(rates("super_glue_v102_proportional").values()) == 185_673
    glue, super_glue = shares("glue_v002_proportional"), shares("super_glue_v102_proportional")
    found = {task: f"{glue[f'glue_{task}_v002']:.5f}" for task in ("mnli", "qqp", "cola", "rte")}
    assert found == {"mnli": "0.41376", "qqp": "0.38336", "cola": "0.00901", "rte": "0.00262"}
    found = {t: f"{super_glue[f'super_glue_{t}_v102']:.5f}" for t in ("record", "multirc", "cb")}
    assert found == {"record": "0.74784", "multirc": "0.14673", "cb": "0.00135"}
    for task in mixtures.GLUE_EVALUATION:
        assert glue[task] == 0
    for task in mixtures.SUPER_GLUE_EVALUATION:
        assert super_glue[task] == 0


def test_the_small_mixtures_of_t5():
    """MNLI with both validation sets, and pronouns."""
    assert drawn("glue_mnli_and_dev_v002") == {"glue_mnli_v002"}
    wsc = shares("wsc_dpr_simple_proportional")
    assert wsc["dpr_v001_simple"] == 1322 / 1581
    assert wsc["super_glue_wsc_v102_simple_eval"] == 0


def test_released_weights_ignore_the_limit_and_halve_rte():
    """The other reading: K bounds C4 and the other tasks only."""
    paper, released = rates("all_proportional_k_2_16"), rates("all_proportional_k_2_16_released")
    assert (paper["glue_mnli_v002"], released["glue_mnli_v002"]) == (2**16, 392_702)
    for rte in ("glue_rte_v002", "super_glue_rte_v102"):
        assert (paper[rte], released[rte]) == (2490, 1245)
    unlimited = [t for t in paper if t not in GLUE | SUPER_GLUE]
    assert [paper[t] for t in unlimited] == [released[t] for t in unlimited]
    assert shares("all_proportional") == shares("all_proportional_k_2_19_released")


@pytest.mark.parametrize(
    ("name", "released_name", "left_out"), mixtures.LEAVE_OUT, ids=lambda x: str(x)[:12]
)
def test_one_of_seven_is_left_out_whole(name, released_name, left_out):
    """And nothing else; in the released reading RTE counts whole where its twin is left out."""
    ours, released = f"all_but_{name}", f"leave_one_out_{released_name}"
    assert drawn("all_proportional") - drawn(ours) == set(left_out)
    assert drawn(ours) == drawn(released)
    rte = {"glue": "super_glue_rte_v102"}.get(name, "glue_rte_v002")
    assert rates(ours)[rte] == 2490
    assert rates(released)[rte] == (2490 if name in ("glue", "super_glue") else 1245)
    assert rates(ours)["c4_v220_iid_denoising"] == 2**19


def test_supervised_only_has_no_c4():
    """Table 12's last row."""
    for name in ("all_supervised", "all_supervised_released"):
        assert drawn(name) == set(SUPERVISED)


@pytest.mark.parametrize(
    ("size", "c4_share"),
    [("small", 0.147), ("base", 0.389), ("large", 0.678), ("3b", 0.891), ("11b", 0.970)],
)
def test_the_final_recipe_draws_more_c4_for_larger_models(size, c4_share):
    """SPEC B.14, whose shares are those of the released weights: the formula's RTE, counted twice,
    takes half a thousandth from C4. EnFr and EnDe count a million examples.
    """
    for name in (f"all_mix_{size}", f"all_mix_{size}_released", f"all_mix_{size}_c4_v310"):
        (c4,) = [task for task in drawn(name) if task.startswith("c4_")]
        assert c4.endswith("_span_corruption")
        assert abs(shares(name)[c4] - c4_share) < 6e-4
        assert "released" not in name or round(shares(name)[c4], 3) == c4_share
        assert rates(name)["wmt15_enfr_v003"] == rates(name)["wmt_t2t_ende_v003"] == 1_000_000
        assert rates(name)["wmt16_enro_v003"] == 610_320


class MixtureOfSources(seqio.Mixture):
    """SeqIO's rates and draws over sources as they are: checking each example takes far longer."""

    def get_task_dataset(self, task, *args, **kwargs):
        return task.source.get_dataset(split="train", shuffle=False)


def constant_task(name, value):
    def source(split, shuffle_files):
        return tf.data.Dataset.from_tensors({"targets": tf.constant(value)}).repeat()

    return seqio.Task(
        name,
        source=seqio.FunctionDataSource(source, ["train"]),
        output_features={"targets": seqio.Feature(seqio.PassThroughVocabulary(99))},
    )


def test_a_hundred_thousand_draws_follow_the_shares():
    """A real mixture of tasks in memory with these rates: each within three standard errors."""
    name = "all_proportional_k_2_19"
    expected = {task: share for task, share in shares(name).items() if share}
    tasks = [constant_task(task, value) for value, task in enumerate(expected)]
    mixture = MixtureOfSources(name, [(task, rates(name)[task.name]) for task in tasks])
    batches = mixture.get_dataset(shuffle=False).batch(10_000).take(10).as_numpy_iterator()
    counts = np.bincount(
        np.concatenate([batch["targets"] for batch in batches]), minlength=len(expected)
    )
    share = np.array(list(expected.values()))
    errors = np.sqrt(share * (1 - share) / 100_000)
    assert (np.abs(counts / 100_000 - share) < 3 * errors).all()
