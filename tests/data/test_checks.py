"""A wrong name, length or vocabulary is one readable sentence, before anything is read."""

import dataclasses
from types import MappingProxyType

import pytest
import sentencepiece
import seqio

from t5x_lite.data import checks
from t5x_lite.data.config import DatasetConfig
from t5x_lite.features.config import PromptConfig, SpecialTokens
from t5x_lite.features.layouts import Layout, ModelFeatures

T5 = ModelFeatures(Layout.ENCODER_DECODER)

CONFIG = DatasetConfig(
    mixture_or_task_name="numbers",
    task_feature_lengths={"inputs": 6, "targets": 5},
    batch_size=8,
)


def test_a_sound_job_passes():
    """1,000 ids fit into 1,024 rows."""
    checks.check_dataset(CONFIG, T5, vocab_size=1024)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"mixture_or_task_name": "number"}, "named 'number'. Did you mean numbers.*module_import"),
        ({"mixture_or_task_name": "qqq"}, "named 'qqq'. Registered are .*module_import"),
        ({"split": "trian"}, "no split 'trian': did you mean 'train'"),
        ({"task_feature_lengths": None}, "No task feature lengths.*TASK_FEATURE_LENGTHS="),
        ({"task_feature_lengths": {"inputs": 6}}, "do not match numbers.*inputs, targets"),
        ({"task_feature_lengths": {"inputs": 6, "targets": 0}}, "'targets': 0; needed is at least"),
        ({"batch_size": 7, "num_data_shards": 2}, "6 and 8"),
    ],
)
def test_each_mistake_is_named_with_what_would_do(change, message):
    """The nearest name or the next size that fits, and the flag."""
    with pytest.raises(ValueError, match=message):
        config = dataclasses.replace(CONFIG, **change)
        checks.check_dataset(config, T5, vocab_size=1024)


def test_a_vocabulary_larger_than_the_model_shows_both():
    """Ids without an embedding would be clipped silently by JAX."""
    with pytest.raises(ValueError, match="1000 ids.*vocab_size is 999.*VOCAB_SIZE=1024"):
        checks.check_dataset(CONFIG, T5, vocab_size=999)


class Numbered(seqio.PassThroughVocabulary):
    """Its special ids are where it says."""

    def __init__(self, pad, eos):
        super().__init__(size=1000, eos_id=eos)
        self._pad = pad

    @property
    def pad_id(self):
        return self._pad


@pytest.fixture
def check_ids():
    """The check of a task with these vocabularies, for training or for what is decoded."""

    def check(inputs, targets, *, is_decoded, features=T5, others=MappingProxyType({})):
        output_features = {"inputs": seqio.Feature(inputs), "targets": seqio.Feature(targets)}
        output_features |= others
        source = seqio.FunctionDataSource(lambda split, shuffle_files: None, splits=["train"])
        seqio.TaskRegistry.add(
            "special_ids", source=source, preprocessors=[], output_features=output_features
        )
        config = dataclasses.replace(
            CONFIG,
            mixture_or_task_name="special_ids",
            task_feature_lengths=dict.fromkeys(output_features, 6),
        )
        checks.check_dataset(config, features, vocab_size=1024, is_decoded=is_decoded)

    yield check
    seqio.TaskRegistry.remove("special_ids")


@pytest.mark.parametrize("is_decoded", [False, True])
@pytest.mark.parametrize(
    ("feature", "pad", "eos"), [("targets", 0, 102), ("targets", 5, 1), ("inputs", 5, 1)]
)
def test_other_special_ids_than_t5s_are_refused_of_any_vocabulary(
    check_ids, feature, pad, eos, is_decoded
):
    """Padding would be read as text, or no answer would end."""
    usual, other = Numbered(0, 1), Numbered(pad, eos)
    features = (other, usual) if feature == "inputs" else (usual, other)
    said = rf"{feature} \(Numbered\) has pad_id={pad}, eos_id={eos}; needed are 0 and 1"
    with pytest.raises(ValueError, match=said):
        check_ids(*features, is_decoded=is_decoded)


