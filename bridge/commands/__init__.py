"""What `bridge …` can do, one file a subject."""
