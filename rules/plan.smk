# Makes <results>/plan: the speed of this device and the sizes of the networks (calibration.json), and
# jobs, hours, memory and disk (plan.md, plan.csv).


rule calibrate:
    input:
        config=PATHS(layout.CONFIG),
    output:
        calibration=PATHS(layout.CALIBRATION),
    log:
        PATHS.log("calibrate"),
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


# No output: each call makes the plan again, from the records that exist.
rule plan:
    input:
        config=PATHS(layout.CONFIG),
        calibration=PATHS(layout.CALIBRATION),
    log:
        PATHS.log("plan"),
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
