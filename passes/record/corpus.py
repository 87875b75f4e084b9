Corpus=None
