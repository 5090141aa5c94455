"""Cases and cohorts: from a manifest's files to images and raters' masks on one grid."""
