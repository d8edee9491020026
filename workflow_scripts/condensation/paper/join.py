"""Put the cells of one or several runs beside the printed numbers, from their records alone.

    condensation join-evidence --config config/cifar10-cpu.yaml --into joined \
        first/evidence/records.jsonl.xz second/evidence/records.jsonl.xz

Needs no images: to check published numbers, or to join a grid whose parts ran on several machines.
Leaves the tables, page and figure of `snakemake evidence` (but no pictures of sets), the table and
figures of accuracy, and all records as one file. Of a record that two files hold the first counts;
records of different images under one name are an error, and so are those of another config.
"""

import argparse
from pathlib import Path

from condensation.config import loading
from condensation.core import storage
from condensation.figures import accuracy, along, beside_print, style
from condensation.nas import tables as ranking_tables
from condensation.paper import evidence, evidence_page, printed
from condensation.results import frames as tables
from condensation.results import record_file
from condensation.workflow import figure_plan, grid

ROOT = Path(__file__).resolve().parents[3]


def main(arguments: list[str]) -> None:
    """Read the records, and write tables, page and records into a folder."""
    parser = argparse.ArgumentParser(
        prog="condensation join-evidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, help="the config that asked for the cells")
    parser.add_argument("--into", required=True, help="a folder, made if it is not there")
    parser.add_argument("--ranking", help="the run's tables/nas.csv, if architectures were ranked")
    parser.add_argument("records", nargs="+", help="files of records (.jsonl.xz)")
    options = parser.parse_args(arguments)
    wanted = loading.load(options.config)
    contents = record_file.join(options.records)
    as_printed = printed.load(sorted((ROOT / "config" / "paper").glob("*.csv")))
    ranking = ranking_tables.load(options.ranking) if options.ranking else None
    frames, accuracies = evidence.of_records(wanted, contents, as_printed, ranking)
    into = Path(options.into)
    into.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        storage.write_text(into / f"{name}.csv", evidence.as_csv(frame))
    head = evidence_page.head_of_records(contents, len(options.records))
    storage.write_text(into / "report.md", evidence_page.markdown(frames, head))
    storage.write_text(into / "accuracy.csv", evidence.as_csv(accuracies))
    table = tables.load_accuracy(into / "accuracy.csv")
    styles = style.method_styles(figure_plan.methods(wanted))
    for name, one in figure_plan.accuracy_figures(wanted, grid.expand(wanted)).items():
        style.save(accuracy.draw(table, one, styles), into / f"{name}.png")
    style.save(beside_print.draw(frames["cells"]), into / "beside_print.png")
    if len(frames["curves"]):
        style.save(along.draw(frames["curves"], frames["ends"], styles), into / "curves.png")
    with storage.atomic(into / "records.jsonl.xz") as temporary:
        temporary.write_bytes(record_file.pack(contents))
    print(f"{len(contents)} records and costs: {into}/report.md")
