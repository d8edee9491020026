# Takes condensed sets; leaves one record per job, a row per evaluation seed:
# .../set<seed>[/snapshots/iteration<i>]/evaluation/<architecture>/<augmentation>/<optimizer>/seeds<first>-<last>.json


rule evaluate:
    input:
        unpack(whitening_of),
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
        condensed=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}{{snapshot}}/condensed.safetensors",
    output:
        record=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}{{snapshot}}/evaluation/{{architecture}}/{{augmentation}}/{{optimizer}}/seeds{{first}}-{{last}}.json",
        cost=f"{RESULTS}/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}{{snapshot}}/evaluation/{{architecture}}/{{augmentation}}/{{optimizer}}/seeds{{first}}-{{last}}.cost.json",
    log:
        f"{RESULTS}/logs/evaluate/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}{{snapshot}}/{{architecture}}/{{augmentation}}/{{optimizer}}/seeds{{first}}-{{last}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{dataset}}/{{method}}/ipc{{ipc}}/set{{condensation_seed}}{{snapshot}}/{{architecture}}/{{augmentation}}/{{optimizer}}/seeds{{first}}-{{last}}.tsv"
    group:
        "evaluate_{dataset}_{method}_ipc{ipc}_set{condensation_seed}"
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=memory_of("evaluate"),
        runtime=minutes_of("evaluate"),
    params:
        job=evaluate_job,
        compile=CONFIG.compute.compile,
        stack=CONFIG.compute.stack,
        precision=FLOAT32,
        device=DEVICE,
    message:
        "Evaluating {wildcards.method} on {wildcards.dataset}, IPC {wildcards.ipc}, set {wildcards.condensation_seed}{wildcards.snapshot}: {wildcards.architecture}, {wildcards.augmentation}, {wildcards.optimizer}, seeds {wildcards.first}-{wildcards.last}"
    script:
        "../workflow_scripts/evaluate.py"
