"""Images without their files: the voxel grid, resampling, orientation, registration, what an image shows."""
