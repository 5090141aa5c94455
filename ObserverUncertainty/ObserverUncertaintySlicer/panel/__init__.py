"""The module's panel: one file a step, each with its .ui file of the same name in Resources/UI."""
