"""Reading DICOM: image series, multi-frame images, and what others drew (RT structure sets, segmentations)."""
