"""Encoders by themselves at Hugging Face: what BERT and its kin have in common.

The names of a file's tensors say which heads there are and whether a pooler is, for files with
different heads have one config.json but for `architectures`. A model has what its file has, so that
nothing may be missing or left over but what `Format` knows of.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from t5x_lite.bounds import MAX_LAYERS, MAX_VOCABULARY, MAX_WIDTH
from t5x_lite.checkpoints.formats import fields
from t5x_lite.checkpoints.formats.fields import Values
from t5x_lite.checkpoints.formats.positions import Learned, Positions
from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.model.choices import (
    HeadKind,
    InitScheme,
    LayerSharing,
    NormKind,
    NormPlace,
    Visibility,
)
from t5x_lite.model.config import (
    AttentionConfig,
    BlockConfig,
    HeadConfig,
    InitConfig,
    MLPConfig,
    ModelConfig,
    NormConfig,
    StackConfig,
)

_ACTIVATIONS = {
    "gelu": "gelu_erf",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "relu": "relu",
    "silu": "silu",
}
_WRITTEN = {ours: theirs for theirs, ours in reversed(_ACTIVATIONS.items())}
# The models of transformers, by what is behind the family's name, and the heads that they have.
_CLASSES: Mapping[str, frozenset[HeadKind]] = {
    "Model": frozenset(),
    "ForPreTraining": frozenset({HeadKind.TOKENS, HeadKind.SENTENCE}),
    "ForMaskedLM": frozenset({HeadKind.TOKENS}),
    "ForNextSentencePrediction": frozenset({HeadKind.SENTENCE}),
    "ForSequenceClassification": frozenset({HeadKind.CLASSES}),
    "ForQuestionAnswering": frozenset({HeadKind.SPAN}),
}
SCOPE = (
    "an encoder alone with learned positions, norms behind sub-layers and behind the input, biases "
    "everywhere and heads of attention that fill its width"
)
_TOKENS = {
    "padding": "pad_token_id",
    "start": "bos_token_id",
    "end": "eos_token_id",
    "unknown": "unk_token_id",
}
_SAME_TENSORS = {HeadKind.REGRESSION: HeadKind.CLASSES}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """What is a family's own.

    `fields` are its names of what config.json says (see `_FIELDS`), of which those it has not are
    None, and `defaults` what a file may leave out. `heads` tell of each kind the beginning of its
    tensors' names and the head, whose activation is that of the layers for the kinds `of_layers`.
    `classes` are what its models are called behind its name, `tokens` the fields of special tokens.
    An epsilon may be built in, and what its attention, stacks and models are beside all that.
    """

    prefix: str
    name: str
    heads: tuple[tuple[str, HeadConfig], ...]
    of_layers: Collection[HeadKind] = ()
    special: SpecialTokens
    fields: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    classes: Mapping[str, frozenset[HeadKind]] = dataclasses.field(default_factory=lambda: _CLASSES)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fixed_epsilon: float | None = None
    tokens: Mapping[str, str] = dataclasses.field(default_factory=lambda: _TOKENS)
    positions: Positions = Learned()
    projects_always: bool = False
    attention_bias: bool = True
    of_stack: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"input_norm": True})
    of_model: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def field(self, ours: str) -> str | None:
        """Its name of one of `_FIELDS`."""
        return self.fields.get(ours, _FIELDS[ours])


# Names of BERT, which most have.
_FIELDS: Mapping[str, str | None] = {
    "vocab_size": "vocab_size",
    "embed_dim": "hidden_size",
    "token_dim": None,
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "mlp_dim": "intermediate_size",
    "activation": "hidden_act",
    "token_types": "type_vocab_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "epsilon": "layer_norm_eps",
    "groups": None,
    "head_dim": None,
}
_SIZES = {
    "vocab_size": MAX_VOCABULARY,
    "embed_dim": MAX_WIDTH,
    "num_layers": MAX_LAYERS,
    "num_heads": MAX_WIDTH,
    "mlp_dim": MAX_WIDTH,
    "token_types": MAX_WIDTH,
    "token_dim": MAX_WIDTH,
    "groups": MAX_LAYERS,
    "head_dim": MAX_WIDTH,
}
_OPTIONAL = ("token_types", "token_dim", "groups", "head_dim")
_FIXED = {
    "is_decoder": False,
    "add_cross_attention": False,
    # transformers unties the bias of a head along with its kernel, by version.
    "tie_word_embeddings": True,
}
_STANDARD = {"dropout": 0.1, "epsilon": 1e-12, "activation": "gelu", "token_types": 2}


def read(family: Family, values: Values, tensor_names: Collection[str]) -> ModelConfig:
    """The model that a parsed config.json beside a file with these tensors describes."""
    _check(family, values)
    given = {ours: _given(family, values, ours) for ours in _FIELDS}
    activation = fields.choice(
        {"activation": given["activation"]}, "activation", "gelu", _ACTIVATIONS
    )
    token_dim = given["token_dim"]
    if not family.projects_always and token_dim == given["embed_dim"]:
        token_dim = None
    names = {name.removeprefix(family.prefix) for name in tensor_names}
    return ModelConfig(
        vocab_size=given["vocab_size"],
        embed_dim=given["embed_dim"],
        token_dim=token_dim,
        decoder=None,
        encoder=_stack(family, values, given, activation),
        heads=_heads(family, values, names, activation),
        pooler=any(name.startswith("pooler.") for name in names),
        logits_via_embedding=True,
        scale_logits=False,
        dropout_rate=given["dropout"],
        dropout_shared_along_length=False,
        special=_special(family, values),
        init=InitConfig(
            scheme=InitScheme.NORMAL,
            stddev=fields.positive(values, "initializer_range", 0.02),
            scale_residual=False,
        ),
        **family.of_model,
    )


def _check(family: Family, values: Values) -> None:
    own = {ours: family.field(ours) for ours in _FIELDS}
    needed = [name for ours, name in own.items() if ours in _SIZES and ours not in _OPTIONAL]
    fields.check_present(values, [name for name in needed if name])
    fields.check_sizes(values, {name: _SIZES[o] for o, name in own.items() if o in _SIZES and name})
    rates = [own[name] for name in ("dropout", "attention_dropout")]
    fields.check_rates(values, [name for name in rates if name])
    fields.check_fixed(values, _fixed(family), family.name)
    known = [f"{family.name}{ending}" for ending in family.classes]
    for architecture in values.get("architectures") or ():
        if architecture not in known:
            raise UserError(
                f"config.json has architectures={architecture!r}; needed is one of "
                f"{', '.join(known)}: the heads of others are not read."
            )


def _fixed(family: Family) -> dict[str, Any]:
    """What is built in."""
    return {**_FIXED, **family.positions.fixed, **family.fixed}


def _given(family: Family, values: Values, ours: str) -> Any:
    """What a file says, or leaves out."""
    name = family.field(ours)
    default: Any = (_STANDARD | dict(family.defaults)).get(ours)
    if name is None:
        return {"token_types": 0, "epsilon": family.fixed_epsilon}.get(ours)
    if ours == "epsilon":
        return fields.positive(values, name, default)
    value = values.get(name)
    return default if value is None else value


def _stack(
    family: Family, values: Values, given: Mapping[str, Any], activation: str
) -> StackConfig:
    head_dim, rest = divmod(given["embed_dim"], given["num_heads"])
    if rest or given["head_dim"] not in (None, head_dim):
        given_width = f" and {family.field('head_dim')}={given['head_dim']}"
        raise UserError(
            f"config.json has {family.field('embed_dim')}={given['embed_dim']}, "
            f"{family.field('num_heads')}={given['num_heads']}"
            f"{given_width if given['head_dim'] else ''}; needed is a width that divides over the "
            "heads, which fill it."
        )
    return StackConfig(
        num_layers=given["num_layers"],
        visibility=Visibility.FULL,
        block=BlockConfig(
            attention=AttentionConfig(
                num_heads=given["num_heads"],
                head_dim=head_dim,
                bias=family.attention_bias,
                scale=True,
            ),
            mlp=MLPConfig(mlp_dim=given["mlp_dim"], activations=(activation,), bias=True),
            norm=NormConfig(kind=NormKind.LAYER, epsilon=given["epsilon"], place=NormPlace.POST),
        ),
        positions=family.positions.read(values),
        token_types=given["token_types"],
        layer_sharing=_sharing(family, given),
        **family.of_stack,
    )


def _sharing(family: Family, given: Mapping[str, Any]) -> LayerSharing:
    groups, layers = given["groups"], given["num_layers"]
    if groups is None or (groups == layers and layers > 1):
        return LayerSharing.NONE
    if groups != 1:
        raise UserError(
            f"config.json has {family.field('groups')}={groups} of {layers} layers; needed is 1, "
            "for all layers alike, or one for each of them."
        )
    return LayerSharing.ALL


def _heads(
    family: Family, values: Values, names: Collection[str], activation: str
) -> tuple[HeadConfig, ...]:
    """Those of which there is a tensor."""
    found = []
    for beginning, head in family.heads:
        if any(name.startswith(beginning) for name in names):
            if head.kind in family.of_layers:
                head = dataclasses.replace(head, transform=activation)
            found.append(_told(head, values))
    return tuple(found)


def _told(head: HeadConfig, values: Values) -> HeadConfig:
    """A head of classes with their number; of one alone it is a regression."""
    if head.kind is not HeadKind.CLASSES:
        return head
    labels = _names_of_labels(values)
    count = values.get("num_labels") or len(labels) or 2
    fields.check_sizes({"num_labels": count}, {"num_labels": MAX_VOCABULARY})
    if count == 1:
        return dataclasses.replace(head, kind=HeadKind.REGRESSION)
    if labels == _numbered(count):  # names that nobody gave
        labels = ()
    return dataclasses.replace(head, num_classes=count, labels=labels)


def _names_of_labels(values: Values) -> tuple[str, ...]:
    """In the order of their numbers; empty where the file names none."""
    labels = values.get("id2label") or {}
    numbers = [str(number) for number in range(len(labels))]
    if not isinstance(labels, Mapping) or not all(
        isinstance(labels.get(number), str) for number in numbers
    ):
        raise UserError(
            f"config.json has id2label={str(labels)[:200]}; needed is an object with a name for "
            'each number from "0" on.'
        )
    return tuple(labels[number] for number in numbers)


def _numbered(count: int) -> tuple[str, ...]:
    """What transformers calls labels without a name."""
    return tuple(f"LABEL_{number}" for number in range(count))


def _special(family: Family, values: Values) -> SpecialTokens:
    """As the file numbers them; a vocabulary that is too small for the family's has its own."""
    last = values["vocab_size"] - 1
    given = {name: value for name, value in values.items() if value is not None}
    return SpecialTokens(
        **{
            ours: fields.token(given, theirs, min(getattr(family.special, ours) or 0, last))
            for ours, theirs in family.tokens.items()
        }
    )


