"""gin/runs/paper: every file resolves as its header says to launch it, and its numbers are the
paper's (SPEC B.8, B.13-B.15). Configurations only: no data, no model.
"""

import dataclasses
import functools
import pathlib
import re
import shlex

import pytest

from t5x_lite import config as gin_config
from t5x_lite.config import files
from t5x_lite.data import checks
from t5x_lite.data.mixture_shares import mixture_shares
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.inference.config import Average
from t5x_lite.model import transformer
from t5x_lite.optim.schedules import make_schedule
from t5x_lite.training.config import TrainConfig

GIN = pathlib.Path(gin_config.packaged_root())
PAPER = "runs/paper"
COLUMNS = ["GLUE", "CNNDM", "SQuAD", "SGLUE", "EnDe", "EnFr", "EnRo"]
DOWNSTREAM = {  # the target lengths of SPEC B.5
    "glue": ("glue_v002_proportional", 84),
    "super_glue": ("super_glue_v102_proportional", 62),
    "squad": ("squad_v010_allanswers", 97),
    "cnn_dailymail": ("cnn_dailymail_v002", 512),
    "ende": ("wmt_t2t_ende_v003", 512),
    "enfr": ("wmt15_enfr_v003", 512),
    "enro": ("wmt16_enro_v003", 512),
}
# Not launched by themselves: they stand behind the file of a pre-training.
PARTS = [
    "final_recipe/pretrain",
    "final_recipe/glue_task",
    "final_recipe/super_glue_task",
    *(f"scaling/{row}_finetune" for row in ("steps_4x", "batch_4x", "size_2x_steps_2x")),
    *(f"finetune/{name}" for name in DOWNSTREAM),
]
# What a user writes where a command has `...`, and where a file needs a name.
VALUES = {
    "MODEL_DIR": "run",
    "VOCABULARY": "sentencepiece.model",
    "INITIAL_CHECKPOINT_PATH": "pretrained",
    "CHECKPOINT_PATH": "finetuned_0",
    "ENSEMBLE_PATHS": "('finetuned_1', 'finetuned_2', 'finetuned_3')",
}
NAMED_BY_THE_USER = {
    "corpora/wikipedia_books": "my_wikipedia_and_books",
    "multitask/leave_one_out": "all_but_squad",
}
FROM_THE_CHECKPOINT = {
    "MIXTURE_OR_TASK_NAME": "squad_v010_allanswers",
    "SPLIT": "validation",
    "EVAL_OUTPUT_DIR": "out",
}


@pytest.fixture(scope="module", autouse=True)
def parsed_once():
    """Most files include the same few; parsing them is most of the work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "parse_text", functools.cache(files.parse_text))
        yield


def name_of(path):
    return str(path.relative_to(GIN / PAPER).with_suffix(""))


def paper_tables():
    """For each run its rows of numbers, as printed."""
    rows = {}
    for line in pathlib.Path(__file__).with_name("paper_tables.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, *numbers = line.split()
            rows.setdefault(name, []).append(dict(zip(COLUMNS, numbers, strict=True)))
    return rows


TABLES = paper_tables()


def header(name):
    """The comment at the top of a file in one line."""
    lines = (GIN / PAPER / f"{name}.gin").read_text().splitlines()
    comments = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    return " ".join(line.lstrip("# ").rstrip("\\ ") for line in comments)


def resolve(root, *gin_files, **overrides):
    pairs = [("a test", f"{name}={value}") for name, value in overrides.items()]
    return gin_config.resolve(root, gin_files, overrides=pairs)


@functools.cache
def launched(name):
    """The job of the header's command."""
    command, *flags = shlex.split(header(name).partition("): t5x_lite ")[2])
    gin_files = [f.partition("=")[2] for f in flags if f.startswith("--gin_file=")]
    macros = [f.removeprefix("--gin.").partition("=")[0] for f in flags if f.startswith("--gin.")]
    values = {macro: VALUES[macro] for macro in macros}
    assert f"{PAPER}/{name}.gin" in gin_files and len(gin_files) + len(macros) == len(flags)
    if name in NAMED_BY_THE_USER:
        values["MIXTURE_OR_TASK_NAME"] = NAMED_BY_THE_USER[name]
    if command == "train":
        return resolve(TrainConfig, *gin_files, **values)
    assert command == "eval"
    return resolve(EvalConfig, "recipes/eval.gin", *gin_files, **values, **FROM_THE_CHECKPOINT)


