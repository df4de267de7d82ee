"""The data sets themselves: every task of which the files are there, row by row against TFDS."""

import json

import pytest
import seqio
from etils import epath

from t5x_lite.data.task_files import task_files

# Imported for what they register.
from t5x_lite.tasks import cnn_dailymail, glue, squad, super_glue, translation  # noqa: F401

pytestmark = pytest.mark.test_data

# The published sizes (MRPC's test, and what is here of CNN/DailyMail and of translations, apart).
COUNTS = {
    ("glue_cola_v002", "train"): 8_551,
    ("glue_cola_v002", "validation"): 1_043,
    ("glue_cola_v002", "test"): 1_063,
    ("glue_sst2_v002", "train"): 67_349,
    ("glue_sst2_v002", "validation"): 872,
    ("glue_mrpc_v002", "train"): 3_668,
    ("glue_mrpc_v002", "validation"): 408,
    ("glue_mrpc_v002", "test"): 1_725,
    ("glue_stsb_v002", "train"): 5_749,
    ("glue_stsb_v002", "validation"): 1_500,
    ("glue_stsb_v002", "test"): 1_379,
    ("glue_rte_v002", "train"): 2_490,
    ("glue_rte_v002", "validation"): 277,
    ("glue_wnli_v002_simple_eval", "validation"): 71,
    ("glue_wnli_v002_simple_eval", "test"): 146,
    ("super_glue_cb_v102", "train"): 250,
    ("super_glue_cb_v102", "validation"): 56,
    ("super_glue_copa_v102", "train"): 400,
    ("super_glue_copa_v102", "validation"): 100,
    ("super_glue_copa_v102", "test"): 500,
    ("super_glue_wsc_v102_simple_eval", "validation"): 104,
    ("dpr_v001_simple", "train"): 1_322,
    ("dpr_v001_simple", "test"): 564,
    ("squad_v010_allanswers", "validation"): 10_570,
    ("cnn_dailymail_v002", "train"): 100,
    ("wmt_t2t_ende_v003", "train"): 29_000,
    ("wmt_t2t_ende_v003", "validation"): 1_014,
    ("wmt15_enfr_v003", "train"): 29_000,
    ("wmt16_enro_v003", "train"): 6_000,
    # FewGLUE
    ("super_glue_boolq_v102", "train"): 32,
    ("super_glue_multirc_v102", "train"): 154,
    ("super_glue_record_v102", "train"): 32,
    ("super_glue_rte_v102", "train"): 32,
    ("super_glue_wic_v102", "train"): 32,
    ("super_glue_wsc_v102_simple_train", "train"): 32,
}


@pytest.fixture
def real(test_data_dir, read_from):
    """All of it, and for what is not there the 32 examples of FewGLUE."""
    read_from(test_data_dir, test_data_dir / "superglue" / "FewGLUE")
    return test_data_dir


@pytest.mark.parametrize(("name", "split"), COUNTS)
def test_a_task_loads_and_is_counted(real, name, split):
    """As many examples come as the source says, with text on both sides."""
    task = seqio.TaskRegistry.get(name)
    assert task.source.num_input_examples(split) == COUNTS[name, split]
    dataset = task.source.get_dataset(split, shuffle=False)
    for preprocess in task.preprocessors[: task.preprocessors.index(seqio.preprocessors.tokenize)]:
        dataset = preprocess(dataset)
    first = next(dataset.take(1).as_numpy_iterator())
    assert len(first["inputs"]) > 10
    assert first["targets"] or name == "glue_wnli_v002_simple_eval"


def builder_of(name):
    return seqio.TaskRegistry.get(name).source._tfds().tfds_dataset.builder


@pytest.mark.parametrize(
    ("name", "split", "file"),
    [
        ("glue_cola_v002", "train", "glue/CoLA/train.tsv"),
        ("glue_cola_v002", "test", "glue/CoLA/test.tsv"),
        ("glue_sst2_v002", "validation", "glue/SST-2/dev.tsv"),
        ("glue_stsb_v002", "train", "glue/STS-B/train.tsv"),
        ("glue_rte_v002", "validation", "glue/RTE/dev.tsv"),
        ("glue_wnli_v002_simple_eval", "test", "glue/WNLI/test.tsv"),
        ("super_glue_cb_v102", "train", "superglue/FewGLUE/CB/train.jsonl"),
        ("super_glue_copa_v102", "train", "superglue/FewGLUE/COPA/train.jsonl"),
        ("super_glue_boolq_v102", "train", "superglue/FewGLUE/BoolQ/train.jsonl"),
        ("super_glue_multirc_v102", "train", "superglue/FewGLUE/MultiRC/train.jsonl"),
        ("super_glue_record_v102", "train", "superglue/FewGLUE/ReCoRD/train.jsonl"),
        ("super_glue_rte_v102", "train", "superglue/FewGLUE/RTE/train.jsonl"),
        ("super_glue_wic_v102", "train", "superglue/FewGLUE/WiC/train.jsonl"),
        ("super_glue_wsc_v102_simple_train", "train", "superglue/FewGLUE/WSC/train.jsonl"),
    ],
)
def test_examples_are_those_of_tfds(test_data_dir, read_from, name, split, file):
    """The real builder reads the same file: every feature of every row is the same."""
    path = test_data_dir / file
    read_from(path.parent.parent)
    builder = builder_of(name)
    kind = {"validation": "dev"}.get(split, split)
    theirs = [
        builder.info.features.encode_example(example)
        for _, example in builder._generate_examples(data_file=str(path), split=kind)
    ]
    ours = seqio.TaskRegistry.get(name).source._files.load(task_files(), split)
    assert len(ours) == len(theirs) > 0
    for mine, other in zip(ours, theirs, strict=True):
        # Similarities are float32 in TFDS, and become so here when they become a tensor.
        assert {**mine, "label": pytest.approx(mine.get("label", 0))} == {"label": 0, **other}


