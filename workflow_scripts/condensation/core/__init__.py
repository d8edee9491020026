"""What every other package may use: errors, files, random numbers, devices, progress."""
