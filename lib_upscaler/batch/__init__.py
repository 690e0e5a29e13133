"""Folders without end: which pictures, a journal of them, and the work in one process, several, or a cluster."""
