"""How a steer is trained, as a value of named switches: recipes, a file each."""
