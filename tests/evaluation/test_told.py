"""Classes, numbers and spans that an encoder by itself tells, scored as texts are."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.checkpoints import manager
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.manager import Checkpoints, Description
from t5x_lite.data import checks
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import EvaluationTask
from t5x_lite.data.told import told_of
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.evaluation.answers import LiveModel
from t5x_lite.evaluation.compare import compare, find
from t5x_lite.evaluation.config import EvalConfig, StatisticsConfig
from t5x_lite.evaluation.evaluate import evaluate
from t5x_lite.evaluation.report import report
from t5x_lite.evaluation.scoring import ScoredTask, Writing
from t5x_lite.features.config import SpecialTokens
from t5x_lite.features.layouts import Layout
from t5x_lite.features.outputs import Wanted
from t5x_lite.inference.config import InferConfig, InputFileConfig, Mode
from t5x_lite.inference.infer import infer
from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.correlation import pearson_corrcoef
from t5x_lite.metrics.squad import squad
from t5x_lite.model import transformer
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig
from t5x_lite.objectives import spans, texts
from t5x_lite.optim.config import AdafactorConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model
from t5x_lite.text.label_vocabulary import LabelVocabulary
from t5x_lite.text.word_piece import WordPieceTokenizer, WordRules
from t5x_lite.text.word_piece_vocabulary import WordPieceVocabulary
from t5x_lite.training.state import StateFactory

pytestmark = pytest.mark.usefixtures("two_devices")

LABELS = ("cold", "mild", "hot")
WORDS = [f"{a}{b}" for a in "bcdfgh" for b in "aeiou"]
SPECIAL = SpecialTokens(padding=0, unknown=1, start=2, end=3)
COUNT, LENGTH = 13, 16


def rows(count=COUNT):
    """Pairs of texts of different lengths, with a label, a number and an answer."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        first, second = (list(rng.choice(WORDS, rng.integers(2, 6))) for _ in range(2))
        found.append(
            {
                "first": " ".join(first),
                "second": " ".join(second),
                "classes": number % 3,
                "values": number / 4,
                "question": " ".join(first),
                "words": second,
                "answer": [0, 1],
            }
        )
    return found


