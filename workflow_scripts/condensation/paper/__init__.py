"""The paper's printed numbers, its tables and its statements, beside ours."""
