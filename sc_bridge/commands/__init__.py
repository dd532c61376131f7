"""Commands of `sc-bridge`, one file each: `add_parser` describes it, `run` carries it out."""
