"""Beats as language: words, vocabulary, LSTM, training and evaluation."""
