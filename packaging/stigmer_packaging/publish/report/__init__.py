"""The page that a maintainer reads before publishing, rendered from values as one self-contained HTML file."""