def source(*names):
    """Of these features of the rows."""

    def dataset(split, shuffle_files, seed=None):
        del split, shuffle_files, seed
        signature = {
            name: tf.TensorSpec(np.shape(each) if name != "words" else [None], spec_type(each))
            for name, each in rows()[0].items()
            if name in names
        }
        return tf.data.Dataset.from_generator(
            lambda: ({name: each[name] for name in names} for each in rows()),
            output_signature=signature,
        )

    def spec_type(value):
        first = np.asarray(value).reshape(-1)[0]
        return tf.string if isinstance(first, str) else tf.as_dtype(np.asarray(value).dtype)

    return seqio.FunctionDataSource(dataset, splits=("validation",))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A task of each kind, by the feature that it asks for."""
    folder = tmp_path_factory.mktemp("pieces")
    pieces = {p: i for i, p in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = WordPieceTokenizer(pieces, SPECIAL, WordRules())
    for name, content in tokenizer.files().items():
        (folder / name).write_bytes(content)
    vocabulary = WordPieceVocabulary(folder)
    numbers = texts.output_features(vocabulary=vocabulary)
    classes = texts.output_features(labels=LABELS, vocabulary=vocabulary)
    kinds = {
        "classes": (texts, classes, accuracy, None),
        "values": (texts, numbers, pearson_corrcoef, lambda text, **_: float(text)),
        "spans": (
            spans,
            spans.output_features(vocabulary),
            squad,
            lambda text, is_target=False, **_: [text] if is_target else text,
        ),
    }
    made = {}
    for name, (steps, features, metric, postprocess) in kinds.items():
        asked = ("question", "words", "answer") if name == "spans" else ("first", "second", name)
        made[name] = seqio.TaskRegistry.add(
            f"told_{name}",
            source=source(*asked),
            preprocessors=[steps.tokenize, steps.frame],
            output_features=features,
            metric_fns=[metric],
            postprocess_fn=postprocess,
        )
    yield {name: EvaluationTask(task) for name, task in made.items()}
    for name in kinds:
        seqio.TaskRegistry.remove(f"told_{name}")


@pytest.fixture(scope="module")
def factory():
    """An encoder that tells all three, on a mesh data=4 x model=2."""
    heads = (
        HeadConfig(kind=HeadKind.CLASSES, num_classes=3, labels=LABELS),
        HeadConfig(kind=HeadKind.REGRESSION),
        HeadConfig(kind=HeadKind.SPAN),
    )
    model = dataclasses.replace(
        tiny_model(40, Layout.ENCODER), heads=heads, special=SPECIAL, logits_via_embedding=False
    ).with_stacks(lambda _, stack: dataclasses.replace(stack, token_types=2))
    partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
    return StateFactory(model, AdafactorConfig(), ScheduleConfig(), partitioner)


@pytest.fixture(scope="module")
def state(factory):
    """Parameters so large that answers differ."""
    state = factory.initialize(0)
    return dataclasses.replace(state, parameters=jax.tree.map(lambda x: 3 * x, state.parameters))


@pytest.fixture(scope="module")
def model_dir(factory, state, tmp_path_factory):
    """A checkpoint of it."""
    directory = tmp_path_factory.mktemp("told")
    checkpoints = Checkpoints(directory, SaveCheckpointConfig())
    at_step = dataclasses.replace(state, step=jnp.int32(8))
    checkpoints.save(8, at_step, Description("", 0))
    checkpoints.close()
    return directory


def config_of(model_dir, factory, name, output):
    """Batches of 5, which no mesh divides."""
    return EvalConfig(
        checkpoint_path=str(model_dir),
        output_dir=str(output),
        model=factory.model,
        dataset=DatasetConfig(
            mixture_or_task_name=f"told_{name}",
            split="validation",
            batch_size=5,
            shuffle=False,
            pack=False,
        ),
        decoding=DecodingConfig(),
        partitioning=PartitioningConfig(num_partitions=2),
        compilation_cache=False,
    )


def lines(path):
    """JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def given(factory, state, examples, head):
    """What a head gives of each example, by one program without a mesh."""
    batch = {}
    for name, feature in (("input_tokens", "inputs"), ("token_types", "token_types")):
        padded = [np.pad(e[feature], (0, LENGTH - len(e[feature]))) for e in examples]
        batch[f"encoder_{name}"] = jnp.asarray(np.stack(padded))
    lengths = np.array([[len(each["inputs"])] for each in examples])
    batch["encoder_segment_ids"] = jnp.asarray(np.int32(np.arange(LENGTH) < lengths))
    wanted = Wanted((head,), ())
    apply = jax.jit(lambda p, b: transformer.apply(factory.model, p, b, wanted=wanted).heads[head])
    parameters = jax.tree.map(np.asarray, state.parameters)
    rows = np.asarray(apply(parameters, batch).all())
    return [row[: len(each["inputs"])] for row, each in zip(rows, examples, strict=True)]