def test_inputs_may_end_as_they_like_and_targets_have_no_end_where_nothing_is_decoded(check_ids):
    """An encoder looks for no end; a model of endless text has none."""
    check_ids(Numbered(0, 102), Numbered(0, None), is_decoded=False)
    seqio.TaskRegistry.remove("special_ids")
    check_ids(Numbered(0, 102), Numbered(0, 1), is_decoded=True)
    seqio.TaskRegistry.remove("special_ids")
    with pytest.raises(ValueError, match="eos_id=None; needed are 0 and 1"):
        check_ids(Numbered(0, 1), Numbered(0, None), is_decoded=True)


def test_a_sentencepiece_model_is_asked_itself(check_ids, tmp_path):
    """SeqIO says that padding is 0 whatever the model says; here that is the unknown piece."""
    words = iter(["a few words of text to learn pieces from"] * 20)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=words, model_prefix=str(tmp_path / "usual"), vocab_size=20, minloglevel=2
    )
    usual = seqio.SentencePieceVocabulary(str(tmp_path / "usual.model"))
    with pytest.raises(ValueError, match="pad_id=-1, eos_id=2, unk_id=0; needed are 0, 1, 2"):
        check_ids(usual, usual, is_decoded=False)


def test_the_model_s_own_special_ids_are_needed(check_ids):
    """A model that ends texts with 50 as well as starts with it reads no vocabulary of T5's."""
    features = ModelFeatures(Layout.LM, SpecialTokens(start=50, end=50, unknown=None))
    check_ids(Numbered(0, 50), Numbered(0, 50), is_decoded=True, features=features)
    seqio.TaskRegistry.remove("special_ids")
    with pytest.raises(ValueError, match="eos_id=1; needed are 0 and 50.*VOCABULARY"):
        check_ids(Numbered(0, 1), Numbered(0, 1), is_decoded=False, features=features)


@pytest.mark.parametrize("layout", list(Layout))
def test_features_that_no_model_reads_are_named(check_ids, layout):
    """They would be left out in silence."""
    hints = {"hints": seqio.Feature(Numbered(0, 1))}
    with pytest.raises(ValueError, match=f"inputs and t.* .{layout.value}.: leave hints out"):
        check_ids(
            Numbered(0, 1),
            Numbered(0, 1),
            is_decoded=True,
            features=ModelFeatures(layout),
            others=hints,
        )


@pytest.mark.parametrize("layout", [Layout.ENCODER_DECODER, Layout.PREFIX_LM])
def test_a_task_without_inputs_feeds_only_an_lm(layout):
    """There is nothing an encoder, or a prefix, could be."""
    checks.check_lengths("lines", {"targets": 5}, Layout.LM)
    with pytest.raises(ValueError, match="lines has no inputs"):
        checks.check_lengths("lines", {"targets": 5}, layout)


def test_a_slice_of_a_split_is_its_split():
    """TFDS reads `train[:10%]`."""
    checks.check_split("numbers", "train[:10%]")


def test_rows_longer_than_the_learned_positions_are_refused():
    """Inputs and targets stand in one row of 11."""
    features = ModelFeatures(Layout.PREFIX_LM, max_length=11)
    checks.check_positions(CONFIG, features)
    with pytest.raises(ValueError, match="rows of 11 tokens, but the model learns 10 positions"):
        checks.check_positions(CONFIG, dataclasses.replace(features, max_length=10))


def test_inputs_end_as_the_model_is_asked():
    """The task ends its inputs with an end token, so a model that is asked without is refused."""
    asked = ModelFeatures(Layout.LM, prompts=PromptConfig(end_token=False))
    with pytest.raises(ValueError, match="inputs of numbers end .*PromptConfig.end_token=True"):
        checks.check_prompts("numbers", asked)
    checks.check_prompts("numbers", ModelFeatures(Layout.LM))
