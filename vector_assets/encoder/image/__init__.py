"""Images -> vectors: decode, preprocess as the contract says, run a vision model of transformers."""
