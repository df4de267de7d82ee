"""Makes tests/references/huggingface: tiny models of transformers, and the logits it gives them.

Run it where torch and transformers are installed (extra `parity`), only when a family is added:

    python tests/references/make_huggingface_references.py

Every weight is redrawn, norms and position biases included: with transformers' own initialization
norms are ones and biases small, and a reader that confuses them would go unnoticed. Queries keep
T5's scale: drawn larger, attention is so sharp that transformers in float32 is itself 2e-5 of the
largest logit away from transformers in float64.

What transformers 5.23 is when built in code, which this script has to undo and therefore asserts:
  T5 v1.1, mT5, umT5: the head is tied to the embedding whatever the config says (v1.1 small counts
      60.5 M instead of 77.0 M parameters), so a separate head is put in by hand;
  umT5: logits are scaled by d_model ** -0.5 although Google trained it unscaled (transformers 4 did
      not scale), so the switch that scales is turned off.
"""

import pathlib
import shutil

import numpy as np
import torch
import transformers

FOLDER = pathlib.Path(__file__).parent / "huggingface"

# Nothing here is equal by chance: d_model is not heads * d_kv, and the stacks differ in depth.
MODELS = {
    "t5_v1_0": {
        "family": "T5",
        "separate_head": False,
        "feed_forward_proj": "relu",
        "vocab_size": 48,
        "d_model": 16,
        "num_heads": 3,
        "d_kv": 4,
        "d_ff": 20,
        "num_layers": 2,
        "num_decoder_layers": 3,
    },
    "t5_v1_1": {
        "family": "T5",
        "separate_head": True,
        "feed_forward_proj": "gated-gelu",
        "vocab_size": 48,
        "d_model": 12,
        "num_heads": 4,
        "d_kv": 5,
        "d_ff": 24,
        "num_layers": 3,
        "num_decoder_layers": 2,
    },
    "byt5": {
        "family": "T5",
        "separate_head": True,
        "feed_forward_proj": "gated-gelu",
        "vocab_size": 384,
        "d_model": 12,
        "num_heads": 2,
        "d_kv": 4,
        "d_ff": 28,
        "num_layers": 3,
        "num_decoder_layers": 1,
    },
    "mt5": {
        "family": "MT5",
        "separate_head": True,
        "feed_forward_proj": "gated-gelu",
        "vocab_size": 72,
        "d_model": 16,
        "num_heads": 3,
        "d_kv": 6,
        "d_ff": 20,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "relative_attention_num_buckets": 16,
        "relative_attention_max_distance": 20,
    },
    "umt5": {
        "family": "UMT5",
        "separate_head": True,
        "feed_forward_proj": "gated-gelu",
        "vocab_size": 48,
        "d_model": 16,
        "num_heads": 2,
        "d_kv": 6,
        "d_ff": 20,
        "num_layers": 2,
        "num_decoder_layers": 3,
    },
}
# (rows, encoder length, decoder length); the last one passes distance 128, where buckets end.
SHAPES = ((2, 7, 5), (3, 12, 9), (1, 150, 20))


def make_model(
    *, family: str, separate_head: bool, seed: int, **dimensions
) -> transformers.PreTrainedModel:
    """A model with random weights whose head is tied, or not, as `separate_head` says."""
    config = getattr(transformers, f"{family}Config")(
        **dimensions, tie_word_embeddings=not separate_head, decoder_start_token_id=0
    )
    model = getattr(transformers, f"{family}ForConditionalGeneration")(config).eval()
    if separate_head:
        tied_count = model.num_parameters()
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
        head_size = config.vocab_size * config.d_model
        assert model.num_parameters() == tied_count + head_size, "transformers no longer ties it"
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if "layer_norm" in name:
                drawn = 1 + 0.3 * drawn
            elif "shared" not in name and "relative_attention_bias" not in name:
                drawn *= parameter.shape[1] ** -0.5
            if name.endswith("Attention.q.weight"):
                drawn *= config.d_kv**-0.5
            parameter.copy_(drawn)
    return model


def make_inputs(shape: tuple[int, int, int], vocab_size: int, seed: int) -> dict[str, np.ndarray]:
    """Token ids padded on the right, but the encoder's last row on the left."""
    rows, encoder_length, decoder_length = shape
    generator = np.random.default_rng(seed)
    inputs = generator.integers(2, vocab_size, (rows, encoder_length), dtype=np.int32)
    targets = generator.integers(2, vocab_size, (rows, decoder_length), dtype=np.int32)
    for row in range(1, rows):
        padded = row % 4 / 5
        pad = int(padded * encoder_length)
        inputs[row, :pad] = 0
        if row < rows - 1:
            inputs[row] = np.roll(inputs[row], -pad)
        targets[row, decoder_length - int(padded * decoder_length) :] = 0
    decoder_inputs = np.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    return {
        "encoder_input_tokens": inputs,
        "decoder_input_tokens": decoder_inputs,
        "decoder_target_tokens": targets,
    }


def logits_of(model: transformers.PreTrainedModel, batch: dict[str, np.ndarray]) -> np.ndarray:
    """What transformers answers; padding is masked, in the decoder too."""
    if model.config.model_type == "umt5" and model.lm_head.weight is not model.shared.weight:
        model.config.tie_word_embeddings = False  # the switch that scales
    tensors = {name: torch.from_numpy(value).long() for name, value in batch.items()}
    with torch.no_grad():
        return model(
            input_ids=tensors["encoder_input_tokens"],
            attention_mask=(tensors["encoder_input_tokens"] > 0).long(),
            decoder_input_ids=tensors["decoder_input_tokens"],
            decoder_attention_mask=(tensors["decoder_target_tokens"] > 0).long(),
        ).logits.numpy()


def check_that_sizes_are_known() -> None:
    """Our separate head makes transformers' v1.1 small the published one."""
    with torch.device("meta"):
        config = transformers.T5Config(
            d_model=512, d_ff=1024, num_layers=8, num_heads=6, feed_forward_proj="gated-gelu"
        )
        model = transformers.T5ForConditionalGeneration(config)
        assert model.num_parameters() == 60_511_616
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
        assert model.num_parameters() == 76_961_152


def main() -> None:
    check_that_sizes_are_known()
    for seed, (name, description) in enumerate(MODELS.items()):
        folder = FOLDER / name
        shutil.rmtree(folder, ignore_errors=True)
        model = make_model(**description, seed=seed)
        model.save_pretrained(folder)  # before logits_of, which mends a switch in umT5's config
        (folder / "generation_config.json").unlink()
        stored = {"num_parameters": np.int64(model.num_parameters())}
        for index, shape in enumerate(SHAPES):
            batch = make_inputs(shape, description["vocab_size"], seed=index)
            stored |= {f"{index}/{key}": value for key, value in batch.items()}
            stored[f"{index}/logits"] = logits_of(model, batch)
        np.savez_compressed(folder / "logits.npz", **stored)


if __name__ == "__main__":
    main()
