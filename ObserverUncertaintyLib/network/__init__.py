"""The dropout U-Net as it is defined, and its weights in a folder."""
