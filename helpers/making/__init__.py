"""How what is shipped was made: stored experiments, and the release of models, results and pictures."""
