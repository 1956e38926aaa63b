"""Pages for people: one self-contained HTML file each, its charts apart from the computation behind them."""

from matchloss.report.compare_page import render_page, write_page
from matchloss.report.fit_page import render_fit_page, write_fit_page

__all__ = ["render_fit_page", "render_page", "write_fit_page", "write_page"]
