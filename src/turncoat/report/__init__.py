"""Reports: text, tables and pictures once, as a page, as Markdown, as lines for a terminal and as JSON."""
