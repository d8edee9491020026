"""What the models of all config sections share."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetPydanticSchema,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from condensation.core import plugins
from condensation.core.errors import InputError, unknown
from condensation.core.names import NAME, name_error

Preprocessing = Literal["standardize", "zca", "zca_kip"]


def wrong(message: str) -> PydanticCustomError:
    """Return a validation error that shows ``message`` to the user unchanged."""
    return PydanticCustomError("input", "{text}", {"text": message})


def item(position: int, items: list[Any]) -> str:
    """Return where in a list an error is, in words; nothing for the only item."""
    return f" (item {position + 1})" if len(items) > 1 else ""


def check_function(
    function: str, options: dict[str, Any], positional: tuple[str, ...]
) -> dict[str, str]:
    """Check a user's function as ``plugins.check`` does; raise a validation error."""
    try:
        return plugins.check(function, options, positional, "docs/adding-a-method.md")
    except InputError as error:
        raise wrong(str(error)) from error


def _check_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise wrong(name_error(text))
    return text


Name = Annotated[str, AfterValidator(_check_name)]
Folder = Annotated[str, Field(pattern=r"^[^{}]+$"), AfterValidator(os.path.normpath)]


class Strict(BaseModel):
    """A mapping that refuses unknown keys and suggests the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise wrong(f"expected a mapping of options, got {data!r}")
        for key in data:
            if key not in cls.model_fields and cls.model_config.get("extra") == "forbid":
                raise wrong(unknown("option", key, cls.model_fields))
        return data


class PluginOptions(Strict):
    """Options of a user's function or of a library: any key is accepted."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _convert_numbers(cls, data: Any) -> Any:
        """Convert texts like 1e-3, which YAML does not read as numbers."""
        return plugins.with_numbers(data) if isinstance(data, dict) else data


def as_list(value: Any) -> Any:
    """Return ``[value]`` unless ``value`` is a list."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def or_single(item_type: Any, least: int = 0) -> BeforeValidator:
    """Return the annotation of a list that takes a single item too.

    Parameters
    ----------
    item_type, least : the type of an item and the least number of items, for the JSON schema.
    """
    several = Annotated[list[item_type], Field(min_length=least)] if least else list[item_type]
    return BeforeValidator(as_list, json_schema_input_type=several | item_type)


_Size = Annotated[int, Field(ge=1)]
# the axes of a grid: a list, or a single value
Names = Annotated[list[str], Field(min_length=1), or_single(str, least=1)]
Sizes = Annotated[list[_Size], Field(min_length=1), or_single(_Size, least=1)]


def tagged_union(
    kind: str,
    key: str,
    models: Mapping[str, type[BaseModel]],
    plugin: type[BaseModel] | None = None,
    hint: str = "",
) -> GetPydanticSchema:
    """Return the annotation of a named entry: the member of ``models`` that ``key`` selects.

    A value with a colon, such as ``file.py:function``, selects ``plugin``; ``hint`` describes
    these values at the end of the error message.
    """

    def check(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value
        if not isinstance(value, dict) or key not in value:
            raise wrong(f"expected a mapping with `{key}`, got {value!r}")
        name = value[key]
        if not isinstance(name, str) or (name not in models and not (plugin and ":" in name)):
            raise wrong(unknown(kind, name, models) + hint)
        return value

    def tag(value: Any) -> str:
        selected = value[key] if isinstance(value, dict) else getattr(value, key)
        return selected if selected in models else "other"

    members = [Annotated[model, Tag(name)] for name, model in models.items()]
    if plugin:
        members.append(Annotated[plugin, Tag("other")])
    union = members[0]
    for member in members[1:]:
        union = union | member
    return GetPydanticSchema(
        lambda _, handler: handler.generate_schema(
            Annotated[union, Discriminator(tag), BeforeValidator(check)]
        )
    )
