# Takes tables, records and condensed sets; leaves <results>/leaderboard/index.html, one page that
# works from disk, and <results>/provenance.json.


rule make_leaderboard:
    input:
        unpack(all_whitenings),
        table=f"{RESULTS}/tables/accuracy.csv",
        config=f"{RESULTS}/config.yaml",
        records=RECORDS,
        condensed=[f"{RESULTS}/{one.folder}/condensed.safetensors" for one in GRID.sets],
        costs=[f"{RESULTS}/{one.folder}/cost.json" for one in GRID.sets],
        datasets=[f"{RESULTS}/{name}/dataset.safetensors" for name in GRID.datasets],
    output:
        page=f"{RESULTS}/leaderboard/index.html",
    log:
        f"{RESULTS}/logs/make_leaderboard.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_leaderboard.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=jobs.make_leaderboard(),
    message:
        "Making the leaderboard"
    script:
        "../workflow_scripts/make_leaderboard.py"
