"""The paper's claims, a file each."""
