"""The brain anatomy that ships with the package: ICBM152 2009a tissue fractions (see LICENSE-ICBM152.txt)."""
