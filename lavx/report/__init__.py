"""The report: tables, figures, claims and a page, a pure function of the outputs folder."""

from lavx.report.build import write_report

__all__ = ["write_report"]
