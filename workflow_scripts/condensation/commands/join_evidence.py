"""Put the cells of one or several runs beside the printed numbers, from their records alone.

    condensation join-evidence --config config/cifar10-cpu.yaml --into joined \
        first/evidence/records.jsonl.xz second/evidence/records.jsonl.xz

Needs no images. Use it to check published numbers, or to join a grid whose parts ran on several
machines. Writes the tables, page and figures of `snakemake evidence` (but no pictures of sets), the
table and figures of accuracy, and all records as one file. If two files hold the same record, the
first counts. Records of another config, and of different images under one name, are errors. Other
folders than those of earlier joins are left as they are.
"""

import argparse
from pathlib import Path

from condensation.commands import arguments as shared
from condensation.config import loading
from condensation.core import storage
from condensation.core.errors import InputError
from condensation.figures import accuracy, style
from condensation.figures import evidence as evidence_figures
from condensation.nas import tables as ranking_tables
from condensation.paper import evidence, evidence_page, printed
from condensation.results import frames, record_file
from condensation.workflow import figure_plan, grid

ROOT = Path(__file__).resolve().parents[3]
_RECORDS, _ACCURACY = "records.jsonl.xz", "accuracy.csv"


def main(arguments: list[str]) -> None:
    """Read the records, and write tables, page, figures and records into a folder."""
    parser = argparse.ArgumentParser(
        prog="condensation join-evidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, help="the config of the records")
    parser.add_argument(
        "--into", required=True, type=shared.path, help="a new folder, or one of an earlier join"
    )
    parser.add_argument("--ranking", help="the run's tables/nas.csv, if it ranked architectures")
    parser.add_argument("records", nargs="+", help="files of records (.jsonl.xz)")
    options = parser.parse_args(arguments)
    into = options.into
    # the evidence of a run has no table of accuracy
    joined = all((into / name).is_file() for name in (_RECORDS, _ACCURACY))
    if into.is_dir() and any(into.iterdir()) and not joined:
        raise InputError(
            f"--into {into}: holds other files, which might be overwritten; name a new folder, an "
            f"empty one, or one of an earlier join (with {_RECORDS} and {_ACCURACY})"
        )
    config = loading.load(options.config)
    contents = record_file.join(options.records)
    numbers = printed.load(sorted((ROOT / "config" / "paper").glob("*.csv")))
    ranking = ranking_tables.load(options.ranking) if options.ranking else None
    tables, accuracies = evidence.tables_from_records(config, contents, numbers, ranking)
    into.mkdir(parents=True, exist_ok=True)
    storage.write_text(into / _ACCURACY, evidence.as_csv(accuracies))  # first: they mark a join
    with storage.atomic(into / _RECORDS) as temporary:
        temporary.write_bytes(record_file.pack(contents))
    for name, table in tables.items():
        storage.write_text(into / f"{name}.csv", evidence.as_csv(table))
    head = evidence_page.head_of_records(contents, len(options.records))
    storage.write_text(into / "report.md", evidence_page.markdown(tables, head))
    accuracies = frames.load_accuracy(into / _ACCURACY)
    methods = figure_plan.methods(config)
    styles = style.method_styles(methods)
    for name, plan in figure_plan.accuracy_figures(config, grid.expand(config)).items():
        style.save(accuracy.draw(accuracies, plan, styles), into / f"{name}.png")
    style.save(evidence_figures.beside_print(tables["cells"]), into / "beside_print.png")
    if len(tables["curves"]):
        figure = evidence_figures.curves(tables["curves"], tables["ends"], methods)
        style.save(figure, into / "curves.png")
    print(f"{len(contents)} records and costs: {into}/report.md")
