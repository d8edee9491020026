"""Users' files and official archives, read without torch, before any job too."""
