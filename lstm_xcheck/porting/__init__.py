"""From a checkpoint of one framework to one of another, with a certificate."""
