"""What training minimises: an objective turns the losses of a batch of pairs into one number."""
