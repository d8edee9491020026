# Makes what sets are like beside the real images: measures of each set, the table sets.csv, and the
# figures nearest_<dataset>_ipc<n>. Only the target `sets` asks for them.


rule find_neighbours:
    input:
        unpack(INPUTS.view),
        dataset=PATHS(layout.DATASET),
    output:
        neighbours=PATHS(layout.NEIGHBOURS),
    log:
        PATHS.log("find_neighbours"),
    benchmark:
        PATHS.benchmark("find_neighbours")
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        **estimated("find_neighbours"),
    params:
        job=digest.code_of("find_neighbours"),
    message:
        "Finding the neighbours of real images of {wildcards.dataset}, {wildcards.view}"
    script:
        "../workflow_scripts/find_neighbours.py"


rule measure_set:
    input:
        unpack(INPUTS.measures),
        dataset=PATHS(layout.DATASET),
        condensed=PATHS(layout.CONDENSED, snapshot=""),
    output:
        measures=PATHS(layout.MEASURES),
    log:
        PATHS.log("measure_set"),
    benchmark:
        PATHS.benchmark("measure_set")
    group:
        "measure_{dataset}"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        **estimated("measure_set"),
        turn=in_turns,
    params:
        job=digest.code_of("measure_set"),
    message:
        "Measuring {wildcards.method} on {wildcards.dataset}, IPC {wildcards.ipc}, set {wildcards.condensation_seed}"
    script:
        "../workflow_scripts/measure_set.py"


rule make_set_table:
    input:
        measures=TARGETS.measures,
    output:
        csv=report(
            PATHS.table("sets.csv"),
            caption="captions/sets.rst",
            category="Tables",
            labels=labels("What sets are like", "sets.csv"),
        ),
    log:
        PATHS.log("make_set_table"),
    conda:
        "../environment.yml"
    resources:
        **light(),
    params:
        job=digest.code_of("make_set_table"),
    message:
        "Making the table of sets"
    script:
        "../workflow_scripts/make_set_table.py"


rule draw_nearest:
    input:
        unpack(INPUTS.nearest),
        dataset=PATHS(layout.DATASET),
    output:
        png=report(
            PATHS.figure(layout.NEAREST_FIGURE, "png"),
            caption="captions/figure_nearest.rst",
            category="Figures",
            labels=lambda wildcards: labels(
                f"Nearest real images, {wildcards.dataset}, IPC {wildcards.ipc}",
                f"{layout.fill(layout.NEAREST_FIGURE, **dict(wildcards.items()))}.png",
            ),
        ),
        pdf=PATHS.figure(layout.NEAREST_FIGURE, "pdf"),
    log:
        PATHS.log("draw_nearest"),
    conda:
        "../environment.yml"
    resources:
        **light(4000),
    params:
        job=digest.code_of("draw_nearest"),
    message:
        "Drawing condensed images of {wildcards.dataset}, IPC {wildcards.ipc}, beside real ones"
    script:
        "../workflow_scripts/draw_nearest.py"
