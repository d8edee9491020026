# Makes condensed sets, their cost and snapshots, from prepared datasets; before them whitenings,
# features, experts and teachers, whose networks figure 7 uses too.


rule fit_whitening:
    input:
        dataset=PATHS(layout.DATASET),
    output:
        whitening=PATHS(layout.WHITENING),
    log:
        PATHS.log("fit_whitening"),
    benchmark:
        PATHS.benchmark("fit_whitening")
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        **estimated("fit_whitening"),
    params:
        job=jobs.fit_whitening(),
    message:
        "Fitting the whitening {wildcards.preprocessing} of {wildcards.dataset}"
    script:
        "../workflow_scripts/fit_whitening.py"


rule train_expert:
    input:
        unpack(INPUTS.expert),
        dataset=PATHS(layout.DATASET),
    output:
        expert=PATHS(layout.EXPERT),
        cost=PATHS(layout.EXPERT_COST),
    log:
        PATHS.log("train_expert"),
    benchmark:
        PATHS.benchmark("train_expert")
    group:
        "experts_{dataset}_{trajectories}"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        **estimated("train_expert"),
        gpu=GPU,
        turn=in_turns,
    params:
        job=lambda wildcards: jobs.train_expert(
            CONFIG, GRID, wildcards.dataset, wildcards.trajectories
        ),
        compile=CONFIG.compute.compile,
        precision=CONFIG.compute.precision,
        device=DEVICE,
    message:
        "Training expert {wildcards.expert} of {wildcards.trajectories} on {wildcards.dataset}"
    script:
        "../workflow_scripts/train_expert.py"


rule extract_features:
    input:
        dataset=PATHS(layout.DATASET),
    output:
        features=PATHS(layout.FEATURES),
    log:
        PATHS.log("extract_features"),
    benchmark:
        PATHS.benchmark("extract_features")
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        **estimated("extract_features"),
        gpu=GPU,
    params:
        job=lambda wildcards: jobs.extract_features(CONFIG, wildcards.features),
        compile=CONFIG.compute.compile,
        precision=FLOAT32,
        device=DEVICE,
    message:
        "Extracting features {wildcards.features} of {wildcards.dataset}, seed {wildcards.condensation_seed}"
    script:
        "../workflow_scripts/extract_features.py"


rule train_embedder:
    input:
        unpack(INPUTS.view),
        dataset=PATHS(layout.DATASET),
    output:
        network=PATHS(layout.EMBEDDER),
    log:
        PATHS.log("train_embedder"),
    benchmark:
        PATHS.benchmark("train_embedder")
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        **estimated("train_embedder"),
        gpu=GPU,
    params:
        job=lambda wildcards: jobs.train_embedder(CONFIG, wildcards.features),
        compile=CONFIG.compute.compile,
        precision=FLOAT32,
        device=DEVICE,
    message:
        "Training the network of features {wildcards.features} on {wildcards.dataset}, {wildcards.view}"
    script:
        "../workflow_scripts/train_embedder.py"


rule condense:
    input:
        unpack(INPUTS.method),
        dataset=PATHS(layout.DATASET),
    output:
        condensed=PATHS(layout.CONDENSED, snapshot=""),
        snapshots=PATHS(layout.SNAPSHOTS),
        cost=PATHS(layout.COST),
    log:
        PATHS.log("condense"),
    benchmark:
        PATHS.benchmark("condense")
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        **estimated("condense"),
        gpu=GPU,
    params:
        job=lambda wildcards: jobs.condense(CONFIG, INPUTS.set_id(wildcards)),
        compile=CONFIG.compute.compile,
        precision=CONFIG.compute.precision,
        device=DEVICE,
    message:
        "Condensing {wildcards.dataset} by {wildcards.method}, IPC {wildcards.ipc}, set {wildcards.condensation_seed}"
    script:
        "../workflow_scripts/condense.py"


rule take_snapshot:
    input:
        unpack(INPUTS.whitening),
        dataset=PATHS(layout.DATASET),
        condensed=PATHS(layout.CONDENSED, snapshot=""),
        snapshots=PATHS(layout.SNAPSHOTS),
    output:
        condensed=PATHS(layout.CONDENSED, snapshot=layout.SNAPSHOT),
    log:
        PATHS.log("take_snapshot"),
    localrule: True
    conda:
        "../environment.yml"
    resources:
        **light(4000),
    params:
        job=digest.code_of("take_snapshot"),
    message:
        "Taking {wildcards.method} on {wildcards.dataset}, IPC {wildcards.ipc}, set {wildcards.condensation_seed}, after {wildcards.iteration} iterations"
    script:
        "../workflow_scripts/take_snapshot.py"