def test_what_is_written_is_what_the_heads_give(tasks, factory, state, model_dir, tmp_path, capsys):
    """Each example once, on any mesh; no rates, no copy, and the best constant beside scores."""
    for name, head in (("classes", "classes"), ("values", "regression"), ("spans", "span")):
        task = tasks[name]
        examples = task.examples(split="validation", task_feature_lengths=None)
        (result,) = evaluate(config_of(model_dir, factory, name, tmp_path / "eval"), "gin text")
        folder = tmp_path / "eval" / "inference_eval"
        written = lines(folder / f"told_{name}-000008.jsonl")
        assert len(written) == COUNT == result.num_examples
        every = given(factory, state, examples, head)
        for line, example, outputs in zip(written, examples, every, strict=True):
            if name == "classes":
                assert line["prediction"] == LABELS[int(np.argmax(outputs[0]))]
                shares = np.exp(outputs[0]) / np.exp(outputs[0]).sum()
                np.testing.assert_allclose(
                    list(line["probabilities"].values()), shares, rtol=1e-3, atol=1e-5
                )
                assert [*line["probabilities"]] == [*LABELS]
            elif name == "values":
                np.testing.assert_allclose(line["prediction"], outputs[0, 0], rtol=1e-3, atol=1e-4)
            else:
                _, *place = spans.best([outputs], [example])
                assert line["prediction"] == spans.words_between(example, *place) != ""
        assert [*lines(folder / f"told_{name}-baselines.json")[0]] == ["most_frequent_target"]
        (said,) = lines(folder / f"told_{name}-statistics.jsonl")
        assert said["rates"] == {} and said["intervals"].keys() <= result.scores.keys()
    targets = [line["target"] for line in lines(folder / "told_spans-000008.jsonl")]
    assert targets == [[" ".join(row["words"][:2])] for row in rows()]
    output = capsys.readouterr().out
    assert "answers, in per cent" not in output and "decoding:" not in output
    report([str(tmp_path / "eval")])
    assert re.search(r"told_classes .* accuracy", capsys.readouterr().out)


def test_a_text_in_windows_has_one_answer(tasks, factory, state, model_dir, tmp_path):
    """The best of all of its windows, in evaluation and inference; the target is the whole one."""
    config = config_of(model_dir, factory, "spans", tmp_path / "eval")
    lengths = {"inputs": 9, "token_types": 9, "spans": 2}
    dataset = dataclasses.replace(config.dataset, task_feature_lengths=lengths)
    examples = tasks["spans"].examples(
        split="validation", task_feature_lengths=lengths, num_examples=COUNT - 1
    )
    counts = [len(example["windows"]) for example in examples]
    assert len(counts) == COUNT - 1 and max(counts) > 1 == min(counts)
    windows = [window for example in examples for window in example["windows"]]
    outputs = iter(given(factory, state, windows, "span"))
    expected = []
    for example in examples:
        own = example["windows"]
        number, *place = spans.best([next(outputs) for _ in own], own)
        expected.append(spans.words_between(own[number], *place))
    (result,) = evaluate(dataclasses.replace(config, dataset=dataset), "gin text")
    written = lines(tmp_path / "eval" / "inference_eval" / "told_spans-000008.jsonl")
    assert [line["prediction"] for line in written[:-1]] == expected
    assert [line["target"] for line in written] == [[" ".join(r["words"][:2])] for r in rows()]
    assert result.num_examples == COUNT
    found = infer_lines(
        model_dir,
        tmp_path / "infer",
        model=factory.model,
        dataset=dataset,
        num_examples=COUNT - 1,
        checkpoint_period=1,
    )
    assert [each["prediction"] for each in found] == expected


def test_answers_are_kept_and_compared(tasks, factory, model_dir, tmp_path, capsys):
    """Another evaluation of the same checkpoint runs nothing; two runs are compared pairwise."""
    for output in ("one", "two"):
        evaluate(config_of(model_dir, factory, "classes", tmp_path / output), "")
    capsys.readouterr()
    evaluate(config_of(model_dir, factory, "classes", tmp_path / "one"), "")
    assert f"the {COUNT} answers of step 8 were decoded before" in capsys.readouterr().out
    found = compare(*(find(str(tmp_path / each)) for each in ("one", "two")), StatisticsConfig())
    ((place, (comparison,)),) = found.items()
    assert place.task == "told_classes" and comparison.metric == "accuracy"


def test_a_run_that_goes_on_tells_with_its_own_parameters(tasks, factory, state, tmp_path):
    """The same scores as those of the checkpoint, without one."""
    task = tasks["classes"]
    dataset = config_of(tmp_path, factory, "classes", tmp_path).dataset
    examples = task.examples(split="validation", task_feature_lengths=None)
    model = LiveModel(factory, DecodingConfig(), dataset)
    answers = model.answer(state.parameters, 8, task, examples)
    writing = Writing(manager.absolute(tmp_path), "validation", DecodingConfig())
    result = ScoredTask(task, examples).result(
        answers, step=8, writing=writing, statistics=StatisticsConfig()
    )
    found = [np.argmax(outputs[0]) for outputs in given(factory, state, examples, "classes")]
    right = np.mean([row["classes"] == each for row, each in zip(rows(), found)])
    assert result.scores["accuracy"] == pytest.approx(100 * right)
    assert result.constant["accuracy"] == pytest.approx(100 * 5 / 13) and not result.copy


