# From the config and the records of earlier runs: <results>/plan/calibration.json (sizes of the
# networks and the speed of this device), plan.md and plan.csv (jobs, hours, memory and disk).


rule calibrate:
    input:
        config=f"{RESULTS}/config.yaml",
    output:
        calibration=f"{RESULTS}/plan/calibration.json",
    log:
        f"{RESULTS}/logs/calibrate.log",
    conda:
        "../environment.yml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=doubling(16000),
        runtime=doubling(30),
    message:
        "Measuring the networks of the config on this device"
    script:
        "../workflow_scripts/calibrate.py"


# It has no output, so that each call plans anew from the records that exist.
rule plan:
    input:
        config=f"{RESULTS}/config.yaml",
        calibration=f"{RESULTS}/plan/calibration.json",
    log:
        f"{RESULTS}/logs/plan.log",
    localrule: True
    conda:
        "../environment.yml"
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Planning"
    script:
        "../workflow_scripts/plan.py"
