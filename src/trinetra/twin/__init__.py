"""A digital twin of a shop: people who walk, wait and buy, as cameras would tell of them."""
