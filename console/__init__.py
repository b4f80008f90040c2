"""What people ask: report, trace, lag, catalog; on the command line and as a page."""
