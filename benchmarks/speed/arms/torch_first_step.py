"""A first training step of transformers, as short as its script can be.

python torch_first_step.py DIRECTORY MODE BATCH INPUTS TARGETS THREADS
"""

import sys

import torch
import transformers
from transformers.optimization import Adafactor

directory, mode = sys.argv[1:3]
batch, inputs, targets, threads = map(int, sys.argv[3:])
torch.set_num_threads(threads)
attention = "eager" if mode == "eager" else "sdpa"
model = transformers.T5ForConditionalGeneration.from_pretrained(
    directory, attn_implementation=attention
).train()
forward = torch.compile(model) if mode == "compile" else model
optimizer = Adafactor(model.parameters(), lr=0.001, relative_step=False)
tokens, labels = (torch.randint(3, 1000, (batch, length)) for length in (inputs, targets))
print("ready", flush=True)
loss = forward(input_ids=tokens, labels=labels, use_cache=False).loss
loss.backward()
optimizer.step()
print(f"step 1, loss {loss.item():.3f}", flush=True)
