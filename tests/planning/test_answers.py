"""An inference job is planned as what it does with each batch."""

import json
import pathlib

import jax
import pytest

from t5x_lite import cli
from t5x_lite.checkpoints import huggingface
from t5x_lite.config import resolve
from t5x_lite.inference.config import InferConfig
from t5x_lite.planning import answers
from t5x_lite.planning.answers import answers_of
from t5x_lite.planning.programs import Kind, lower, make_states
from t5x_lite.planning.topologies import find

CHECKPOINT = pathlib.Path(__file__).parents[1] / "references" / "huggingface" / "t5_v1_1"
INFERENCE = {
    "CHECKPOINT_PATH": "'nowhere'",
    "INFER_OUTPUT_DIR": "'nowhere'",
    "INPUT_FILE": "'nowhere.txt'",
    "INPUTS_LENGTH": 16,
    "BATCH_SIZE": 16,
    "MAX_DECODE_LENGTH": 4,
    "NUM_PARTITIONS": 2,
}
OF_A_TASK = {
    "INPUT_FILE": None,
    "INPUTS_LENGTH": None,
    "MIXTURE_OR_TASK_NAME": "'not_registered'",
    "TASK_FEATURE_LENGTHS": "{'inputs': 16, 'targets': 8}",
}


@pytest.fixture(scope="session")
def model_words(words):
    """The model of the training job of other tests, without the rest of that job."""
    sizes = ("VOCAB_SIZE", "EMBED_DIM", "MLP_DIM", "NUM_", "HEAD_DIM")
    starts = ("--gin_file=models/", *(f"--gin.{name}" for name in sizes))
    return [word for word in words if word.startswith(starts)]


@pytest.fixture(scope="session")
def infer_words(model_words):
    """(*gin files, **macros) -> an inference job as words, of a file unless they say otherwise."""

    def make(*gin_files, model=True, recipe="infer_file", **macros):
        given = {name: val for name, val in (INFERENCE | macros).items() if val is not None}
        return [
            *(model_words if model else []),
            *(f"--gin_file={each}" for each in (f"recipes/{recipe}.gin", *gin_files)),
            *(f"--gin.{name}={value}" for name, value in given.items()),
        ]

    return make


@pytest.fixture(scope="session")
def answers_to(infer_words):
    """The same, as `Answers`."""

    def make(*gin_files, **macros):
        words = infer_words(*gin_files, **macros)
        files = [word.partition("=")[2] for word in words if word.startswith("--gin_file")]
        flags = [("--gin", w.removeprefix("--gin.")) for w in words if w.startswith("--gin.")]
        return answers_of(resolve(InferConfig, files, overrides=flags).config)

    return make


def text_of(job):
    return answers.lower(job, answers.make_engine(job, find("cpu:8"))).lowered.as_text()


@pytest.mark.parametrize(("recipe", "macros"), [("infer_file", {}), ("infer", OF_A_TASK)])
def test_a_job_answers_as_a_training_job_of_its_sizes_does(recipe, macros, answers_to, make_job):
    """One program, whether a batch is of a file, of a task or of what is evaluated in training."""
    job = make_job(NUM_PARTITIONS=2)
    expected = lower(job, make_states(job, find("cpu:8")), Kind.DECODE).lowered.as_text()
    assert text_of(answers_to(recipe=recipe, **macros)) == expected


def test_its_own_sizes_and_decoder_count(answers_to):
    """Each of them makes another program."""
    jobs = [
        answers_to(),
        answers_to("decoding/beam4.gin"),
        answers_to("decoding/sample.gin"),
        answers_to(MAX_DECODE_LENGTH=5),
        answers_to(BATCH_SIZE=24),
        answers_to(INPUTS_LENGTH=8),
        answers_to(NUM_PARTITIONS=1),
        answers_to(ENSEMBLE_PATHS="('nowhere', 'nowhere')"),
    ]
    assert len({text_of(job) for job in jobs}) == len(jobs)


def test_rounded_weights_are_planned_as_bytes(answers_to):
    """The feed-forward `wo` and the head stay float32."""
    found = {}
    for name, macros in {"whole": {}, "rounded": {"WEIGHTS": "'int8'"}}.items():
        engine = answers.make_engine(answers_to(**macros), find("cpu:8"))
        found[name] = [each.dtype.name for each in jax.tree.leaves(engine.parameters)]
    assert set(found["whole"]) == {"float32"}
    assert set(found["rounded"]) == {"float32", "int8"}


def test_the_command_takes_an_inference_job(infer_words, tmp_path):
    """No checkpoint is there; each member has its parameters and its FLOPs, and writes nothing."""
    found = {}
    for name, macros in {"one": {}, "two": {"ENSEMBLE_PATHS": "('nowhere',)"}}.items():
        file = tmp_path / name
        words = infer_words("decoding/beam4.gin", **macros)
        assert cli.main(["plan", *words, "--topology=cpu:8", f"--json={file}"]) == 0
        found[name] = json.loads(file.read_text())
    one, two = found["one"], found["two"]
    assert one["program"] == "decode" and one["mesh"] == {"data": 4, "model": 2}
    assert one["batch"] == {"inputs": [16, 16], "outputs": [16, 4]}
    for name in ("params_bytes", "model_flops"):
        assert two[name] == 2 * one[name] > 0
    assert one["optimizer_bytes"] == one["checkpoint_bytes"] == 0 and one["days"] is None


def test_the_model_is_that_of_the_checkpoint_unless_it_is_said(answers_to):
    """Whose parameters are not read."""
    job = answers_to(model=False, CHECKPOINT_PATH=f"'{CHECKPOINT}'")
    assert job.models.members == (huggingface.read_config(CHECKPOINT),)


@pytest.mark.parametrize(
    ("flags", "macros", "said"),
    [
        (["--advise"], {}, "--advise with the gin file of an inference job"),
        (["--program=train"], {}, "--program=train with the gin file of an inference job"),
        (["--program=all"], {}, "--program=all with the gin file of an inference job"),
        ([], {"MODE": "score"}, "mode='score'"),
        ([], {"INPUTS_LENGTH": None}, "--gin.INPUTS_LENGTH=512"),
        ([], {"NUM_PARTITIONS": 3}, "on cpu:8, 8 devices: num_partitions=3"),
        ([], {"model": False}, "--gin_file=models/t5_1_1/base.gin"),
    ],
    ids=str,
)
def test_what_an_inference_job_has_not_is_said_in_one_line(
    flags, macros, said, infer_words, capsys
):
    assert cli.main(["plan", *infer_words(**macros), "--topology=cpu:8", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error.splitlines()[-1]
