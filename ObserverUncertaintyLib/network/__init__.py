"""The dropout U-Net: as it is defined and trained, and rearranged for many Monte Carlo passes on a CPU."""
