"""Results as DICOM objects that refer to the series that they belong to."""
