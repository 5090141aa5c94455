"""The self-test that Slicer runs: what a clinician does in the first five minutes, each step checked."""
