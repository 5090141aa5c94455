"""A folder of patients becomes a manifest: what each file is, told by its header and its name, under pseudonyms."""
