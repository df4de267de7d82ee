"""trim-vocabulary: what is written answers its corpus as before, and is a model like any other."""

import dataclasses
import re

import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli
from t5x_lite import config as gin_config
from t5x_lite.checkpoints import huggingface, lookup, pretrained, sparse_tensors
from t5x_lite.checkpoints.stored import stored
from t5x_lite.exporting import trim_vocabulary
from t5x_lite.exporting.folder import write_checkpoint
from t5x_lite.exporting.source import Source
from t5x_lite.model.config import ModelConfig
from t5x_lite.testing import tiny_model
from t5x_lite.text.byte_pair_training import train_byte_pair
from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.tokenizer import load_tokenizer, named_tokenizer
from t5x_lite.text.training import train_sentencepiece
from t5x_lite.text.trimming import Trimmed
from t5x_lite.text.word_piece_training import train_word_piece

pytestmark = pytest.mark.usefixtures("two_devices")

SYLLABLES = "ka lo mi tu ren sor vel dax pon gri".split()
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES]
SENTENCES = [" ".join(WORDS[(i * k) % 97] for k in range(1, 7)) for i in range(1, 200)]
QUIET = {"report_progress": lambda _: None}
BERT = {"EMBED_DIM": 64, "MLP_DIM": 16, "NUM_HEADS": 1, "NUM_ENCODER_LAYERS": 1, "MAX_LENGTH": 64}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabularies")
    train_sentencepiece({"": SENTENCES}, folder / "own.model", vocab_size=118, **QUIET)
    train_byte_pair({"": SENTENCES}, folder / "bpe", vocab_size=350, **QUIET)
    train_word_piece({"": SENTENCES}, folder / "words", vocab_size=150, **QUIET)
    found = (folder / "own.model", folder / "bpe", folder / "words")
    return dict(zip(("sentencepiece", "bpe", "wordpiece"), map(named_tokenizer, found)))


@pytest.fixture(scope="module")
def directory_of(tmp_path_factory, tokenizers, draw, gpt2_of):
    """kind -> a model with such a vocabulary: a T5 as Hugging Face's, others as ours."""

    def bert(vocab_size):
        macros = [("", f"{k}={v}") for k, v in (BERT | {"VOCAB_SIZE": vocab_size}).items()]
        return gin_config.resolve(ModelConfig, ["models/bert.gin"], overrides=macros).config

    models = {
        "sentencepiece": lambda size: tiny_model(size),
        "bpe": lambda size: gpt2_of(VOCAB_SIZE=size),
        "wordpiece": bert,
    }

    def make(kind):
        folder, tokenizer = tmp_path_factory.mktemp(kind), tokenizers[kind]
        model = dataclasses.replace(models[kind](tokenizer.num_ids), special=tokenizer.special)
        if kind == "sentencepiece":
            huggingface.save(folder, model, draw(model), tokenizer)
        else:
            write_checkpoint(folder, Source(model, draw(model), 0, tokenizer, None))
        return folder

    found = {kind: make(kind) for kind in models}
    return found.__getitem__


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    rows = [f"{a}\t{b}\n" for a, b in zip(SENTENCES[:12], SENTENCES[3:15])]
    path.write_text("source\ttarget\n" + "".join(rows))
    return path


def words(model, output, *more):
    return ["trim-vocabulary", str(model), f"--output={output}", *map(str, more)]


def pair_flags(pairs, *more):
    return (f"--data={pairs}", "--inputs=source", "--targets=target", "--prefix=say:", *more)


def test_the_corpus_is_answered_token_for_token(directory_of, pairs, tmp_path, capsys):
    """Greedily, of random parameters whose answers are any pieces: those are kept as well."""
    out, full = tmp_path / "out", directory_of("sentencepiece")
    assert cli.main(words(full, out, *pair_flags(pairs))) == 0
    said = capsys.readouterr().out
    assert "cut into the same pieces: 24 of 24 texts (100 %)" in said
    assert "answered with the same pieces: 12 of the first 12 inputs" in said
    whole, smaller = t5x_lite.load(full), t5x_lite.load(out)
    inputs = [f"say: {each}" for each in SENTENCES[:12]]
    before, after = (each.outputs(inputs) for each in (whole, smaller))
    for one, other in zip(before, after):
        names = [
            [m.tokenizer.name_of(i) for i in o[0].ids] for m, o in ((whole, one), (smaller, other))
        ]
        assert names[0] == names[1]
        assert one[0].text == other[0].text
    sizes = smaller.tokenizer.num_ids, whole.tokenizer.num_ids
    assert sizes[0] < sizes[1]
    assert re.search(rf"pieces +{sizes[1]} +{sizes[0]}\n", said)


