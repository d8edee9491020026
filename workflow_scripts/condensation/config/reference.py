"""The JSON Schema and the reference page of the config, generated from its models.

``python workflow_scripts/condensation/config/reference.py`` writes both; a test
fails when they are stale.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":  # run as a file, from anywhere
    sys.path.insert(0, str(Path(__file__).parents[2]))

from pydantic import BaseModel

from condensation.config.built_in import BUILT_IN
from condensation.config.compute import Compute, Data
from condensation.config.entries import (
    ARCHITECTURES,
    AUGMENTATIONS,
    OPTIMIZERS,
    Dataset,
    Evaluation,
    Features,
    OtherNetwork,
    Statistics,
    Trajectories,
)
from condensation.config.experiments import Axes, Figure7, Teacher
from condensation.config.methods import METHODS, Plugin
from condensation.config.nas import ProxyNetwork, ProxyTraining, RankedSets, Ranking, Reference
from condensation.config.schema import Config

_INTRODUCTION = """# The config, key by key

A complete small config:

```yaml
results_dir: results/small # each config needs folders of its own
figures_dir: figures/small
datasets:
  digits: {source: digits}
methods:
  random: {algorithm: random}
  dm: {algorithm: dm, iterations: 200}
experiments:
  small:
    datasets: digits
    methods: [random, dm]
    ipc: [1, 10]
    evaluation_seeds: 3
```

`datasets`, `methods` and `experiments` are required; everything else has a default. The config with
every default filled in is written to `config.yaml` in the results folder. `--config` sets a single
value, as in `--config 'evaluation={epochs: 100}'`:

    snakemake --cores all --configfile small.yaml

| File | Contents |
|---|---|
| `config.yaml` | the default: scikit-learn's digits, minutes on a laptop |
| `paper.yaml` | the paper's grid |
| `cifar10-check.yaml` | Random, K-Center and a short DM on CIFAR-10, hours on two CPU cores |
| `cifar10-cpu.yaml` | CIFAR-10 beside the printed numbers, half a day on two CPU cores |
| `cifar10-gpu.yaml` | the same at the paper's scale, in pieces for a GPU that is lent for minutes |
| `modern.yaml` | CIFAR-10 with the selections, methods and labels since the paper |
| `modern-cpu.yaml` | a part of that, about six hours on a CPU core |
| `ranked.yaml` | a method of yours on CIFAR-10 at IPC 1 beside four published sets |
| `nas-check.yaml` | architectures ranked by small sets of CIFAR-10, half an hour on a CPU core |
| `test/` | seconds on a CPU, for the tests |
| `schema.json` | the JSON Schema, for editors |

An editor with YAML support completes and checks keys if the first line of a config is
`# yaml-language-server: $schema=schema.json`. `~` and environment variables (`$SCRATCH`) are
expanded in every text; a path with one that is not set is refused. Three things that YAML silently
reads as something else are refused with file and line: a duplicate key,
`010` (eight), and `1:30` (ninety).

`python workflow_scripts/condensation/config/reference.py` generates this page from the models in
`workflow_scripts/condensation/config/`. Do not edit it by hand.
"""


def schema() -> str:
    """Return the JSON Schema of the config."""
    content = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def page() -> str:
    """Return the reference page in Markdown."""
    parts = [_INTRODUCTION]
    parts.append(_section("Top level", "A whole config file.", Config))
    parts.append(_section("data", Data.__doc__, Data))
    parts.append(_section("datasets.<name>", Dataset.__doc__, Dataset))
    named: list[tuple[str, str, Mapping[str, type[BaseModel]], type[BaseModel] | None]] = [
        ("methods.<name>", "algorithm", METHODS, Plugin),
        ("architectures.<name>", "network", ARCHITECTURES, OtherNetwork),
        ("augmentations.<name>", "policy", AUGMENTATIONS, None),
        ("optimizers.<name>", "algorithm", OPTIMIZERS, None),
    ]
    for title, key, models, plugin in named:
        for model in dict.fromkeys(models.values()):
            names = ", ".join(name for name, other in models.items() if other is model)
            citation = getattr(model, "citation", None)
            text = f"{model.__doc__} {citation}." if citation else model.__doc__
            parts.append(_section(f"{title} with `{key}: {names}`", text, model))
        if plugin:
            known = "timm:NAME, torchvision:NAME, " if plugin is OtherNetwork else ""
            heading = f"{title} with `{key}: {known}file.py:function`"
            parts.append(_section(heading, plugin.__doc__, plugin))
    parts.append(_section("features.<name>", Features.__doc__, Features))
    parts.append(_section("trajectories.<name>", Trajectories.__doc__, Trajectories))
    parts.append(_section("evaluation", Evaluation.__doc__, Evaluation))
    parts.append(_section("teacher", Teacher.__doc__, Teacher))
    parts.append(_section("statistics", Statistics.__doc__, Statistics))
    parts.append(_section("compute", Compute.__doc__, Compute))
    parts.append(_section("experiments.<name>", f"{Axes.__doc__} Or a list of blocks.", Axes))
    parts.append(_section("figure7", Figure7.__doc__, Figure7))
    parts.append(_section("nas", Ranking.__doc__, Ranking))
    parts.append(_section("nas.sets", f"{RankedSets.__doc__} Or a list of blocks.", RankedSets))
    parts.append(_section("nas.references.<name>", Reference.__doc__, Reference))
    parts.append(_section("nas.network", ProxyNetwork.__doc__, ProxyNetwork))
    parts.append(_section("nas.training", ProxyTraining.__doc__, ProxyTraining))
    return "\n".join(parts)


def _section(title: str, text: str | None, model: type[BaseModel]) -> str:
    lines = [f"## {title}\n", f"{' '.join((text or '').split())}\n"]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    content = model.model_json_schema()
    required = set(content.get("required", ()))
    for name, option in content["properties"].items():
        meaning = model.model_fields[name].description or ""
        default = "**required**" if name in required else _default(name, option)
        cells = (f"`{name}`", _type(option), default, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _default(name: str, option: dict) -> str:
    default = option.get("default")
    if default == {} and name in BUILT_IN:
        return "the built-in ones"
    if (default and isinstance(default, dict)) or "default" not in option:
        return "see its section"
    return f"`{json.dumps(default)}`"


def _type(option: dict) -> str:
    if "const" in option:
        return f"`{option['const']}`"
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if "anyOf" in option:
        kinds = [member for member in option["anyOf"] if member.get("type") != "array"]
        lists = [member for member in option["anyOf"] if member.get("type") == "array"]
        if any(member["items"] in kinds for member in lists):
            return " or ".join([_type(kinds[0]), "list", *map(_type, kinds[1:])])
        return " or ".join(_type(member) for member in option["anyOf"])
    if option.get("type") == "array":
        return f"list of {_type(option.get('items', {}))}"
    if "$ref" in option or option.get("type") == "object":
        return "mapping"
    limits = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {option[key]:g}" for key, sign in limits.items() if key in option]
    return " ".join([option.get("type", "any"), *bounds])


if __name__ == "__main__":
    folder = Path(__file__).parents[3] / "config"
    (folder / "schema.json").write_text(schema(), encoding="utf-8")
    (folder / "README.md").write_text(page(), encoding="utf-8")
    print(f"wrote {folder / 'schema.json'} and {folder / 'README.md'}")
