"""What everything stands on: errors, progress, output files, paths, the process's memory."""
