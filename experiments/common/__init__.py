"""What the experiments share: inputs, options, settings, and views of results. No command is here."""
