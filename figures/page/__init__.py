"""The page: one study, or several side by side, in a single HTML file that needs no network."""

from .page import write_report

__all__ = ["write_report"]
