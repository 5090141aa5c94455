"""The version of the library; the only place that holds it."""

VERSION = "0.1.0"
