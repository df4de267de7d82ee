"""Makes tests/references/huggingface/gpt2: a tiny GPT-2 of transformers, its logits and its text.

Run it where torch and transformers are installed (extra `parity`):

    python tests/references/make_gpt2_references.py

Every weight is redrawn, norms and biases included: with transformers' own initialization norms are
ones and biases zeros, and a reader that confuses them would go unnoticed. Vectors of tokens are
small beside what layers add to them: else a tied head would only repeat what it reads.
"""

import pathlib
import shutil

import numpy as np
import torch
import transformers

FOLDER = pathlib.Path(__file__).parent / "huggingface" / "gpt2"

# Nothing here is equal by chance, and the inner width is not 4 * n_embd.
ODD = {
    "vocab_size": 61,
    "n_embd": 28,
    "n_head": 7,
    "n_layer": 3,
    "n_inner": 52,
    "n_positions": 40,
    "bos_token_id": 60,
    "eos_token_id": 60,
}
# (rows, length); the last one uses every position.
SHAPES = ((1, 1), (4, 17), (2, 40))
PROMPTS = (1, 2, 5, 5, 9, 13)  # lengths
NUM_NEW = 20


def make_model(*, seed: int, **dimensions) -> transformers.GPT2LMHeadModel:
    """A model with random weights."""
    config = transformers.GPT2Config(**dimensions)
    model = transformers.GPT2LMHeadModel(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if "ln_" in name and name.endswith("weight"):
                drawn = 1 + 0.3 * drawn
            elif name.endswith("bias"):
                drawn *= 0.3
            elif "c_" in name:  # [in, out], not as torch's Linear
                drawn *= 2 * parameter.shape[0] ** -0.5
            elif "wte" in name:
                drawn *= 0.3
            parameter.copy_(drawn)
    return model


def make_inputs(shape: tuple[int, int], vocab_size: int, seed: int) -> np.ndarray:
    """Ids of text, 0 included, which is a piece like others."""
    return np.random.default_rng(seed).integers(0, vocab_size - 1, shape, dtype=np.int32)


def logits_of(model: transformers.GPT2LMHeadModel, tokens: np.ndarray) -> np.ndarray:
    """What transformers answers behind each token."""
    with torch.no_grad():
        return model(input_ids=torch.from_numpy(tokens).long()).logits.numpy()


def continuation_of(
    model: transformers.GPT2LMHeadModel, prompt: np.ndarray, num_new: int
) -> np.ndarray:
    """What it writes greedily behind a prompt, end token included, filled up with -1."""
    tokens = torch.from_numpy(prompt[None]).long()
    with torch.no_grad():
        written = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=num_new,
            do_sample=False,
            pad_token_id=model.config.eos_token_id,
        )[0, len(prompt) :].numpy()
    return np.pad(written, (0, num_new - len(written)), constant_values=-1).astype(np.int32)


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    model = make_model(**ODD, seed=2)  # two of its texts end
    model.save_pretrained(FOLDER)
    (FOLDER / "generation_config.json").unlink()
    stored = {"num_parameters": np.int64(model.num_parameters())}
    for index, shape in enumerate(SHAPES):
        tokens = make_inputs(shape, ODD["vocab_size"], seed=index)
        stored |= {f"{index}/tokens": tokens, f"{index}/logits": logits_of(model, tokens)}
    for index, length in enumerate(PROMPTS):
        prompt = make_inputs((length,), ODD["vocab_size"], seed=index)
        stored[f"prompt/{index}"] = prompt
        stored[f"continuation/{index}"] = continuation_of(model, prompt, NUM_NEW)
    np.savez_compressed(FOLDER / "logits.npz", **stored)


if __name__ == "__main__":
    main()
