"""What tests/card.py tries on a device, a file for each subject; every trial runs in a process of its own."""
