"""Drawing of all figures; ``workflow.figure_plan`` decides which ones a config has."""