def test_mrpc_and_dpr_and_squad_are_those_of_tfds(real):
    """Their builders read other arguments, but the same files."""
    mrpc, mrpc_files = builder_of("glue_mrpc_v002"), real / "glue" / "MRPC"
    paths = {
        "dev_ids": mrpc_files / "dev_ids.tsv",
        "train": mrpc_files / "msr_paraphrase_train.txt",
        "test": mrpc_files / "msr_paraphrase_test.txt",
    }
    for split, kind in (("train", "train"), ("validation", "dev"), ("test", "test")):
        theirs = mrpc._generate_example_mrpc_files(paths, kind)
        ours = seqio.TaskRegistry.get("glue_mrpc_v002").source._files.load(task_files(), split)
        assert list(ours) == list(theirs)
    dpr = builder_of("dpr_v001_simple")._generate_examples(real / "superglue/DPR/test.c.txt")
    ours = seqio.TaskRegistry.get("dpr_v001_simple").source._files.load(task_files(), "test")
    assert ours == [example for _, example in dpr]
    squad_builder = builder_of("squad_v010_allanswers")
    theirs = squad_builder._generate_examples(epath.Path(real / "squad/dev-v1.1.json"))
    task = seqio.TaskRegistry.get("squad_v010_allanswers")
    ours = task.source._files.load(task_files(), "validation")
    assert ours == [example for _, example in theirs]


def test_features_are_those_of_the_builders(real):
    """Names, types and shapes of all tasks, so that one format reads both."""
    names = [name for name in seqio.TaskRegistry.names() if name.startswith(_PREFIXES)]
    assert len(names) == 45
    for name in names:
        files = seqio.TaskRegistry.get(name).source._files
        ours = getattr(files, "features", None)
        if ours is None:  # Streams say it themselves.
            ours = files.dataset(task_files(), "train", seed=None).element_spec
        assert _plain(ours) == _plain(builder_of(name).info.features.get_tensor_spec()), name


_PREFIXES = ("glue_", "super_glue_", "dpr_", "squad_", "cnn_dailymail_", "wmt")


def _plain(spec):
    if isinstance(spec, dict):
        return {name: _plain(each) for name, each in spec.items()}
    return tuple(spec.shape), spec.dtype


def test_the_two_wsc_examples_with_wrong_indices_are_mended(real, read_from, formatted_split):
    """T5's text of them, computed from the rows: the only ones whose word is not the pronoun."""
    rows = {}
    for file in ("WSC/val.jsonl", "FewGLUE/WSC/unlabeled.jsonl", "FewGLUE/WSC/train.jsonl"):
        for line in (real / "superglue" / file).read_text().splitlines():
            row = json.loads(line)
            target = row["target"]
            words = row["text"].split(" ")
            if words[target["span2_index"]] != target["span2_text"]:
                rows[row["text"]] = target["span2_text"]
    assert sorted(rows.values()) == ["him", "it"]
    expected = set()
    for text, pronoun in rows.items():
        wrong = {"it": " use it ,", "him": 'Good for him,"'}[pronoun]
        right = {"it": " use *it* ,", "him": 'Good for *him* ,"'}[pronoun]
        assert text.count(wrong) == 1
        expected.add(f"wsc: {text.replace(wrong, right).strip()}")
    validation = formatted_split("super_glue_wsc_v102_simple_eval", "validation")
    train = formatted_split("super_glue_wsc_v102_simple_train", "train")
    assert expected <= {each["inputs"] for each in validation + train}


def test_every_wsc_example_stars_one_pronoun(real, formatted_split):
    found = formatted_split("super_glue_wsc_v102_simple_eval", "validation")
    assert all(each["inputs"].count("*") == 2 for each in found)


def test_a_row_of_each_table_is_formatted_to_the_letter(real, formatted_split):
    """Real rows, with their quotes and spaces; the expectation is computed from the row."""
    for name, file, columns, prompt, label_of in (
        (
            "glue_cola_v002",
            "CoLA/dev.tsv",
            (3,),
            "cola sentence: {}",
            ("unacceptable", "acceptable"),
        ),
        ("glue_sst2_v002", "SST-2/dev.tsv", (0,), "sst2 sentence: {}", ("negative", "positive")),
        ("glue_rte_v002", "RTE/dev.tsv", (1, 2), "rte sentence1: {} sentence2: {}", None),
    ):
        lines = (real / "glue" / file).read_text().split("\n")
        rows = [line.split("\t") for line in lines if line][0 if "CoLA" in file else 1 :]
        label = 1 if len(columns) == 1 else 3
        found = formatted_split(name, "validation")
        assert len(found) == len(rows)
        for each, row in zip(found, rows, strict=True):
            assert each["inputs"] == prompt.format(*(row[column] for column in columns))
            assert each["targets"] == (label_of[int(row[label])] if label_of else row[label])
