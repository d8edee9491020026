"""Memory, time and disk that jobs need. Imports no torch."""
