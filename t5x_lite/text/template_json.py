"""The post_processor of a `tokenizer.json`, of the `tokenizers` library, <-> a template."""

from collections.abc import Mapping, Sequence
from typing import Any

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.template import PLAIN, START_AND_END, TWO_ENDS, Template

# Older kinds say it by their name.
_BY_KIND = {"ByteLevel": PLAIN, "BertProcessing": START_AND_END, "RobertaProcessing": TWO_ENDS}


def template_of_json(value: Any, special: SpecialTokens, source: object) -> Template:
    """The template of a post_processor, if any.

    Raises:
        UserError: it adds other tokens than those that start and end texts, or is of another kind.
    """
    if value is None:
        return PLAIN
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind in _BY_KIND:
        return _BY_KIND[kind]
    if kind == "TemplateProcessing":
        try:
            ids = {name: token["ids"] for name, token in value["special_tokens"].items()}
            return Template(
                single=_parts(value["single"], ids, special),
                pair=_parts(value["pair"], ids, special),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(f"{source}: its post_processor is damaged: {error!r}") from None
        except UserError as error:
            raise UserError(f"{source}: its post_processor: {error}") from None
    raise UserError(
        f"{source}: its post_processor is of type {kind!r}; needed is TemplateProcessing, or "
        f"{', '.join(_BY_KIND)}."
    )


def json_of_template(
    template: Template, special: SpecialTokens, names: Sequence[str]
) -> dict[str, Any]:
    """What `template_of_json` reads, as transformers 5 writes it.

    Args:
        names: of all pieces, in the order of their ids.
    """
    tokens = {}
    sides: dict[str, list[Any]] = {}
    for side, is_pair in (("single", False), ("pair", True)):
        sides[side] = []
        for part in template.parts(is_pair=is_pair):
            name = part.name
            if not part.is_text:
                i = getattr(special, name)
                name = names[i]
                tokens[name] = {"id": name, "ids": [i], "tokens": [name]}
            kind = "Sequence" if part.is_text else "SpecialToken"
            sides[side].append({kind: {"id": name, "type_id": part.token_type}})
    return {"type": "TemplateProcessing", **sides, "special_tokens": tokens}


def _parts(
    steps: Sequence[Mapping[str, Any]], ids: Mapping[str, Any], special: SpecialTokens
) -> str:
    """A side of a template in our words."""
    roles = {special.end: "end", special.start: "start"}
    found = []
    for step in steps:
        ((kind, part),) = step.items()
        name = part["id"]
        if kind == "SpecialToken":
            (i,) = ids[name] if len(ids[name]) == 1 else (None,)
            if i not in roles:
                raise UserError(
                    f"it adds {name!r}; needed are tokens that start or end texts, which "
                    "tokenizer_config.json names as cls_token and sep_token."
                )
            name = roles[i]
        found.append(f"{name}:{part['type_id']}" if part["type_id"] else name)
    return " ".join(found)
