"""The steps of the pipeline: each a function from frozen records to a frozen record; none imports another."""