@functools.cache
def finetuned(pretraining, task, *more, **overrides):
    """The fine-tuning of a run, by the order of files in docs/paper.md."""
    names = [pretraining, task, *more]
    values = {"MODEL_DIR": "run", "INITIAL_CHECKPOINT_PATH": "pretrained", **overrides}
    return resolve(TrainConfig, *(f"{PAPER}/{name}.gin" for name in names), **values)


def trained(name):
    """What a run that trains a model from scratch resolves to."""
    return launched(name).config


PRETRAINING = [
    name
    for name in TABLES
    if not name.startswith("finetuning_methods/")
    and name not in ("no_pretraining", "scaling/ensemble", "scaling/finetuned_ensemble")
]


def test_every_file_is_a_row_or_a_part_of_rows():
    """No run without the paper's numbers, no row of the paper without a run."""
    found = [name_of(path) for path in (GIN / PAPER).rglob("*.gin")]
    assert sorted(found) == sorted([*TABLES, *PARTS])


@pytest.mark.parametrize("name", TABLES)
def test_a_row_resolves_and_its_header_has_the_papers_numbers(name):
    """The command as printed; the numbers as printed in the paper."""
    launched(name)
    assert re.search(r"\bTables? \d+", header(name))
    sentences = header(name).partition(" Command ")[0].split("Target, from the paper")[1:]
    found = [dict(re.findall(r"(\w+) (\d+\.\d+)", sentence)) for sentence in sentences]
    assert sorted(found, key=str) == sorted(TABLES[name], key=str)


@pytest.mark.parametrize("task", DOWNSTREAM)
def test_downstream_tasks_are_fine_tuned_as_in_section_3_1(task):
    """2^18 steps at 0.001, checkpoints every 5,000, each task's best by its validation scores."""
    mixture, length = DOWNSTREAM[task]
    # One that changes steps, batch, lengths, decoding while training: all of it is undone.
    for pretraining in ("baseline", "mixing/k_2_19", "final_recipe/11b"):
        job = finetuned(pretraining, f"finetune/{task}").config
        assert job.dataset.mixture_or_task_name == mixture
        assert job.dataset.task_feature_lengths == {"inputs": 512, "targets": length}
        assert (job.train_steps, job.train_steps_relative) == (None, 262_144)
        assert job.dataset.batch_size == 128
        assert make_schedule(job.learning_rate)(600_000) == pytest.approx(0.001)
        assert (job.checkpoints.period, job.eval_period, job.checkpoints.keep_best) == (
            5000,
            5000,
            1,
        )
        assert job.infer_eval_dataset.split == "validation"
        assert job.decoding.max_decode_length == length
        assert job.model == trained(pretraining).model


# Whatever is not here has the baseline's 2^19 steps of 128 rows.
BUDGETS = {
    **{name: (786_432, 128) for name in TABLES if name.startswith("mixing/")},
    "scaling/steps_4x": (2_097_152, 128),
    "scaling/batch_4x": (524_288, 512),
    "scaling/size_2x_steps_2x": (1_048_576, 128),
    "final_recipe/baseline_1t": (1_000_000, 2048),
    **{f"final_recipe/{size}": (1_000_000, 2048) for size in ("small", "base", "large", "3b")},
    "final_recipe/11b": (1_000_000, 2048),
}


