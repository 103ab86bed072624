"""The page a maintainer looks at before publishing: values in, one self-contained HTML file out."""
