"""What is left when a run dies, or is refused, at any system call."""
