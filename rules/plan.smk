# Takes the config and what earlier runs left; leaves <results>/plan/calibration.json (how fast this
# device is), and plan.md and plan.csv: jobs, hours, memory and disk, before anything is spent.


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
        "Timing the networks of the config on this device"
    script:
        "../workflow_scripts/calibrate.py"


# Without an output: it is made anew whenever it is asked for, because records come and go.
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
