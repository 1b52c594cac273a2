"""Files of steers, a format a file."""
