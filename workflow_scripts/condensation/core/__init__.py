"""Shared basics: errors, files, random numbers, devices, progress."""
