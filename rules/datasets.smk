# Takes the addresses of official archives, or a user's own folder or archive; leaves
# <results>/<dataset>/dataset.safetensors: uint8 images and labels, train and test.


rule download:
    output:
        archive=f"{DOWNLOADS}/{{archive}}",
    log:
        f"{RESULTS}/logs/download/{{archive}}.log",
    # where the network is: nodes of a cluster often have none
    localrule: True
    conda:
        "../environment.yml"
    resources:
        mem_mb=doubling(1000),
        runtime=doubling(240),
    message:
        "Downloading {wildcards.archive}"
    script:
        "../workflow_scripts/download.py"


rule prepare_dataset:
    input:
        archives_of,
    output:
        dataset=f"{RESULTS}/{{dataset}}/dataset.safetensors",
    log:
        f"{RESULTS}/logs/prepare_dataset/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_dataset/{{dataset}}.tsv"
    conda:
        "../environment.yml"
    resources:
        mem_mb=memory_of("prepare_dataset"),
        runtime=minutes_of("prepare_dataset"),
    params:
        job=prepare_job,
    message:
        "Preparing dataset {wildcards.dataset}"
    script:
        "../workflow_scripts/prepare_dataset.py"
