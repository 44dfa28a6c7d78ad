"""What a process has to do with its machine: files, locks, streams, memory, caches."""
