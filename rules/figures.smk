# Takes tables and condensed sets; leaves <figures>/accuracy_<dataset>.png and
# <figures>/condensed_<dataset>.png.


rule plot_accuracy:
    input:
        table=f"{RESULTS}/tables/accuracy.csv",
    output:
        figure=f"{PICTURES}/accuracy_{{dataset}}.png",
    log:
        f"{RESULTS}/logs/plot_accuracy/{{dataset}}.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        methods=list(CONFIG.methods),
        source=digest.source_digest(digest.ROOT / "plot_accuracy.py"),
    message:
        "Plotting the accuracy on {wildcards.dataset}"
    script:
        "../workflow_scripts/plot_accuracy.py"


rule draw_condensed:
    input:
        unpack(whitenings_of),
        condensed=pictured_sets,
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
    output:
        figure=f"{PICTURES}/condensed_{{dataset}}.png",
    log:
        f"{RESULTS}/logs/draw_condensed/{{dataset}}.log",
    conda:
        "../environment.yml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        ipc=pictured_ipc,
        source=digest.source_digest(digest.ROOT / "draw_condensed.py"),
    message:
        "Drawing condensed images of {wildcards.dataset}"
    script:
        "../workflow_scripts/draw_condensed.py"
