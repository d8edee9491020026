"""What a job needs: memory, time, disk. Free of torch."""
