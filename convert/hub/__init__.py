"""The Hugging Face Hub: what its repositories say of a teacher, and sets and teachers written as such repositories."""
