"""What is put together of the tree's own answers, and of what is stored at all."""
