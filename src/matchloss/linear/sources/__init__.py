"""Where the rows of a fit live: in memory, in a file, on a cluster. What the trainer asks of them stands in `source`."""
