"""Model files: which there are, how they are read without running anything in them, what their networks are like."""