def test_what_is_written_is_a_model_like_any_other(directory_of, pairs, tmp_path):
    """It is exported, and read again with the same answers; only a new folder is written."""
    out, theirs = tmp_path / "out", tmp_path / "theirs"
    flags = pair_flags(pairs, "--answers=0", "--multiple_of=80")
    given = words(directory_of("sentencepiece"), out, *flags)
    assert cli.main(given) == 0
    assert cli.main(["export", str(out), "--format=huggingface", f"--output={theirs}"]) == 0
    assert huggingface.read_config(theirs).vocab_size == 160
    one, other = (t5x_lite.load(path) for path in (out, theirs))
    inputs, targets = SENTENCES[:4], SENTENCES[3:7]
    np.testing.assert_array_equal(one.score(inputs, targets), other.score(inputs, targets))
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert cli.main(given) == 2
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_what_is_stored_without_its_zeros_stays_so(draw, tokenizers, pairs, tmp_path):
    """It would be larger than before on disk; what is stored whole stays whole."""
    tokenizer = tokenizers["sentencepiece"]
    model = dataclasses.replace(tiny_model(tokenizer.num_ids), special=tokenizer.special)
    parameters = draw(model)
    for layers in (parameters["encoder"]["layers"], parameters["decoder"]["layers"]):
        layers["mlp"]["wi"]["kernel"][:, 1:] = 0
    for sparse in (True, False):
        before, after = tmp_path / f"before_{sparse}", tmp_path / f"after_{sparse}"
        write_checkpoint(before, Source(model, parameters, 0, tokenizer, None), sparse=sparse)
        assert cli.main(words(before, after, *pair_flags(pairs, "--answers=0"))) == 0
        assert bool(sparse_tensors.shapes(lookup.find(after))) == sparse
        assert stored(after).num_bytes <= stored(before).num_bytes


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_vectors_of_texts_stay(directory_of, tmp_path, kind):
    """Of models without an encoder or without a decoder, whose special tokens have other ids."""
    out, full, corpus = tmp_path / "out", directory_of(kind), tmp_path / "corpus.txt"
    corpus.write_text("\n".join(SENTENCES[:10]))
    assert cli.main(words(full, out, f"--data={corpus}", "--multiple_of=8")) == 0
    whole, smaller = t5x_lite.load(full), t5x_lite.load(out)
    assert smaller.tokenizer.num_ids < whole.tokenizer.num_ids
    model = pretrained.describe(out).model
    assert model.special == dataclasses.replace(smaller.tokenizer.special, mask=model.special.mask)
    vectors = [each.encode(SENTENCES[:10]) for each in (whole, smaller)]
    np.testing.assert_allclose(*vectors, rtol=1e-5, atol=1e-5)


def test_rare_pieces_go_if_asked_and_it_is_said(directory_of, pairs, tmp_path, capsys):
    full, flags = directory_of("sentencepiece"), pair_flags(pairs, "--answers=0")
    assert cli.main(words(full, tmp_path / "all", *flags)) == 0
    assert cli.main(words(full, tmp_path / "few", *flags, "--min_count=4")) == 0
    shares = re.findall(r"same pieces: \d+ of 24 texts \(([\d.]+) %\)", capsys.readouterr().out)
    assert shares[0] == "100" and float(shares[1]) < 100
    sizes = [
        load_tokenizer(pretrained.describe(tmp_path / n).vocabulary).num_ids for n in ("all", "few")
    ]
    assert sizes[1] < sizes[0]


def test_a_vocabulary_that_cuts_otherwise_is_not_written(
    directory_of, pairs, tmp_path, capsys, monkeypatch
):
    """Whatever is not known of it: here a piece that is needed goes."""

    def careless(tokenizer, used):
        found = trim(tokenizer, sorted(used)[:-20])
        return Trimmed(*found)

    trim = trim_vocabulary.trim
    monkeypatch.setattr(trim_vocabulary, "trim", careless)
    assert (
        cli.main(
            words(
                directory_of("sentencepiece"), tmp_path / "out", *pair_flags(pairs, "--answers=0")
            )
        )
        == 2
    )
    assert "into other pieces, so it is not written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.tsv"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "needs a corpus .*: --data=FILES or --task=NAME"),
        (["--data={tmp}/blank.txt"], "0 texts without a single piece: needed is a corpus"),
        (["--data={tmp}/absent.txt"], "absent.txt"),
        (["--data={tmp}/pairs.tsv", "--inputs=source"], "inputs='source' without targets"),
        (["--data={tmp}/pairs.tsv", "--min_count=0"], "needed is a number from 1"),
        (["--data={tmp}/pairs.tsv", "--field=source", "--vocabulary=bytes"], "has 259 ids"),
    ],
)
def test_a_mistake_is_one_line(directory_of, pairs, tmp_path, capsys, flags, message):
    (tmp_path / "blank.txt").write_text("\n\n")
    flags = [flag.format(tmp=tmp_path) for flag in flags]
    assert cli.main(words(directory_of("sentencepiece"), tmp_path / "out", *flags)) == 2
    said = capsys.readouterr().err
    assert said.startswith("t5x_lite: error: ") and said.count("\n") == 1
    assert re.search(message, said), said
    assert not (tmp_path / "out").exists()


def test_of_a_model_of_bytes_nothing_can_go(draw, pairs, tmp_path, capsys):
    model = tiny_model(384)
    huggingface.save(tmp_path / "byt5", model, draw(model), ByteTokenizer(125))
    assert (
        cli.main(words(tmp_path / "byt5", tmp_path / "out", *pair_flags(pairs, "--answers=0"))) == 2
    )
    assert "no piece to leave out" in capsys.readouterr().err
