"""The subcommands of the command `condensation`, one module each with a `main(arguments)`."""
