"""Texts told by an encoder of transformers and by ours that reads its directory, live."""

import json
import shutil

import numpy as np
import pytest

import t5x_lite

pytestmark = [
    pytest.mark.parity,
    pytest.mark.test_data,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASON = "is not installed: `make parity` installs the extra 'parity'"
torch = pytest.importorskip("torch", reason=f"torch {REASON}")
transformers = pytest.importorskip("transformers", reason=f"transformers {REASON}")

TEXTS = ["The cat sat on the mat.", "Paris", "It is a long way to walk, and nobody knows why."]
PAIRS = [("Is it far?", "Two miles."), ("no", "It was a small house with a red door."), ("", "x")]
LABELS = {0: "far", 1: "near", 2: "nobody knows"}


def word_piece(folder, data):
    shutil.copy(data / "vocab" / "bert_uncased_vocab.txt", folder / "vocab.txt")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))


def sentencepiece(folder, data):
    import sentencepiece

    sentencepiece.SentencePieceTrainer.Train(
        input=str(data / "text" / "wikitext-2" / "valid.txt"),
        input_sentence_size=1_000,
        model_prefix=str(folder / "spiece"),
        vocab_size=800,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        minloglevel=2,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
    )


# The vocabulary of a family, and what else its models need to be told.
FAMILIES = {
    "Bert": (word_piece, {}),
    "Albert": (sentencepiece, {"vocab_size": 800, "embedding_size": 12}),
}


@pytest.fixture(scope="module", params=FAMILIES)
def written(request, tmp_path_factory, test_data_dir):
    """A class of transformers -> its model and tokenizer, and the directory that they wrote."""
    family = request.param
    write_vocabulary, own = FAMILIES[family]

    def write(ending, **fields):
        folder = tmp_path_factory.mktemp(ending)
        write_vocabulary(folder, test_data_dir)
        tokenizer = getattr(transformers, f"{family}Tokenizer").from_pretrained(folder)
        torch.manual_seed(0)
        config = getattr(transformers, f"{family}Config")(
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=48,
            initializer_range=0.3,
            **own,
            **fields,
        )
        model = getattr(transformers, f"{family}{ending}")(config).eval()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return model, tokenizer, folder

    return write


def test_vectors_are_theirs(written):
    """A row for each token, the tokens around a text included, and one of all."""
    model, tokenizer, folder = written("Model")
    ours = t5x_lite.load(folder, batch_size=2)
    with torch.no_grad():
        told = [model(**tokenizer(text, return_tensors="pt")) for text in TEXTS]
    for found, their in zip(ours.encode(TEXTS, pooling=None), told, strict=True):
        np.testing.assert_allclose(found, their.last_hidden_state[0], rtol=1e-4, atol=1e-5)
    for pooling, row in {
        "mean": lambda their: their.last_hidden_state[0].mean(0),
        "first": lambda their: their.last_hidden_state[0, 0],
        "pooler": lambda their: their.pooler_output[0],
    }.items():
        found, expected = ours.encode(TEXTS, pooling=pooling), np.stack([*map(row, told)])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_masks_are_filled_as_theirs(written):
    """The same tokens in the same order, as likely, at each of several masks."""
    model, tokenizer, folder = written("ForMaskedLM")
    text = "The [MASK] sat on the[MASK], said Paris."
    given = tokenizer(text, return_tensors="pt")
    places = (given["input_ids"][0] == tokenizer.mask_token_id).nonzero()[:, 0]
    with torch.no_grad():
        probabilities = model(**given).logits[0, places].softmax(-1)
    for found, expected in zip(t5x_lite.load(folder).fill(text, k=3), probabilities, strict=True):
        values, ids = expected.topk(3)
        assert [each.id for each in found] == ids.tolist()
        np.testing.assert_allclose([each.probability for each in found], values, rtol=1e-4)
        assert [each.text for each in found] == [tokenizer.decode([i]).strip() for i in ids]


@pytest.mark.parametrize("inputs", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_classes_are_theirs(written, inputs):
    """With the names that config.json has; the second of a pair is of the second type."""
    model, tokenizer, folder = written("ForSequenceClassification", id2label=LABELS, num_labels=3)
    found = t5x_lite.load(folder, batch_size=2).classify(inputs)
    for each, told in zip(inputs, found, strict=True):
        texts = [each] if isinstance(each, str) else list(each)
        with torch.no_grad():
            # ALBERT's tokenizer of transformers 5 gives no types unless it is asked for them.
            given = tokenizer(*texts, return_tensors="pt", return_token_type_ids=True)
            logits = model(**given).logits[0]
        expected = logits.softmax(-1)
        assert list(told.probabilities) == list(LABELS.values())
        np.testing.assert_allclose([*told.probabilities.values()], expected, rtol=1e-4, atol=1e-6)
        assert told.label == LABELS[int(expected.argmax())]
