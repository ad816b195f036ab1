//! What can be configured of Google Cloud, one file for each section.