def test_steps_batches_and_tokens_are_the_papers():
    """2^35 tokens in pre-training, four times as many where table 13 says so, 10^12 at last."""
    budgets = {
        name: (trained(name).train_steps, trained(name).dataset.batch_size) for name in PRETRAINING
    }
    assert budgets == {name: BUDGETS.get(name, (524_288, 128)) for name in PRETRAINING}
    tokens = {name: steps * rows * 512 for name, (steps, rows) in budgets.items()}
    assert tokens["baseline"] == 34_359_738_368
    assert tokens["scaling/steps_4x"] == tokens["scaling/batch_4x"] == 4 * tokens["baseline"]
    assert tokens["final_recipe/base"] == pytest.approx(1.0486e12, rel=1e-4)
    assert all(trained(name).dataset.pack for name in PRETRAINING)


@pytest.mark.parametrize("name", ["baseline", "mixing/equal", "final_recipe/11b"])
def test_the_learning_rate_is_one_over_the_root_of_the_step(name):
    """INV-13; at 10^6 steps it is the constant of fine-tuning."""
    schedule = make_schedule(trained(name).learning_rate)
    values = {0: 0.01, 10_000: 0.01, 20_000: 0.0070711, 524_288: 0.0013811, 1_000_000: 0.001}
    assert {step: float(schedule(step)) for step in values} == pytest.approx(values, rel=1e-4)


def test_scaled_runs_scale_their_fine_tuning():
    """Steps in both phases (SPEC B.13); four models answer as one by their logits."""
    more = {name.removesuffix("_finetune"): name for name in PARTS if name.startswith("scaling/")}
    jobs = {row: finetuned(row, "finetune/ende", name).config for row, name in more.items()}
    assert {row: (j.train_steps_relative, j.dataset.batch_size) for row, j in jobs.items()} == {
        "scaling/steps_4x": (1_048_576, 128),
        "scaling/batch_4x": (262_144, 512),
        "scaling/size_2x_steps_2x": (524_288, 128),
    }
    for name in ("scaling/ensemble", "scaling/finetuned_ensemble"):
        job = launched(name).config
        assert (job.ensemble, len(job.ensemble_paths)) == (Average.LOGITS, 3)
        assert (job.dataset.split, job.decoding.max_decode_length) == ("validation", 512)


def test_methods_of_fine_tuning_change_nothing_else():
    """Table 10 and the control of table 1: the baseline's model and budget."""
    full = finetuned("baseline", "finetune/glue").config
    for name in (*(n for n in TABLES if n.startswith("finetuning_methods/")), "no_pretraining"):
        job = launched(name).config
        width = re.search(r"adapters_(\d+)", name)
        assert job.model.decoder.block.adapter_dim == (int(width[1]) if width else None)
        assert job.dataset == dataclasses.replace(full.dataset, vocabulary=job.dataset.vocabulary)
        assert (job.train_steps_relative, job.learning_rate) == (262_144, full.learning_rate)
    assert launched("no_pretraining").config.restore.path is None
    unfreezing = launched("finetuning_methods/gradual_unfreezing").config.unfreezing
    # By default as many episodes as a stack has layers: 12, of 21,845.33 steps each.
    assert (unfreezing.steps, unfreezing.episodes) == (262_144, None)


# Parameters of what is not the baseline's model (SPEC B.1.5 and B.1.7).
PARAMETERS = {
    "shared": 137_949_312,
    "half_depth": 123_790_080,
    "lm": 109_628_544,
    "prefix_lm": 109_628_544,
    "scaling/size_2x_steps_2x": 502_746_112,
    "scaling/size_4x": 972_590_080,
    "final_recipe/small": 60_506_624,
    "final_recipe/large": 737_668_096,
    "final_recipe/3b": 2_851_598_336,
    "final_recipe/11b": 11_307_321_344,
}


def test_models_have_the_papers_number_of_parameters():
    """Each distinct model is counted once, from abstract shapes."""
    count = functools.cache(transformer.num_parameters)
    for name in PRETRAINING:
        kind = name.removeprefix("architectures/").partition("_denoising")[0]
        kind = kind.partition("_language_modeling")[0]
        expected = PARAMETERS.get(kind, 222_903_552)
        assert count(trained(name).model) == expected, name


