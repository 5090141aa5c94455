"""What the Slicer module is made of, one file a concern; the only code besides it that knows slicer, qt and ctk."""
