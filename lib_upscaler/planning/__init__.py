"""What will be done, worked out before anything is: sizes, passes, tiles, memory. Pure; no torch."""
