"""Campaigns: a plan of many studies, run in any order or place to the same results, and what holds across them."""