def infer_lines(model_dir, output, **settings):
    """What an inference job writes of the checkpoint."""
    config = InferConfig(
        checkpoint_path=str(model_dir),
        output_dir=str(output),
        decoding=DecodingConfig(),
        partitioning=PartitioningConfig(num_partitions=2),
        mode=Mode.PREDICT_WITH_AUX,
        compilation_cache=False,
        **settings,
    )
    infer(config, "")
    (path,) = output.glob("*.jsonl-00000-of-00001")
    return lines(path)


def test_inference_writes_the_same_answers(tasks, factory, model_dir, tmp_path, capsys):
    """Of tasks, in parts of a few; of classes each probability."""
    for name in ("classes", "spans"):
        config = config_of(model_dir, factory, name, tmp_path / "eval")
        evaluate(config, "")
        expected = lines(tmp_path / "eval" / "inference_eval" / f"told_{name}-000008.jsonl")
        found = infer_lines(
            model_dir,
            tmp_path / name,
            model=factory.model,
            dataset=config.dataset,
            checkpoint_period=1,
        )
        assert [each["prediction"] for each in found] == [e["prediction"] for e in expected]
        for one, other in zip(found, expected, strict=True):
            shares = one.get("aux", {}).get("probabilities", {})
            assert shares == pytest.approx(other.get("probabilities", {}))
            assert ("probabilities" in other) == (name == "classes")
    assert "decoding:" not in capsys.readouterr().out


def test_lines_of_a_file_are_classified_with_what_stands_around_them(
    tasks, factory, state, model_dir, tmp_path
):
    """By the vocabulary that is named; cut to what fits, the tokens around them kept."""
    (tmp_path / "lines.txt").write_text("ba be bi\nda\n")
    vocabulary = tasks["classes"].task.output_features["inputs"].vocabulary
    for length in (None, 4):
        file = InputFileConfig(
            path=str(tmp_path / "lines.txt"), vocabulary=vocabulary.path, inputs_length=length
        )
        found = infer_lines(
            model_dir, tmp_path / f"out_{length}", model=factory.model, input_file=file
        )
        texts = ["ba be bi" if length is None else "ba be", "da"]
        ids = [[2, *vocabulary.encode(text), 3] for text in texts]
        examples = [{"inputs": each, "token_types": [0] * len(each)} for each in ids]
        for line, outputs in zip(found, given(factory, state, examples, "classes"), strict=True):
            assert line["prediction"] == LABELS[int(np.argmax(outputs[0]))]


def test_as_many_classes_as_the_head_tells(tasks, factory):
    """A third class would have no logit of its own."""
    checks.check_classes("told_classes", factory.model.features)
    checks.check_classes("told_values", factory.model.features)
    two = dataclasses.replace(factory.model, heads=(HeadConfig(kind=HeadKind.CLASSES),))
    with pytest.raises(ValueError, match="cold, mild, hot, but .* tells 2: .*NUM_CLASSES=3"):
        checks.check_classes("told_classes", two.features)


def test_a_label_that_is_not_published_has_no_name():
    """As test sets have them: no prediction equals it."""
    vocabulary = LabelVocabulary(LABELS)
    features = {
        "inputs": seqio.Feature(vocabulary),
        "classes": seqio.Feature(vocabulary, add_eos=False),
    }
    told = told_of(features)
    assert told.target({"classes": np.array([-1])}, vocabulary) == "<unk>"
    assert vocabulary.encode("mild") == [1] and vocabulary.encode("warm") == [-1]
    assert vocabulary != seqio.PassThroughVocabulary(3)
    assert told_of({"inputs": features["inputs"], "targets": features["inputs"]}) is None
