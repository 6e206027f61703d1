"""What the format is worth, measured; and what the paper drafts say it is worth, audited."""
