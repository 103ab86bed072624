"""The command line: what was asked, which command answers, and how it is shown."""
