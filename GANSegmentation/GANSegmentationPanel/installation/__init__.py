"""What a computer lacks before it can segment, and how each of it is installed, with consent."""
