"""How well beats are told apart: figures from arrays, baselines to beat, the language with parts taken out."""
