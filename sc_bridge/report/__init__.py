"""Reports of a run: tables for terminals, and one page of HTML."""
