"""Taking out what is to be gone: a person, or what is old."""
