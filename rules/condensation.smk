# Takes prepared datasets; leaves features (<results>/<dataset>/features/...), whitenings
# (.../whitening/...), experts (.../trajectories/...) and condensed sets
# (<results>/<dataset>/<method>/ipc<n>/set<seed>/condensed.safetensors; beside it cost.json,
# snapshots.safetensors, and snapshots/iteration<i>/condensed.safetensors where they are judged).


rule fit_whitening:
    input:
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
    output:
        whitening=f"{RESULTS}/{{dataset}}/whitening/{{preprocessing}}.safetensors",
    log:
        f"{RESULTS}/logs/fit_whitening/{{dataset}}/{{preprocessing}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_whitening/{{dataset}}/{{preprocessing}}.tsv"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        mem_mb=memory_of("fit_whitening"),
        runtime=minutes_of("fit_whitening"),
    params:
        job=jobs.fit_whitening(),
    message:
        "Fitting the whitening {wildcards.preprocessing} of {wildcards.dataset}"
    script:
        "../workflow_scripts/fit_whitening.py"


rule train_expert:
    input:
        unpack(whitening_of_experts),
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
    output:
        expert=f"{RESULTS}/{{dataset}}/trajectories/{{trajectories}}/expert{{expert}}.safetensors",
        cost=f"{RESULTS}/{{dataset}}/trajectories/{{trajectories}}/expert{{expert}}.cost.json",
    log:
        f"{RESULTS}/logs/train_expert/{{dataset}}/{{trajectories}}/expert{{expert}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_expert/{{dataset}}/{{trajectories}}/expert{{expert}}.tsv"
    group:
        "experts_{dataset}_{trajectories}"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=memory_of("train_expert"),
        runtime=minutes_of("train_expert"),
    params:
        job=expert_job,
        compile=CONFIG.compute.compile,
        precision=CONFIG.compute.precision,
        device=DEVICE,
    message:
        "Training expert {wildcards.expert} of {wildcards.trajectories} on {wildcards.dataset}"
    script:
        "../workflow_scripts/train_expert.py"


rule extract_features:
    input:
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
    output:
        features=f"{RESULTS}/{{dataset}}/features/{{features}}/seed{{condensation_seed}}.safetensors",
    log:
        f"{RESULTS}/logs/extract_features/{{dataset}}/{{features}}/seed{{condensation_seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/extract_features/{{dataset}}/{{features}}/seed{{condensation_seed}}.tsv"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=memory_of("extract_features"),
        runtime=minutes_of("extract_features"),
    params:
        job=extract_job,
        compile=CONFIG.compute.compile,
        precision=FLOAT32,
        device=DEVICE,
    message:
        "Extracting features {wildcards.features} of {wildcards.dataset}, seed {wildcards.condensation_seed}"
    script:
        "../workflow_scripts/extract_features.py"


rule condense:
    input:
        unpack(features_of),
        unpack(imported_files_of),
        unpack(experts_of),
        unpack(whitening_of),
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
    output:
        condensed=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}/condensed.safetensors",
        snapshots=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}/snapshots.safetensors",
        cost=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}/cost.json",
    log:
        f"{RESULTS}/logs/condense/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/condense/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}.tsv"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=memory_of("condense"),
        runtime=minutes_of("condense"),
    params:
        job=condense_job,
        compile=CONFIG.compute.compile,
        precision=CONFIG.compute.precision,
        device=DEVICE,
    message:
        "Condensing {wildcards.dataset} by {wildcards.method}, IPC {wildcards.ipc}, set {wildcards.condensation_seed}"
    script:
        "../workflow_scripts/condense.py"


rule take_snapshot:
    input:
        unpack(whitening_of),
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
        condensed=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}/condensed.safetensors",
        snapshots=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}/snapshots.safetensors",
    output:
        condensed=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}/snapshots/iteration{{iteration}}/condensed.safetensors",
    log:
        f"{RESULTS}/logs/take_snapshot/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}/iteration{{iteration}}.log",
    localrule: True
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(4000),
        runtime=doubling(10),
    params:
        source=digest.source_digest(digest.ROOT / "take_snapshot.py"),
    message:
        "Taking {wildcards.method} on {wildcards.dataset}, IPC {wildcards.ipc}, set {wildcards.condensation_seed}, after {wildcards.iteration} iterations"
    script:
        "../workflow_scripts/take_snapshot.py"
