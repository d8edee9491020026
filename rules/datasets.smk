# Makes prepared datasets, from official archives or a user's folder or archive: uint8 images and
# labels, train and test.


rule download:
    output:
        archive=PATHS(layout.DOWNLOAD),
    log:
        PATHS.log("download"),
    # where the network is: nodes of a cluster often have none
    localrule: True
    conda:
        "../environment.yml"
    resources:
        **light(1000, 240),
    message:
        "Downloading {wildcards.archive}"
    script:
        "../workflow_scripts/download.py"


rule prepare_dataset:
    input:
        # the params hold a digest of a folder, whose own time changes with files that nothing reads
        lambda wildcards: [
            ancient(path) if Path(path).is_dir() else path
            for path in INPUTS.archives(wildcards)
        ],
    output:
        dataset=PATHS(layout.DATASET),
    log:
        PATHS.log("prepare_dataset"),
    benchmark:
        PATHS.benchmark("prepare_dataset")
    conda:
        "../environment.yml"
    resources:
        **estimated("prepare_dataset"),
    params:
        job=lambda wildcards: jobs.prepare(CONFIG, wildcards.dataset),
    message:
        "Preparing dataset {wildcards.dataset}"
    script:
        "../workflow_scripts/prepare_dataset.py"
