"""What is claimed, and on which numbers: each analysis turns saved results into tables."""
