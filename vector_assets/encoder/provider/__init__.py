"""Text encoders behind an OpenAI-compatible endpoint: what vLLM, TEI, Ollama and OpenAI speak."""
