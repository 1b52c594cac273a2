"""The pieces that a study is made of: units over the store, each a pure function of what its fields say."""
