"""Pages for people: one self-contained HTML file, its charts apart from the computation behind them."""

from matchloss.report.page import render_page, write_page

__all__ = ["render_page", "write_page"]