def write(family: Family, config: ModelConfig) -> dict[str, Any] | None:
    """The config.json of the family's model that is nearest; None if none is near."""
    stack = config.encoder
    positions = None if stack is None else family.positions.write(stack)
    if config.decoder is not None or stack is None or positions is None:
        return None
    block, kinds = stack.block, {_SAME_TENSORS.get(h.kind, h.kind) for h in config.heads}
    classes = [ending for ending, heads in family.classes.items() if heads == kinds]
    activation = _WRITTEN.get(block.mlp.activations[0])
    if not classes or activation is None:
        return None
    given = {
        "vocab_size": config.vocab_size,
        "embed_dim": config.embed_dim,
        "token_dim": config.token_width,
        "num_layers": stack.depth,
        "num_heads": block.attention.num_heads,
        "mlp_dim": block.mlp.mlp_dim,
        "activation": activation,
        "token_types": stack.token_types,
        "dropout": config.dropout_rate,
        "attention_dropout": config.dropout_rate,
        "epsilon": block.norm.epsilon,
        "groups": 1 if stack.layer_sharing is LayerSharing.ALL else stack.depth,
        "head_dim": block.attention.head_dim,
    }
    named = {name: value for ours, value in given.items() if (name := family.field(ours))}
    labels = _labels(config)
    return {
        "model_type": family.name.lower(),
        "architectures": [f"{family.name}{classes[0]}"],
        **named,
        **positions,
        "initializer_range": config.init.stddev,
        **{theirs: getattr(config.special, ours) for ours, theirs in family.tokens.items()},
        **labels,
        **_fixed(family),
    }


def _labels(config: ModelConfig) -> dict[str, Any]:
    """Names for classes, which transformers counts by them."""
    labels = _numbered(1) if config.head(HeadKind.REGRESSION) else ()
    if (classes := config.head(HeadKind.CLASSES)) is not None:
        labels = classes.labels or _numbered(classes.num_classes)
    if not labels:
        return {}
    names = {str(number): label for number, label in enumerate(labels)}
    kind = "regression" if len(labels) == 1 else "single_label_classification"
    return {
        "id2label": names,
        "label2id": {name: int(number) for number, name in names.items()},
        "problem_type": kind,
    }