# Lengths of what is not the baseline's 512/192 (SPEC B.2.2 and B.2.4).
TARGET_LENGTHS = {
    "objectives/drop_tokens": 104,
    "corruption_rates/rate_10": 103,
    "corruption_rates/rate_25": 256,
    "span_lengths/span_2": 126,
    "span_lengths/span_3": 114,
    "span_lengths/span_5": 105,
    "span_lengths/span_10": 99,
}
TARGETS_AS_LONG_AS_INPUTS = (
    "objectives/",
    "corruption_rates/rate_50",
    "mixing/",
    "multitask/",
    "final_recipe/",
)


def expected_lengths(name):
    if name == "architectures/lm_language_modeling":
        return {"targets": 512}
    length = 192
    if name.endswith("_language_modeling"):
        length = 512
    elif name.startswith(TARGETS_AS_LONG_AS_INPUTS) and name != "final_recipe/baseline_1t":
        length = 512
    return {"inputs": 512, "targets": TARGET_LENGTHS.get(name, length)}


def test_lengths_are_those_of_the_objectives():
    """Inputs of 512 tokens and targets as long as the objective makes them of that."""
    lengths = {name: trained(name).dataset.task_feature_lengths for name in PRETRAINING}
    assert lengths == {name: expected_lengths(name) for name in PRETRAINING}


@pytest.mark.parametrize("benchmark", ["glue", "super_glue"])
def test_the_final_recipe_fine_tunes_task_by_task(benchmark):
    """Batches of 8, a checkpoint every 1,000 steps, the lengths of the benchmark."""
    name = f"final_recipe/{benchmark}_task"
    task = f"{benchmark}_rte_v{'002' if benchmark == 'glue' else '102'}"
    job = finetuned("final_recipe/3b", name, MIXTURE_OR_TASK_NAME=task).config
    assert (job.dataset.batch_size, job.checkpoints.period, job.eval_period) == (8, 1000, 1000)
    assert (job.train_steps_relative, job.dataset.mixture_or_task_name) == (262_144, task)
    length = DOWNSTREAM[benchmark][1]
    assert job.dataset.task_feature_lengths == {"inputs": 512, "targets": length}


@pytest.fixture(scope="module")
def training_jobs():
    """Every job that trains, its tasks registered: rows, and fine-tunings of the baseline."""
    resolved = {name: launched(name) for name in TABLES}
    resolved |= {f"finetune/{t}": finetuned("baseline", f"finetune/{t}") for t in DOWNSTREAM}
    imports = {each.module: each for job in resolved.values() for each in job.imports}
    gin_config.import_modules(list(imports.values()))
    jobs = {name: job.config for name, job in resolved.items()}
    return {name: job for name, job in jobs.items() if isinstance(job, TrainConfig)}


def test_tasks_splits_and_lengths_are_there(training_jobs):
    """What a job checks before it reads its data, but for the vocabulary's file."""
    for name, job in training_jobs.items():
        if name == "corpora/wikipedia_books":  # its user registers it
            continue
        for dataset in (job.dataset, job.eval_dataset, job.infer_eval_dataset):
            if dataset is not None:
                assert not checks.problems(dataset, job.model.features, vocab_size=None), name


def test_c4_has_its_share_in_the_final_recipe(training_jobs):
    """SPEC B.14, from small to 11B."""
    shares = {}
    for size in ("small", "base", "large", "3b", "11b"):
        rows = mixture_shares(training_jobs[f"final_recipe/{size}"].dataset.mixture_or_task_name)
        shares[size] = sum(row.share for row in rows if row.name.startswith("c4_"))
    expected = {"small": 0.147, "base": 0.389, "large": 0.678, "3b": 0.891, "11b": 0.970}
    assert shares == pytest.approx(expected, abs=5e-4)
