# Takes prepared datasets; leaves features (<results>/<dataset>/features/...) and condensed sets
# (<results>/<dataset>/<method>/ipc<n>/set<seed>/condensed.safetensors, and cost.json beside).


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
        mem_mb=16000,
        runtime=60,
    params:
        job=extract_job,
        compile=CONFIG.compute.compile,
    message:
        "Extracting features {wildcards.features} of {wildcards.dataset}, seed {wildcards.condensation_seed}"
    script:
        "../workflow_scripts/extract_features.py"


rule condense:
    input:
        unpack(features_of),
        unpack(imported_files_of),
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
    output:
        condensed=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}/condensed.safetensors",
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
        mem_mb=16000,
        runtime=720,
    params:
        job=condense_job,
        compile=CONFIG.compute.compile,
    message:
        "Condensing {wildcards.dataset} by {wildcards.method}, IPC {wildcards.ipc}, set {wildcards.condensation_seed}"
    script:
        "../workflow_scripts/condense.py"
