"""The page: one study, or several side by side, in a single HTML file that needs no network."""

from .page import draw_and_report, write_report

__all__ = ["draw_and_report", "write_report"]
