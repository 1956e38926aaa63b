"""HTML pages, one self-contained file each, with charts kept apart from the computation behind them."""

from matchloss.report.audit_page import render_audit_page, write_audit_page
from matchloss.report.compare_page import render_page, write_page
from matchloss.report.fit_page import render_fit_page, write_fit_page
from matchloss.report.score_page import render_score_page, write_score_page
from matchloss.report.structured_page import render_structured_page, write_structured_page

__all__ = [
    "render_audit_page",
    "render_fit_page",
    "render_page",
    "render_score_page",
    "render_structured_page",
    "write_audit_page",
    "write_fit_page",
    "write_page",
    "write_score_page",
    "write_structured_page",
]
