"""What listens to the model: trained on synthesised sound only, and no part of it but for the text tower of CLAP."""
